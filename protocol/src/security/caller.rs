//! The certificate name inside a caller id.
//!
//! Caller ids read `provider=name`. Nodes look at a prefix only: lower-case letters, `=`, then as many of
//! letters, digits, `_`, `.` and `-` as follow. What comes behind is ignored, so `okta=rip@x.org` names `rip`.

/// The certificate name a caller id claims, or `None` where it has not the form `provider=name`.
#[must_use]
pub fn certname_of_caller_id(caller_id: &str) -> Option<&str> {
    let (provider, rest) = caller_id.split_once('=')?;
    if provider.is_empty() || !provider.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    let end = rest
        .bytes()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')))
        .unwrap_or(rest.len());
    if end == 0 { None } else { Some(&rest[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_longest_word_behind_the_provider() {
        for (caller_id, expected) in [
            ("choria=rip.mcollective", Some("rip.mcollective")),
            ("okta=rip@x.org", Some("rip")),
            ("up=bob", Some("bob")),
            ("choria=a_b-c.d9 tail", Some("a_b-c.d9")),
            ("choria=a=b", Some("a")),
            ("choria=ü", None),
            ("choria=", None),
            ("=rip", None),
            ("Choria=rip", None),
            ("cho ria=rip", None),
            ("rip.mcollective", None),
            ("", None),
        ] {
            assert_eq!(certname_of_caller_id(caller_id), expected, "{caller_id:?}");
        }
    }
}
