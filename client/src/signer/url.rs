//! The URL of a signing service: `http://` or `https://`, a host, perhaps a port, perhaps a path.
//!
//! Only what goes into a request line and a header unchanged is taken, so nothing in it can end either.

use std::fmt;

/// The URL of a signing service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerUrl {
    text: Box<str>,
    is_https: bool,
    /// A name or an address; one of IPv6 without its brackets.
    host: Box<str>,
    port: u16,
    /// Host and port as they stand in the URL.
    authority: Box<str>,
    /// Path and query, from the slash on.
    target: Box<str>,
}

/// Why a text is no such URL. It does not repeat the text: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignerUrlError {
    /// It begins neither with `http://` nor with `https://`.
    Scheme,
    /// It has white space, or characters that have to be percent-encoded.
    Characters,
    /// It has a user name, which such a service has no use for.
    User,
    /// It has a fragment, which is never sent.
    Fragment,
    /// There is no host, or one that is none.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
}

impl SignerUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// It is none, or one with parts that cannot be sent.
    pub fn parse(text: &str) -> Result<Self, SignerUrlError> {
        let (is_https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(SignerUrlError::Scheme),
        };
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SignerUrlError::Characters);
        }
        if rest.contains('#') {
            return Err(SignerUrlError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(SignerUrlError::User);
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(port) => port,
            None if is_https => 443,
            None => 80,
        };
        let target = if target.starts_with('/') {
            target.to_owned()
        } else {
            format!("/{target}")
        };
        Ok(Self {
            text: text.into(),
            is_https,
            host: host.into(),
            port,
            authority: authority.into(),
            target: target.into(),
        })
    }

    /// The URL's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.is_https
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// A whole HTTP request for what is there.
    pub(crate) fn get(&self) -> Vec<u8> {
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.target, self.authority
        )
        .into_bytes()
    }

    /// A whole HTTP request that posts this JSON.
    pub(super) fn post(&self, json: &[u8]) -> Vec<u8> {
        let mut message = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
            self.target,
            self.authority,
            json.len()
        )
        .into_bytes();
        message.extend_from_slice(json);
        message
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), SignerUrlError> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or(SignerUrlError::Host)?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() || host.contains(['[', ']']) {
        return Err(SignerUrlError::Host);
    }
    if rest.is_empty() {
        return Ok((host, None));
    }
    let port = rest.strip_prefix(':').ok_or(SignerUrlError::Host)?;
    // `u16::from_str` alone would take a leading plus sign.
    match port.parse() {
        Ok(port) if port > 0 && port_is_digits(rest) => Ok((host, Some(port))),
        _ => Err(SignerUrlError::Port),
    }
}

fn port_is_digits(rest: &str) -> bool {
    rest[1..].bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for SignerUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "begins neither with http:// nor with https://",
            Self::Characters => "has white space or characters that are not percent-encoded",
            Self::User => "has a user name, which is not sent",
            Self::Fragment => "has a fragment, which is not sent",
            Self::Host => "has no usable host",
            Self::Port => "has no port between 1 and 65535",
        })
    }
}

impl std::error::Error for SignerUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_forms_are_read() {
        for (text, https, host, port, authority, target) in [
            (
                "https://aaa.example.net/choria/v1/sign",
                true,
                "aaa.example.net",
                443,
                "aaa.example.net",
                "/choria/v1/sign",
            ),
            ("http://aaa:8080", false, "aaa", 8080, "aaa:8080", "/"),
            (
                "http://10.0.0.1?a=b",
                false,
                "10.0.0.1",
                80,
                "10.0.0.1",
                "/?a=b",
            ),
            (
                "https://[::1]:8443/sign?x=1",
                true,
                "::1",
                8443,
                "[::1]:8443",
                "/sign?x=1",
            ),
        ] {
            let url = SignerUrl::parse(text).unwrap();
            let parts = (
                url.is_https,
                &*url.host,
                url.port,
                &*url.authority,
                &*url.target,
            );
            assert_eq!(parts, (https, host, port, authority, target), "{text}");
            assert_eq!(url.as_str(), text);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (text, error) in [
            ("aaa.example.net", SignerUrlError::Scheme),
            ("ftp://aaa", SignerUrlError::Scheme),
            ("http://a a/", SignerUrlError::Characters),
            ("http://a/\r\nX: y", SignerUrlError::Characters),
            ("http://ä/", SignerUrlError::Characters),
            ("https://me:secret@aaa/", SignerUrlError::User),
            ("http://aaa/#top", SignerUrlError::Fragment),
            ("http:///sign", SignerUrlError::Host),
            ("http://[::1/", SignerUrlError::Host),
            ("http://[::1]8080/", SignerUrlError::Host),
            ("http://::1/", SignerUrlError::Host),
            ("http://aaa:/", SignerUrlError::Port),
            ("http://aaa:0/", SignerUrlError::Port),
            ("http://aaa:+1/", SignerUrlError::Port),
            ("http://aaa:65536/", SignerUrlError::Port),
        ] {
            assert_eq!(SignerUrl::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_post_is_one_request() {
        let url = SignerUrl::parse("http://aaa:8080/sign").unwrap();
        let text = String::from_utf8(url.post(b"{}")).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /sign HTTP/1.1\r\nHost: aaa:8080\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nContent-Length: 2\r\n"), "{head}");
        assert_eq!(body, "{}");
    }
}
