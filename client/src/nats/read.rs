//! Bytes of a [`ClientCore`]: from what was read to operations, and from a MSG to its subscription.
//!
//! Whole operations are parsed where they lie in the driver's buffer; only an unfinished one is copied, and it takes from the next bytes no more than it needs.
//! Whatever way the input was cut, the sink sees the same.

use std::mem;
use std::time::Duration;

use muster_wire::encode;
use muster_wire::server_op::{self, ServerOp, ServerStep};

use super::core::{ClientCore, Phase, as_u64};
use super::error::ProtocolError;
use super::event::{Event, EventSink, LinkEnd, Message};
use super::subscription::{Delivery, Sid};

/// Longest control line taken from a server. INFO is the longest: a cluster of a thousand servers makes some 30 KB.
const CONTROL_LINE_MAX: usize = 64 * 1024;

impl ClientCore {
    /// Bytes arrived, out of TLS where that is in use.
    ///
    /// Whole messages are handed to the sink from where they lie; only an unfinished one is copied.
    /// After an error the link is given up already; the error is for the log.
    pub fn handle_bytes<S: EventSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        now: Duration,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        let result = self.read(bytes, now, sink);
        if let Err(error) = result {
            self.end_link(LinkEnd::Protocol(error), now, sink);
        }
        result
    }

    fn read<S: EventSink + ?Sized>(
        &mut self,
        mut bytes: &[u8],
        now: Duration,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        while !bytes.is_empty() {
            match self.phase {
                Phase::Waiting | Phase::Dialing | Phase::Closed => return Ok(()),
                Phase::AwaitTls => return self.read_before_tls(bytes, now, sink),
                Phase::AwaitInfo | Phase::AwaitPong | Phase::Ready => {}
            }
            if !self.partial.is_empty() {
                bytes = self.complete_partial(bytes, now, sink)?;
                continue;
            }
            match self.parse(bytes)? {
                ServerStep::Op { op, len } => {
                    self.handle_op(op, now, sink)?;
                    bytes = &bytes[len..];
                }
                ServerStep::Incomplete { .. } => {
                    self.partial.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Adds to the unfinished operation what belongs to it and no more; returns the rest.
    /// So what follows is parsed where it lies, and `partial` never holds more than one operation.
    fn complete_partial<'a, S: EventSink + ?Sized>(
        &mut self,
        bytes: &'a [u8],
        now: Duration,
        sink: &mut S,
    ) -> Result<&'a [u8], ProtocolError> {
        let mut partial = mem::take(&mut self.partial);
        let need = match self.parse(&partial)? {
            ServerStep::Incomplete { need } => need - partial.len(),
            ServerStep::Op { .. } => 0,
        };
        let wanted = if need > 1 {
            need
        } else {
            // The control line is unfinished, or one last LF is missing: in both cases up to the next LF.
            bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| at + 1)
        };
        let (belongs, rest) = bytes.split_at(wanted.min(bytes.len()));
        partial.extend_from_slice(belongs);
        match self.parse(&partial)? {
            ServerStep::Op { op, .. } => self.handle_op(op, now, sink)?,
            ServerStep::Incomplete { .. } => self.partial = partial,
        }
        Ok(rest)
    }

    fn parse<'a>(&self, bytes: &'a [u8]) -> Result<ServerStep<'a>, ProtocolError> {
        let step = server_op::next_server_op(bytes, CONTROL_LINE_MAX, self.config.payload_max)?;
        Ok(step)
    }

    /// A server that is full says so in clear, right behind its INFO, and closes; nothing else may come before TLS.
    fn read_before_tls<S: EventSink + ?Sized>(
        &mut self,
        bytes: &[u8],
        now: Duration,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        match self.parse(bytes) {
            Ok(ServerStep::Op {
                op: ServerOp::Err(text),
                ..
            }) if LinkEnd::of_server_error(text).is_some() => {
                self.handle_server_error(text, now, sink);
                Ok(())
            }
            _ => Err(ProtocolError::BytesBeforeTls),
        }
    }

    fn handle_op<S: EventSink + ?Sized>(
        &mut self,
        op: ServerOp<'_>,
        now: Duration,
        sink: &mut S,
    ) -> Result<(), ProtocolError> {
        match op {
            ServerOp::Info(json) => return self.handle_info(json, now, sink),
            ServerOp::Err(text) => self.handle_server_error(text, now, sink),
            _ if self.phase == Phase::AwaitInfo => return Err(ProtocolError::ExpectedInfo),
            ServerOp::Msg {
                subject,
                sid,
                reply,
                headers_len,
                payload,
            } => {
                let (headers, payload) = payload.split_at(headers_len);
                let sid = Sid(sid);
                self.deliver(
                    Message {
                        sid,
                        subject,
                        reply,
                        headers,
                        payload,
                    },
                    sink,
                );
            }
            // A server that sends pings and reads nothing must not fill our memory.
            ServerOp::Ping if self.out.len() < self.config.pending_max => {
                encode::put_pong(self.out.encoder());
            }
            ServerOp::Pong if self.phase == Phase::AwaitPong => self.become_ready(now, sink),
            ServerOp::Pong => self.handle_pong(sink),
            ServerOp::Ping | ServerOp::Ok => {}
        }
        Ok(())
    }

    fn deliver<S: EventSink + ?Sized>(&mut self, message: Message<'_>, sink: &mut S) {
        // The server does not count its 503 against the maximum of a subscription, so neither do we.
        let counts = !message.is_no_responders();
        let delivery = self.subscriptions.deliver(message.sid, counts);
        if delivery == Delivery::Unknown {
            self.stats.unknown_sid = self.stats.unknown_sid.saturating_add(1);
            return;
        }
        self.stats.in_messages += 1;
        self.stats.in_bytes += as_u64(message.headers.len() + message.payload.len());
        sink.message(message);
        if delivery == Delivery::Last {
            sink.event(Event::Unsubscribed(message.sid));
        }
    }
}
