//! The bodies of registration messages: what nodes tell of themselves every few minutes.
//!
//! The body travels in an ordinary signed request for the agent `registration` that wants no reply.
//! There are two kinds: the content of a file, and the node's inventory. Either is carried as it is or compressed;
//! this crate compresses nothing, so the caller brings [`Packed`] content.
//!
//! ```text
//! {"mtime":…,"file":…,"updated":…,"protocol":"choria:registration:filecontent:1","zcontent":"<base64 of gzip>"}
//! {"protocol":"choria:registration:inventorycontent:1","content":{…}}
//! ```

use std::borrow::Cow;
use std::fmt;

use crate::base64;
use crate::json::{LayerError, Reader, Text, write_integer, write_string};

/// The agent that registration messages name.
pub const REGISTRATION_AGENT: &str = "registration";
const FILE_CONTENT: &str = "choria:registration:filecontent:1";
const INVENTORY_CONTENT: &str = "choria:registration:inventorycontent:1";

/// Content, compressed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packed {
    /// As it is.
    Plain(Vec<u8>),
    /// A gzip stream.
    Gzip(Vec<u8>),
}

/// A file of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// When it was changed last, unix seconds.
    pub mtime: i64,
    /// Its path.
    pub file: String,
    /// Whether it was changed since the last message of the same process.
    pub updated: bool,
    /// What is in it.
    pub content: Packed,
}

/// A registration body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registration {
    /// Of a file.
    File(FileContent),
    /// Of what the node is and has: a JSON object.
    Inventory(Packed),
}

/// Why bytes are no registration body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrationError {
    /// Not JSON of the right shape.
    Layer(LayerError),
    /// JSON that says it is something else.
    Protocol(Box<str>),
    /// There is no content.
    NoContent,
    /// The content is not base64.
    Base64,
}

impl Registration {
    /// The body, with the members in the order of the servers of today.
    ///
    /// Plain content of an inventory stands in the body as it is, so it must be JSON text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Vec::new();
        match self {
            Self::File(file) => {
                out.extend_from_slice(b"{\"mtime\":");
                write_integer(&mut out, file.mtime);
                out.extend_from_slice(b",\"file\":");
                write_string(&mut out, &file.file);
                let rest = format!(
                    r#","updated":{},"protocol":"{FILE_CONTENT}","#,
                    file.updated
                );
                out.extend_from_slice(rest.as_bytes());
                let (key, bytes) = match &file.content {
                    Packed::Plain(bytes) => ("content", bytes),
                    Packed::Gzip(bytes) => ("zcontent", bytes),
                };
                write_base64(&mut out, key, bytes);
            }
            Self::Inventory(content) => {
                out.extend_from_slice(format!(r#"{{"protocol":"{INVENTORY_CONTENT}","#).as_bytes());
                match content {
                    Packed::Plain(json) => {
                        out.extend_from_slice(b"\"content\":");
                        out.extend_from_slice(String::from_utf8_lossy(json).as_bytes());
                    }
                    Packed::Gzip(bytes) => write_base64(&mut out, "zcontent", bytes),
                }
            }
        }
        out.push(b'}');
        String::from_utf8(out).expect("only strings and ascii were written")
    }

    /// Reads a body.
    ///
    /// # Errors
    /// The bytes are not JSON, or something else than a registration.
    pub fn parse(body: &[u8]) -> Result<Self, RegistrationError> {
        let body = Body::read(body)?;
        match &*body.protocol {
            FILE_CONTENT => Ok(Self::File(FileContent {
                mtime: body.mtime,
                updated: body.updated,
                content: body.packed(|json| {
                    let text = serde_json::from_str::<String>(json);
                    decode(&text.unwrap_or_default())
                })?,
                file: body.file,
            })),
            INVENTORY_CONTENT => body
                .packed(|json| Ok(json.as_bytes().to_vec()))
                .map(Self::Inventory),
            other => Err(RegistrationError::Protocol(
                other.chars().take(64).collect::<String>().into(),
            )),
        }
    }
}

/// Every member either kind has.
#[derive(Default)]
struct Body<'b> {
    protocol: String,
    mtime: i64,
    file: String,
    updated: bool,
    /// JSON text.
    content: Option<&'b str>,
    zcontent: Option<String>,
}

impl<'b> Body<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(bytes)?;
        let mut protocol = Text::new("protocol");
        let mut file = Text::new("file");
        let mut zcontent = Text::new("zcontent");
        let mut body = Self::default();
        reader.object("registration")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "file" => file.read(&mut reader)?,
                "zcontent" => zcontent.read(&mut reader)?,
                "mtime" => body.mtime = reader.whole("mtime")?,
                "updated" => body.updated = reader.value()? == "true",
                "content" => body.content = Some(reader.value()?),
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        body.protocol = protocol.optional().unwrap_or_default().into_owned();
        body.file = file.optional().unwrap_or_default().into_owned();
        body.zcontent = zcontent.optional().map(Cow::into_owned);
        Ok(body)
    }

    fn packed(
        &self,
        plain: impl FnOnce(&str) -> Result<Vec<u8>, RegistrationError>,
    ) -> Result<Packed, RegistrationError> {
        match (&self.zcontent, self.content) {
            (Some(text), _) => decode(text).map(Packed::Gzip),
            (None, Some(json)) => plain(json).map(Packed::Plain),
            (None, None) => Err(RegistrationError::NoContent),
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, RegistrationError> {
    if text.is_empty() {
        return Err(RegistrationError::NoContent);
    }
    let mut out = Vec::new();
    base64::decode(text.as_bytes(), &mut out).map_err(|_| RegistrationError::Base64)?;
    Ok(out)
}

fn write_base64(out: &mut Vec<u8>, key: &str, bytes: &[u8]) {
    write_string(out, key);
    out.extend_from_slice(b":\"");
    base64::encode(bytes, out);
    out.push(b'"');
}

impl From<LayerError> for RegistrationError {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

impl fmt::Display for RegistrationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(error) => write!(f, "registration: {error}"),
            Self::Protocol(name) => write!(f, "registration: field protocol is {name:?}"),
            Self::NoContent => f.write_str("registration: there is no content"),
            Self::Base64 => f.write_str("registration: the content is not base64"),
        }
    }
}

impl std::error::Error for RegistrationError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: Packed) -> Registration {
        Registration::File(FileContent {
            mtime: 1_767_323_045,
            file: "/etc/choria/facts.json".to_owned(),
            updated: false,
            content,
        })
    }

    #[test]
    fn bodies_are_written_as_peers_write_them() {
        for (registration, expected) in [
            (
                file(Packed::Plain(b"{}".to_vec())),
                r#"{"mtime":1767323045,"file":"/etc/choria/facts.json","updated":false,"protocol":"choria:registration:filecontent:1","content":"e30="}"#,
            ),
            (
                file(Packed::Gzip(b"{}".to_vec())),
                r#"{"mtime":1767323045,"file":"/etc/choria/facts.json","updated":false,"protocol":"choria:registration:filecontent:1","zcontent":"e30="}"#,
            ),
            (
                Registration::Inventory(Packed::Plain(b"{\"agents\":[]}".to_vec())),
                r#"{"protocol":"choria:registration:inventorycontent:1","content":{"agents":[]}}"#,
            ),
            (
                Registration::Inventory(Packed::Gzip(b"{}".to_vec())),
                r#"{"protocol":"choria:registration:inventorycontent:1","zcontent":"e30="}"#,
            ),
        ] {
            let text = registration.encode();
            assert_eq!(text, expected);
            assert_eq!(Registration::parse(text.as_bytes()), Ok(registration));
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        for (body, expected) in [
            ("{}", r#"registration: field protocol is """#),
            (
                r#"{"protocol":"choria:registration:filecontent:1"}"#,
                "registration: there is no content",
            ),
            (
                r#"{"protocol":"choria:registration:filecontent:1","content":{}}"#,
                "registration: there is no content",
            ),
            (
                r#"{"protocol":"choria:registration:filecontent:1","zcontent":"?"}"#,
                "registration: the content is not base64",
            ),
        ] {
            let error = Registration::parse(body.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), expected, "{body}");
        }
        assert!(matches!(
            Registration::parse(b"[1]"),
            Err(RegistrationError::Layer(_))
        ));
    }
}
