//! The head of a request: request line, the few headers that matter, the decoded target.

use super::{HttpRequest, Method};

/// Headers of one request.
const HEADERS_MAX: usize = 64;

/// A complete head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) request: HttpRequest,
    /// Its bytes.
    pub(super) len: usize,
    /// Whether a further request may follow on the connection.
    pub(super) keep_alive: bool,
}

/// Why a head is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadError {
    /// Bytes that are no HTTP/1 request.
    Malformed,
    /// Neither GET nor HEAD.
    Method,
    /// More headers, or more bytes, than are looked at.
    TooLarge,
}

impl HeadError {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Method => 405,
            Self::TooLarge => 431,
        }
    }
}

/// Reads a head from the front of `bytes`; `None` while it is incomplete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let len = match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
        Err(_) => return Err(HeadError::Malformed),
    };
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Err(HeadError::Method),
    };
    let (path, query) = split_target(request.path.unwrap_or("/"));
    let header = |name: &str| {
        let mut headers = request.headers.iter();
        headers
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    let close = header("connection").is_some_and(|value| has_token(value, b"close"));
    // A body is never read, so what follows it cannot be told from it.
    let body = header("transfer-encoding").is_some()
        || header("content-length").is_some_and(|length| length != b"0");
    Ok(Some(Head {
        request: HttpRequest {
            method,
            path,
            query,
        },
        len,
        keep_alive: request.version == Some(1) && !close && !body,
    }))
}

fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// Path and query of a target; one in absolute form loses scheme and authority.
fn split_target(target: &str) -> (String, Vec<(String, String)>) {
    let target = target.split_once('#').map_or(target, |(before, _)| before);
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    let pairs = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        });
    (decode(path, false), pairs.collect())
}

/// Undoes percent encoding; a percent sign that encodes nothing stays, bytes that are no UTF-8 are replaced.
fn decode(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 3)
            .filter(|_| byte == b'%')
            .and_then(hex);
        match digits {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if plus_is_blank && byte == b'+' {
                    b' '
                } else {
                    byte
                });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let value = digit(digits.first()?)? * 16 + digit(digits.get(1)?)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Head {
        parse(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_complete_at_its_last_byte_only() {
        let text = b"GET /connz?subs=1&sort=idle HTTP/1.1\r\nHost: a\r\n\r\n";
        for len in 0..text.len() {
            assert_eq!(parse(&text[..len]), Ok(None), "{len} bytes");
        }
        let head = parse(text).unwrap().unwrap();
        assert_eq!(head.len, text.len());
        assert_eq!(head.request.path, "/connz");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            head.request.query,
            [pair("subs", "1"), pair("sort", "idle")]
        );
        assert!(head.keep_alive);
    }

    #[test]
    fn targets_are_decoded() {
        type Row = (
            &'static str,
            &'static str,
            &'static [(&'static str, &'static str)],
        );
        let table: &[Row] = &[
            ("/", "/", &[]),
            ("/a%20b+c?x+y=%2B%zz", "/a b+c", &[("x y", "+%zz")]),
            ("/a?b&&c=", "/a", &[("b", ""), ("c", "")]),
            ("/a?b=c=d#e", "/a", &[("b", "c=d")]),
            ("http://host:1/a?b=1", "/a", &[("b", "1")]),
            ("http://host", "/", &[]),
            ("/a?to=http://b/c", "/a", &[("to", "http://b/c")]),
            ("/%", "/%", &[]),
            ("/%e9", "/\u{fffd}", &[]),
        ];
        for (target, path, query) in table {
            let (found, pairs) = split_target(target);
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            assert_eq!(
                (found.as_str(), pairs.as_slice()),
                (*path, *query),
                "{target}"
            );
        }
    }

    #[test]
    fn what_ends_a_connection() {
        assert!(!parsed("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(!parsed("GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n").keep_alive);
        assert!(!parsed("GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").keep_alive);
        assert!(parsed("HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").keep_alive);
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(parse(b"POST / HTTP/1.1\r\n\r\n"), Err(HeadError::Method));
        assert_eq!(parse(b"\x16\x03\x01\x02"), Err(HeadError::Malformed));
        let many = format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "a: b\r\n".repeat(HEADERS_MAX + 1)
        );
        assert_eq!(parse(many.as_bytes()), Err(HeadError::TooLarge));
    }
}
