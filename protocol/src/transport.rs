//! The outermost layer: where a message goes, who sent it, which way it came.
//!
//! ```text
//! {"protocol":"choria:transport:1","data":"<base64 of the secure document>","headers":{…}}
//! ```
//!
//! Both versions are read into one type; they differ in the names of their headers:
//!
//! | | version 1 | version 2 |
//! |---|---|---|
//! | where replies go | `reply-to` | `reply` |
//! | sender | `mc_sender` | `sender` |
//! | hops | `seen-by` | `trace` |
//! | federation | `req`, `reply-to`, `target` | `request`, `reply`, `targets` |
//!
//! Nothing here is signed, so nothing here may be believed further than routing goes. Parsing borrows from the payload;
//! the secure document is decoded only on request. Key order and escapes are those of the peers' encoder: as in the
//! table, empty ones left out, `headers` itself always there.
//!
//! A node must echo the federation header of a request in its reply ([`Headers::reply_from`]), or a federation broker
//! can not route the reply.

use std::borrow::Cow;
use std::fmt;

use crate::base64::{self, Base64Error};
use crate::json::{self, LayerError, Reader, Text};
use crate::version::ProtocolVersion;

mod digest;
mod names;

pub(crate) use self::digest::Digest;
use self::names::{FederationNames, HeaderNames};

/// One hop of the trace: usually the broker a message came in by, the processor's identity, the broker it left by.
pub type Hop<'a> = Vec<Cow<'a, str>>;

/// A parsed transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport<'a> {
    /// The version of this and of all inner layers.
    pub version: ProtocolVersion,
    data: Cow<'a, str>,
    /// Everything beside the data.
    pub headers: Headers<'a>,
}

/// The headers of a transport.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    /// Subject for replies; on requests only.
    pub reply_to: Option<Cow<'a, str>>,
    /// Identity of the sender (`mc_sender`).
    pub sender: Option<Cow<'a, str>>,
    /// The hops so far, diagnostic only.
    pub seen_by: Vec<Hop<'a>>,
    /// Present while the message travels through a federation.
    pub federation: Option<Federation<'a>>,
}

/// The federation header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Federation<'a> {
    /// The request's id (`req`).
    pub request_id: Option<Cow<'a, str>>,
    /// The client's own reply subject, set by the federation broker.
    pub reply_to: Option<Cow<'a, str>>,
    /// Subjects to publish to on the other side (`target`).
    pub targets: Vec<Cow<'a, str>>,
}

/// Why bytes are not a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The document is malformed.
    Layer(LayerError),
    /// The data is not base64.
    Base64(Base64Error),
}

impl<'a> Transport<'a> {
    /// Parses a payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, TransportError> {
        let mut reader = Reader::new(payload).map_err(LayerError::Json)?;
        let mut protocol = Text::new("protocol");
        let mut data = Text::new("data");
        let mut headers = None;
        reader.object("transport")?;
        while let Some(key) = reader.next_key().map_err(LayerError::Json)? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "data" => data.read(&mut reader)?,
                // Their names depend on the version, which may stand behind them.
                "headers" if !reader.null()? => {
                    headers = Some(reader.value().map_err(LayerError::Json)?);
                }
                "headers" => {}
                _ => {
                    reader.value().map_err(LayerError::Json)?;
                }
            }
        }
        reader.end().map_err(LayerError::Json)?;
        let version = protocol.version(ProtocolVersion::transport)?;
        let headers = match headers {
            Some(text) => Headers::read(&mut Reader::from_text(text), HeaderNames::of(version))?,
            None => Headers::default(),
        };
        Ok(Self {
            version,
            data: data.non_empty()?.to_cow(),
            headers,
        })
    }

    /// Appends the secure document to `out`.
    pub fn decode_data(&self, out: &mut Vec<u8>) -> Result<(), TransportError> {
        base64::decode(self.data.as_bytes(), out).map_err(TransportError::Base64)
    }

    /// The data as it stands in the document: base64, possibly wrapped.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Appends this transport, its data unchanged: what a federation broker sends on.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        begin(out, self.version, self.data.len(), &self.headers);
        json::write_string(out, &self.data);
        finish(out, self.version, &self.headers);
    }
}

impl<'a> Headers<'a> {
    /// The headers of a reply to a request that came with `self`: a federated request's hops and federation header go
    /// back with the reply, an ordinary request's hops do not. Sender and own hop are the caller's to add.
    #[must_use]
    pub fn reply_from(&self) -> Self {
        match &self.federation {
            None => Self::default(),
            Some(federation) => Self {
                reply_to: None,
                sender: None,
                seen_by: self.seen_by.clone(),
                federation: Some(federation.clone()),
            },
        }
    }

    /// Appends one hop: the broker the message came by, who handled it, the broker it leaves by.
    pub fn push_hop(
        &mut self,
        broker_in: impl Into<Cow<'a, str>>,
        identity: impl Into<Cow<'a, str>>,
        broker_out: impl Into<Cow<'a, str>>,
    ) {
        self.seen_by
            .push(vec![broker_in.into(), identity.into(), broker_out.into()]);
    }

    /// The same headers, borrowing nothing from the payload they came in.
    #[must_use]
    pub fn into_owned(self) -> Headers<'static> {
        Headers {
            reply_to: self.reply_to.map(own),
            sender: self.sender.map(own),
            seen_by: self.seen_by.into_iter().map(own_all).collect(),
            federation: self.federation.map(|federation| Federation {
                request_id: federation.request_id.map(own),
                reply_to: federation.reply_to.map(own),
                targets: own_all(federation.targets),
            }),
        }
    }

    fn read(reader: &mut Reader<'a>, names: &HeaderNames) -> Result<Self, LayerError> {
        let mut reply_to = Text::new(names.reply_to.path);
        let mut sender = Text::new(names.sender.path);
        let mut headers = Self::default();
        reader.object("headers")?;
        while let Some(key) = reader.next_key()? {
            let key = &*key.to_cow();
            if key == names.reply_to.key {
                reply_to.read(reader)?;
            } else if key == names.sender.key {
                sender.read(reader)?;
            } else if key == names.seen_by.key {
                if !reader.null()? {
                    headers.seen_by = read_hops(reader, names.seen_by.path)?;
                }
            } else if key == "federation" {
                if !reader.null()? {
                    headers.federation = Some(Federation::read(reader, &names.federation)?);
                }
            } else {
                reader.value()?;
            }
        }
        headers.reply_to = reply_to.optional();
        headers.sender = sender.optional();
        Ok(headers)
    }

    fn write(&self, out: &mut Vec<u8>, names: &HeaderNames) {
        let mut fields = Fields::open(out);
        fields.text(names.reply_to.key, self.reply_to.as_deref());
        fields.text(names.sender.key, self.sender.as_deref());
        if !self.seen_by.is_empty() {
            fields.key(names.seen_by.key);
            write_list(fields.out, &self.seen_by, |out, hop| {
                write_strings(out, hop);
            });
        }
        if let Some(federation) = &self.federation {
            fields.key("federation");
            federation.write(fields.out, &names.federation);
        }
        out.push(b'}');
    }

    /// An upper estimate of the encoded length, so that a buffer grows once.
    fn len_hint(&self) -> usize {
        let text = |text: &Option<Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
        let list = |list: &[Cow<'_, str>]| list.iter().map(|text| text.len() + 3).sum::<usize>();
        let hops: usize = self.seen_by.iter().map(|hop| list(hop) + 3).sum();
        let federation = self.federation.as_ref().map_or(0, |federation| {
            80 + text(&federation.request_id)
                + text(&federation.reply_to)
                + list(&federation.targets)
        });
        60 + text(&self.reply_to) + text(&self.sender) + hops + federation
    }
}

impl<'a> Federation<'a> {
    fn read(reader: &mut Reader<'a>, names: &FederationNames) -> Result<Self, LayerError> {
        let mut request_id = Text::new(names.request_id.path);
        let mut reply_to = Text::new(names.reply_to.path);
        let mut targets = Vec::new();
        reader.object("headers.federation")?;
        while let Some(key) = reader.next_key()? {
            let key = &*key.to_cow();
            if key == names.request_id.key {
                request_id.read(reader)?;
            } else if key == names.reply_to.key {
                reply_to.read(reader)?;
            } else if key == names.targets.key {
                if !reader.null()? {
                    targets = read_strings(reader, names.targets.path)?;
                }
            } else {
                reader.value()?;
            }
        }
        Ok(Self {
            request_id: request_id.optional(),
            reply_to: reply_to.optional(),
            targets,
        })
    }

    fn write(&self, out: &mut Vec<u8>, names: &FederationNames) {
        let mut fields = Fields::open(out);
        fields.text(names.request_id.key, self.request_id.as_deref());
        fields.text(names.reply_to.key, self.reply_to.as_deref());
        if !self.targets.is_empty() {
            fields.key(names.targets.key);
            write_strings(fields.out, &self.targets);
        }
        out.push(b'}');
    }
}

/// Appends a version 1 transport that carries `secure_document`; see [`encode_transport_as`].
pub fn encode_transport(out: &mut Vec<u8>, secure_document: &[u8], headers: &Headers<'_>) {
    encode_transport_as(out, ProtocolVersion::V1, secure_document, headers);
}

/// Appends a transport that carries `secure_document`, which must be of the same version.
pub fn encode_transport_as(
    out: &mut Vec<u8>,
    version: ProtocolVersion,
    secure_document: &[u8],
    headers: &Headers<'_>,
) {
    begin(out, version, secure_document.len().div_ceil(3) * 4, headers);
    out.push(b'"');
    base64::encode(secure_document, out);
    out.push(b'"');
    finish(out, version, headers);
}

fn begin(out: &mut Vec<u8>, version: ProtocolVersion, data_len: usize, headers: &Headers<'_>) {
    out.reserve(data_len + headers.len_hint() + 84);
    out.extend_from_slice(br#"{"protocol":""#);
    out.extend_from_slice(version.transport().as_bytes());
    out.extend_from_slice(br#"","data":"#);
}

fn finish(out: &mut Vec<u8>, version: ProtocolVersion, headers: &Headers<'_>) {
    out.extend_from_slice(br#","headers":"#);
    headers.write(out, HeaderNames::of(version));
    out.push(b'}');
}

/// Writes the members of an object with commas where they belong.
struct Fields<'o> {
    out: &'o mut Vec<u8>,
    any: bool,
}

impl<'o> Fields<'o> {
    fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, any: false }
    }

    fn key(&mut self, key: &str) {
        if std::mem::replace(&mut self.any, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.key(key);
            json::write_string(self.out, value);
        }
    }
}

fn write_strings(out: &mut Vec<u8>, texts: &[Cow<'_, str>]) {
    write_list(out, texts, |out, text| {
        json::write_string(out, text);
    });
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn read_hops<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<Vec<Hop<'a>>, LayerError> {
    let mut hops = Vec::new();
    reader.array(field)?;
    while reader.next_element()? {
        hops.push(read_strings(reader, field)?);
    }
    Ok(hops)
}

fn read_strings<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
) -> Result<Vec<Cow<'a, str>>, LayerError> {
    let mut texts = Vec::new();
    reader.array(field)?;
    while reader.next_element()? {
        texts.push(reader.text(field)?);
    }
    Ok(texts)
}

fn own(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn own_all(texts: Vec<Cow<'_, str>>) -> Vec<Cow<'static, str>> {
    texts.into_iter().map(own).collect()
}

impl From<LayerError> for TransportError {
    fn from(error: LayerError) -> Self {
        Self::Layer(error)
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(error) => write!(f, "transport: {error}"),
            Self::Base64(error) => write!(f, "transport: field data is {error}"),
        }
    }
}

impl std::error::Error for TransportError {}

#[cfg(test)]
mod tests;
