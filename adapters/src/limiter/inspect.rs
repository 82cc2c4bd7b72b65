//! Which value of a message a limiter goes by.

use std::borrow::Cow;

/// Where the value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspect {
    /// In the document, by a GJSON path. `data.` at its beginning looks into the JSON text that an envelope carries.
    Field(Box<str>),
    /// In a header of the message.
    Header(Box<str>),
    /// A token of the subject, from 1; the whole subject, where it is -1.
    SubjectToken(i32),
}

impl Inspect {
    /// The value, if the message has one.
    #[must_use]
    pub fn value<'m>(
        &self,
        subject: &'m str,
        headers: &'m [u8],
        document: &'m [u8],
    ) -> Option<Cow<'m, str>> {
        match self {
            Self::Field(path) => field(document, path).map(Cow::Owned),
            Self::Header(name) => header(headers, name).map(Cow::Borrowed),
            Self::SubjectToken(-1) => Some(Cow::Borrowed(subject)),
            Self::SubjectToken(number) => {
                let place = usize::try_from(*number).ok()?.checked_sub(1)?;
                subject.split('.').nth(place).map(Cow::Borrowed)
            }
        }
    }
}

/// The text of a field, if the document has one: a string's content, the JSON text of anything else.
#[must_use]
pub fn field(document: &[u8], path: &str) -> Option<String> {
    let document = std::str::from_utf8(document).ok()?;
    // The library reads on where there is no JSON.
    if !gjson::valid(document) {
        return None;
    }
    if let Some(inner) = path.strip_prefix("data.") {
        let data = gjson::get(document, "data");
        if data.kind() == gjson::Kind::String {
            let data = data.str();
            return gjson::valid(data).then(|| text(data, inner)).flatten();
        }
    }
    text(document, path)
}

fn text(document: &str, path: &str) -> Option<String> {
    let found = gjson::get(document, path);
    (found.exists() && found.kind() != gjson::Kind::Null).then(|| found.str().to_owned())
}

/// The value of a header; names are compared without regard to case.
#[must_use]
pub fn header<'h>(headers: &'h [u8], name: &str) -> Option<&'h str> {
    let text = std::str::from_utf8(headers).ok()?;
    text.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_where_they_are() {
        let document = br#"{"sender":"n1","data":"{\"updated\":true,\"a\":{\"b\":7}}","n":null}"#;
        let get = |inspect: Inspect| {
            let value = inspect.value("a.b.c", b"NATS/1.0\r\nX-Id: 5\r\n\r\n", document);
            value.map(Cow::into_owned)
        };
        let path = |path: &str| get(Inspect::Field(path.into()));
        assert_eq!(path("sender").as_deref(), Some("n1"));
        assert_eq!(path("data.a.b").as_deref(), Some("7"));
        assert_eq!(path("data.updated").as_deref(), Some("true"));
        assert_eq!(path("nothing"), None);
        assert_eq!(path("n"), None);
        assert_eq!(get(Inspect::Header("x-id".into())).as_deref(), Some("5"));
        assert_eq!(get(Inspect::Header("other".into())), None);
        assert_eq!(get(Inspect::SubjectToken(2)).as_deref(), Some("b"));
        assert_eq!(get(Inspect::SubjectToken(-1)).as_deref(), Some("a.b.c"));
        for bad in [0, 4, -2] {
            assert_eq!(get(Inspect::SubjectToken(bad)), None);
        }
        for text in [&b""[..], b"{", b"\xff", b"[1,"] {
            assert_eq!(field(text, "a"), None);
        }
    }
}
