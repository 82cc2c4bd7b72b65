//! What a client sends.
//!
//! ```text
//! CONNECT {json}                              SUB subject [queue] sid
//! PUB subject [reply] size  + payload         UNSUB sid [max]
//! HPUB subject [reply] hdr total + payload    PING  PONG  +OK  -ERR 'text'  INFO {json}
//! ```
//!
//! Names in any case; arguments apart by runs of spaces and tabs; lines end with LF or CR LF;
//! a payload is followed by exactly CR LF.
//! The parser checks the shape alone: subjects are not judged (see [`subject`](crate::subject)),
//! and whether an operation is allowed in the connection's state is for the broker to say.
//! Operations of other connection kinds (`RS+`, `HMSG`, …) are unknown here.
//!
//! Invariant: the result depends on the bytes alone, not on how they were cut into calls.
//! Spec: `docs/wire.md`.

use crate::limits::Limits;
use crate::scan::{self, Blank, Frame, Line, StrayCr};

pub use crate::error::{ArgumentError, ParseError};

/// One operation of a client, borrowing from the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientOp<'a> {
    /// The raw JSON argument; [`Connect::parse`](crate::connect::Connect::parse) reads it.
    /// May be empty, which is no JSON.
    Connect(&'a [u8]),
    /// A client has no business to send this; its JSON is read and ignored.
    Info(&'a [u8]),
    /// PUB and HPUB.
    Pub {
        /// Not checked: may hold empty or wildcard tokens.
        subject: &'a [u8],
        /// Where answers go. Not checked.
        reply: Option<&'a [u8]>,
        /// How many bytes of `payload` are headers; 0 for PUB, and an HPUB with 0 is a PUB.
        headers_len: usize,
        /// Headers and body, without the CR LF behind them.
        payload: &'a [u8],
    },
    /// A new subscription.
    Sub {
        /// Not checked: may hold empty tokens.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// Any bytes, echoed in each delivery.
        sid: &'a [u8],
    },
    /// The end of a subscription, at once or after `max` deliveries in all.
    Unsub {
        /// The subscription.
        sid: &'a [u8],
        /// `None` also stands for a maximum that is no number of up to nine digits.
        max: Option<u64>,
    },
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// Of no consequence.
    Ok,
    /// The client reports an error, text without quotes. The broker logs it and closes.
    Err(&'a [u8]),
}

/// What stands at the buffer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A whole operation.
    Op {
        /// The operation.
        op: ClientOp<'a>,
        /// How many bytes it took; the next one begins there.
        len: usize,
    },
    /// The beginning of one, or nothing.
    Incomplete {
        /// The least length of the buffer at which another call can yield an operation; always
        /// above its present length. Exact once a PUB's control line is there.
        need: usize,
    },
}

/// Reads the operation at the start of `buf`.
///
/// # Errors
///
/// The peer broke the protocol; see [`ParseError`] for the answer it gets.
pub fn next_client_op<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, ParseError> {
    let second = buf.get(1).map(u8::to_ascii_lowercase);
    match (buf.first().map(u8::to_ascii_lowercase), second) {
        (None, _) | (Some(b'p'), None) => incomplete(buf),
        (Some(b'p'), Some(b'u')) => publish(buf, limits),
        (Some(b'p'), Some(b'i')) => bare(buf, b"ping", ClientOp::Ping),
        (Some(b'p'), Some(b'o')) => bare(buf, b"pong", ClientOp::Pong),
        (Some(b'h'), _) => publish_with_headers(buf, limits),
        (Some(b's'), _) => subscribe(buf, limits),
        (Some(b'u'), _) => unsubscribe(buf, limits),
        (Some(b'c'), _) => json(buf, b"connect", limits, ClientOp::Connect),
        (Some(b'i'), _) => json(buf, b"info", limits, ClientOp::Info),
        (Some(b'+'), _) => bare(buf, b"+ok", ClientOp::Ok),
        (Some(b'-'), _) => match line(buf, b"-err", Blank::Required, limits)? {
            Some(line) => Ok(Step::Op {
                op: ClientOp::Err(scan::unquoted(line.argument)),
                len: line.end,
            }),
            None => incomplete(buf),
        },
        (Some(_), _) => Err(ParseError::UnknownOperation),
    }
}

fn publish<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, ParseError> {
    let Some(line) = line(buf, b"pub", Blank::Required, limits)? else {
        return incomplete(buf);
    };
    let (subject, reply, size) = match scan::split::<3>(line.argument, StrayCr::Refused)? {
        ([subject, size, _], 2) => (subject, None, size),
        ([subject, reply, size], 3) => (subject, Some(reply), size),
        _ => return Err(ArgumentError::Count.into()),
    };
    let total = scan::size(size)?;
    message(
        buf,
        limits,
        line.end,
        Head {
            subject,
            reply,
            headers_len: 0,
            total,
        },
    )
}

fn publish_with_headers<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, ParseError> {
    let Some(line) = line(buf, b"hpub", Blank::Required, limits)? else {
        return incomplete(buf);
    };
    if !limits.headers {
        return Err(ParseError::HeadersNotSupported);
    }
    let (subject, reply, headers, total) = match scan::split::<4>(line.argument, StrayCr::Refused)?
    {
        ([subject, headers, total, _], 3) => (subject, None, headers, total),
        ([subject, reply, headers, total], 4) => (subject, Some(reply), headers, total),
        _ => return Err(ArgumentError::Count.into()),
    };
    let (headers_len, total) = (scan::size(headers)?, scan::size(total)?);
    if headers_len > total {
        return Err(ArgumentError::HeadersLongerThanTotal.into());
    }
    message(
        buf,
        limits,
        line.end,
        Head {
            subject,
            reply,
            headers_len,
            total,
        },
    )
}

/// The arguments of a PUB or HPUB.
struct Head<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    headers_len: usize,
    total: usize,
}

fn message<'a>(
    buf: &'a [u8],
    limits: &Limits,
    start: usize,
    head: Head<'a>,
) -> Result<Step<'a>, ParseError> {
    let Head {
        subject,
        reply,
        headers_len,
        total,
    } = head;
    if total > limits.payload_max {
        return Err(ParseError::PayloadTooLarge);
    }
    Ok(match scan::frame(buf, start, total)? {
        Frame::Whole { payload, len } => Step::Op {
            op: ClientOp::Pub {
                subject,
                reply,
                headers_len,
                payload,
            },
            len,
        },
        Frame::Need(need) => Step::Incomplete { need },
    })
}

fn subscribe<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, ParseError> {
    let Some(line) = line(buf, b"sub", Blank::Required, limits)? else {
        return incomplete(buf);
    };
    let (subject, queue, sid) = match scan::split::<3>(line.argument, StrayCr::Separates)? {
        ([subject, sid, _], 2) => (subject, None, sid),
        ([subject, queue, sid], 3) => (subject, Some(queue), sid),
        _ => return Err(ArgumentError::Count.into()),
    };
    Ok(Step::Op {
        op: ClientOp::Sub {
            subject,
            queue,
            sid,
        },
        len: line.end,
    })
}

fn unsubscribe<'a>(buf: &'a [u8], limits: &Limits) -> Result<Step<'a>, ParseError> {
    let Some(line) = line(buf, b"unsub", Blank::Required, limits)? else {
        return incomplete(buf);
    };
    let (sid, max) = match scan::split::<2>(line.argument, StrayCr::Separates)? {
        ([sid, _], 1) => (sid, None),
        // The dialect takes a maximum it cannot read for none.
        ([sid, max], 2) => (
            sid,
            scan::size(max).ok().and_then(|max| u64::try_from(max).ok()),
        ),
        _ => return Err(ArgumentError::Count.into()),
    };
    Ok(Step::Op {
        op: ClientOp::Unsub { sid, max },
        len: line.end,
    })
}

fn json<'a>(
    buf: &'a [u8],
    name: &[u8],
    limits: &Limits,
    op: impl FnOnce(&'a [u8]) -> ClientOp<'a>,
) -> Result<Step<'a>, ParseError> {
    match line(buf, name, Blank::Optional, limits)? {
        Some(line) => Ok(Step::Op {
            op: op(line.argument),
            len: line.end,
        }),
        None => incomplete(buf),
    }
}

fn bare<'a>(buf: &'a [u8], name: &[u8], op: ClientOp<'a>) -> Result<Step<'a>, ParseError> {
    if scan::has_name(buf, name)?
        && let Some(len) = scan::ignored_line(buf, name.len())?
    {
        return Ok(Step::Op { op, len });
    }
    incomplete(buf)
}

fn line<'a>(
    buf: &'a [u8],
    name: &[u8],
    blank: Blank,
    limits: &Limits,
) -> Result<Option<Line<'a>>, ParseError> {
    if !scan::has_name(buf, name)? {
        return Ok(None);
    }
    scan::control_line(buf, name.len(), blank, limits.control_line_max)
}

fn incomplete(buf: &[u8]) -> Result<Step<'_>, ParseError> {
    Ok(Step::Incomplete {
        need: buf.len() + 1,
    })
}
