//! The transport of a reply, as little as its reader needs.

use std::borrow::Cow;

use crate::json::{LayerError, RawStr, Reader, Text};
use crate::version::ProtocolVersion;

/// Data and sender of a transport, for readers that bring their own buffers and need no trace.
pub(crate) struct Digest<'a> {
    pub(crate) version: ProtocolVersion,
    pub(crate) data: RawStr<'a>,
    pub(crate) sender: Option<Cow<'a, str>>,
}

impl<'a> Digest<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, LayerError> {
        let mut reader = Reader::new(payload)?;
        let mut protocol = Text::new("protocol");
        let mut data = Text::new("data");
        let mut sender_v1 = Text::new("headers.mc_sender");
        let mut sender_v2 = Text::new("headers.sender");
        reader.object("transport")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "protocol" => protocol.read(&mut reader)?,
                "data" => data.read(&mut reader)?,
                "headers" if !reader.null()? => {
                    reader.object("headers")?;
                    while let Some(key) = reader.next_key()? {
                        match &*key.to_cow() {
                            "mc_sender" => sender_v1.read(&mut reader)?,
                            "sender" => sender_v2.read(&mut reader)?,
                            _ => {
                                reader.value()?;
                            }
                        }
                    }
                }
                "headers" => {}
                _ => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        let version = protocol.version(ProtocolVersion::transport)?;
        let sender = match version {
            ProtocolVersion::V1 => sender_v1,
            ProtocolVersion::V2 => sender_v2,
        };
        Ok(Self {
            version,
            data: data.non_empty()?,
            sender: sender.optional(),
        })
    }
}
