//! Publishes of a [`ClientCore`]: what may be sent, and where it waits.
//!
//! On a working connection a message goes to the output; without one it is kept, within a small bound, and follows the subscriptions on the next connection.
//! A message is taken whole or refused whole, and every refusal is counted.

use muster_wire::encode;

use super::core::{ClientCore, Phase, as_u64};
use super::error::PublishError;
use super::subscription::is_sendable;

/// Bytes of a PUB or HPUB beside its subjects, headers and payload, at most: the verb, blanks, two sizes and line ends.
const FRAME_MAX: usize = 40;

impl ClientCore {
    /// Publishes. Without a connection the message is kept and sent on the next one, while there is room.
    pub fn publish(
        &mut self,
        subject: &[u8],
        reply: Option<&[u8]>,
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let size = payload.len();
        let room = self.room_for(subject, reply, size);
        self.put(room, size, |out| {
            encode::put_pub(out, subject, reply, payload);
        })
    }

    /// Publishes with a header block: `NATS/1.0`, lines and an empty line, each ending in CR LF.
    pub fn publish_with_headers(
        &mut self,
        subject: &[u8],
        reply: Option<&[u8]>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let size = headers.len().saturating_add(payload.len());
        let room = self.room_for(subject, reply, size).and_then(|()| {
            if !headers.starts_with(b"NATS/1.0") || !headers.ends_with(b"\r\n\r\n") {
                return Err(PublishError::BadHeaders);
            }
            let offered = self.server.is_none_or(|server| server.headers);
            let usable = offered && self.config.connect.headers;
            if usable {
                Ok(())
            } else {
                Err(PublishError::HeadersNotSupported)
            }
        });
        self.put(room, size, |out| {
            encode::put_hpub(out, subject, reply, headers, payload);
        })
    }

    /// Checks everything about a publish but its headers.
    fn room_for(
        &self,
        subject: &[u8],
        reply: Option<&[u8]>,
        size: usize,
    ) -> Result<(), PublishError> {
        if self.phase == Phase::Closed {
            return Err(PublishError::Closed);
        }
        if !is_sendable(subject) || reply.is_some_and(|reply| !is_sendable(reply)) {
            return Err(PublishError::BadSubject);
        }
        let server_max = self.server.map_or(usize::MAX, |server| server.max_payload);
        let max = self.config.payload_max.min(server_max);
        if size > max {
            return Err(PublishError::TooLarge { size, max });
        }
        let framed = size + subject.len() + reply.map_or(0, <[u8]>::len) + FRAME_MAX;
        if self.phase == Phase::Ready {
            let max = self.config.pending_max;
            let fits = self.out.len().saturating_add(framed) <= max;
            return if fits {
                Ok(())
            } else {
                Err(PublishError::PendingFull { max })
            };
        }
        let max = self.config.reconnect_buffer_max;
        let fits = self.kept.len().saturating_add(framed) <= max;
        if fits {
            Ok(())
        } else {
            Err(PublishError::ReconnectBufferFull { max })
        }
    }

    fn put(
        &mut self,
        room: Result<(), PublishError>,
        size: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PublishError> {
        if let Err(error) = room {
            self.stats.refused = self.stats.refused.saturating_add(1);
            return Err(error);
        }
        let ready = self.phase == Phase::Ready;
        encode(if ready {
            self.out.encoder()
        } else {
            &mut self.kept
        });
        self.stats.out_messages += 1;
        self.stats.out_bytes += as_u64(size);
        Ok(())
    }
}
