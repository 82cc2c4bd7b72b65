//! Caller ids: `<provider>=<name>`, who a request is made for.
//!
//! Servers read them with `^[a-z]+=([\w.-]+)`, a match of a prefix: what follows the captured name is ignored, so
//! `okta=rip@example.org` speaks for the certificate `rip`. The rule is applied here without a regex.

/// A caller id taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerId<'a> {
    /// What vouches for the name, such as `choria` or `up`.
    pub provider: &'a str,
    /// The certificate name to check.
    pub certname: &'a str,
}

impl<'a> CallerId<'a> {
    /// Takes a caller id apart; `None` if servers would refuse it.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (provider, rest) = text.split_once('=')?;
        if provider.is_empty() || !provider.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let end = rest
            .bytes()
            .position(|byte| !is_name_byte(byte))
            .unwrap_or(rest.len());
        let certname = &rest[..end];
        (!certname.is_empty()).then_some(Self { provider, certname })
    }
}

/// The caller id of a client with this certificate name.
#[must_use]
pub fn choria_caller(certname: &str) -> String {
    format!("choria={certname}")
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_the_first_foreign_character() {
        for (text, provider, certname) in [
            ("choria=rip.mcollective", "choria", "rip.mcollective"),
            ("okta=rip@example.org", "okta", "rip"),
            ("up=a_b-c.D9 x", "up", "a_b-c.D9"),
            ("up=rip=x", "up", "rip"),
            ("up=ripé", "up", "rip"),
        ] {
            assert_eq!(
                CallerId::parse(text),
                Some(CallerId { provider, certname }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_servers_refuse_is_refused() {
        for text in [
            "", "rip", "=rip", "up=", "up=@x", "Up=rip", "u1=rip", " up=rip",
        ] {
            assert_eq!(CallerId::parse(text), None, "{text}");
        }
    }
}
