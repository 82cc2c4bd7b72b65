//! The reply document as spans, for readers that bring their own buffers.

use crate::json::{LayerError, RawStr, Reader, Text};
use crate::version::ProtocolVersion;

pub(super) struct RawReply<'a> {
    /// Version 1: the body; version 2: its base64. An empty one is fine: it still counts as an answer.
    pub(super) message: Text<'a>,
    pub(super) request_id: RawStr<'a>,
    pub(super) sender: RawStr<'a>,
    pub(super) agent: RawStr<'a>,
    pub(super) time: i64,
}

impl<'a> RawReply<'a> {
    pub(super) fn read(
        version: ProtocolVersion,
        mut reader: Reader<'a>,
    ) -> Result<Self, LayerError> {
        let mut protocol = Text::new("protocol");
        let mut message = Text::new("message");
        let mut envelope = RawEnvelope::of(version);
        let mut has_envelope = version == ProtocolVersion::V2;
        reader.object("reply")?;
        while let Some(key) = reader.next_key()? {
            match (&*key.to_cow(), version) {
                ("protocol", _) => protocol.read(&mut reader)?,
                ("message", _) => message.read(&mut reader)?,
                ("envelope", ProtocolVersion::V1) => {
                    envelope.read_object(&mut reader)?;
                    has_envelope = true;
                }
                (key, ProtocolVersion::V2) => envelope.read_member(key, &mut reader)?,
                (_, ProtocolVersion::V1) => {
                    reader.value()?;
                }
            }
        }
        reader.end()?;
        protocol.constant(version.reply())?;
        if !has_envelope {
            return Err(LayerError::Missing("envelope"));
        }
        message.required()?;
        Ok(Self {
            message,
            request_id: envelope.request_id.non_empty()?,
            sender: envelope.sender.non_empty()?,
            agent: envelope.agent.required()?,
            time: envelope
                .time
                .ok_or(LayerError::Missing(envelope.time_field))?,
        })
    }

    pub(super) fn decode_message(&self, out: &mut Vec<u8>) -> Result<(), LayerError> {
        if self.message.required()?.is_empty() {
            return Ok(());
        }
        self.message.decode_into(out)
    }
}

/// What stands in version 1's envelope and, under one other name, beside the body in version 2.
struct RawEnvelope<'a> {
    request_id: Text<'a>,
    sender: Text<'a>,
    agent: Text<'a>,
    time: Option<i64>,
    time_field: &'static str,
}

impl<'a> RawEnvelope<'a> {
    const fn of(version: ProtocolVersion) -> Self {
        match version {
            ProtocolVersion::V1 => Self {
                request_id: Text::new("envelope.requestid"),
                sender: Text::new("envelope.senderid"),
                agent: Text::new("envelope.agent"),
                time: None,
                time_field: "envelope.time",
            },
            ProtocolVersion::V2 => Self {
                request_id: Text::new("request"),
                sender: Text::new("sender"),
                agent: Text::new("agent"),
                time: None,
                time_field: "time",
            },
        }
    }

    fn read_object(&mut self, reader: &mut Reader<'a>) -> Result<(), LayerError> {
        reader.object("envelope")?;
        while let Some(key) = reader.next_key()? {
            match &*key.to_cow() {
                "requestid" => self.request_id.read(reader)?,
                "senderid" => self.sender.read(reader)?,
                "agent" => self.agent.read(reader)?,
                "time" => self.time = Some(reader.whole(self.time_field)?),
                _ => {
                    reader.value()?;
                }
            }
        }
        Ok(())
    }

    /// Reads a member of a version 2 document.
    fn read_member(&mut self, key: &str, reader: &mut Reader<'a>) -> Result<(), LayerError> {
        match key {
            "request" => self.request_id.read(reader),
            "sender" => self.sender.read(reader),
            "agent" => self.agent.read(reader),
            "time" => {
                self.time = Some(reader.whole(self.time_field)?);
                Ok(())
            }
            _ => Ok(reader.value().map(drop)?),
        }
    }
}
