//! What a server sends to a client.
//!
//! ```text
//! INFO {json}                                    PING  PONG  +OK
//! MSG subject sid [reply] size      + payload    -ERR 'text'
//! HMSG subject sid [reply] hdr total + payload
//! ```
//!
//! The same rules of form as in [`client_op`](crate::client_op), seen from the other end.
//! Sids are numbers, since it was our client that chose them.
//!
//! Invariant: the result depends on the bytes alone, not on how they were cut into calls.

use crate::error::{ArgumentError, ParseError};
use crate::scan::{self, Blank, Frame, Line, StrayCr};

/// One operation of a server, borrowing from the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOp<'a> {
    /// The raw JSON argument, without the blank that servers leave behind it;
    /// [`Info::parse`](crate::info::Info::parse) reads it.
    Info(&'a [u8]),
    /// MSG and HMSG.
    Msg {
        /// What it was published to.
        subject: &'a [u8],
        /// Which of the client's subscriptions it is for.
        sid: u64,
        /// Where an answer goes.
        reply: Option<&'a [u8]>,
        /// How many bytes of `payload` are headers; 0 for MSG.
        headers_len: usize,
        /// Headers and body, without the CR LF behind them.
        payload: &'a [u8],
    },
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// Accepts an operation of a verbose client.
    Ok,
    /// The text without its quotes; its spelling decides what a client does next.
    Err(&'a [u8]),
}

/// What stands at the buffer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerStep<'a> {
    /// A whole operation.
    Op {
        /// The operation.
        op: ServerOp<'a>,
        /// How many bytes it took; the next one begins there.
        len: usize,
    },
    /// The beginning of one, or nothing.
    Incomplete {
        /// The least length of the buffer at which another call can yield an operation; always
        /// above its present length. Exact once a MSG's control line is there.
        need: usize,
    },
}

/// Reads the operation at the start of `buf`.
///
/// `control_line_max` must leave room for INFO, which lists every server of a cluster.
///
/// # Errors
///
/// The server broke the protocol or one of the two limits; the client can only hang up.
pub fn next_server_op(
    buf: &[u8],
    control_line_max: usize,
    payload_max: usize,
) -> Result<ServerStep<'_>, ParseError> {
    let second = buf.get(1).map(u8::to_ascii_lowercase);
    let line = |name, blank| line(buf, name, blank, control_line_max);
    let found = match (buf.first().map(u8::to_ascii_lowercase), second) {
        (None, _) | (Some(b'p'), None) => None,
        (Some(b'm'), _) => match line(b"msg", Blank::Required)? {
            Some(line) => return message(buf, line.end, plain_head(line.argument)?, payload_max),
            None => None,
        },
        (Some(b'h'), _) => match line(b"hmsg", Blank::Required)? {
            Some(line) => return message(buf, line.end, headers_head(line.argument)?, payload_max),
            None => None,
        },
        (Some(b'p'), Some(b'i')) => bare(buf, b"ping", ServerOp::Ping)?,
        (Some(b'p'), Some(b'o')) => bare(buf, b"pong", ServerOp::Pong)?,
        (Some(b'+'), _) => bare(buf, b"+ok", ServerOp::Ok)?,
        (Some(b'-'), _) => line(b"-err", Blank::Required)?
            .map(|line| (ServerOp::Err(scan::unquoted(line.argument)), line.end)),
        (Some(b'i'), _) => line(b"info", Blank::Optional)?
            .map(|line| (ServerOp::Info(line.argument.trim_ascii_end()), line.end)),
        (Some(_), _) => return Err(ParseError::UnknownOperation),
    };
    Ok(match found {
        Some((op, len)) => ServerStep::Op { op, len },
        None => ServerStep::Incomplete {
            need: buf.len() + 1,
        },
    })
}

/// The arguments of a MSG or HMSG.
struct Head<'a> {
    subject: &'a [u8],
    sid: &'a [u8],
    reply: Option<&'a [u8]>,
    headers_len: usize,
    total: usize,
}

fn plain_head(argument: &[u8]) -> Result<Head<'_>, ArgumentError> {
    let (subject, sid, reply, size) = match scan::split::<4>(argument, StrayCr::Refused)? {
        ([subject, sid, size, _], 3) => (subject, sid, None, size),
        ([subject, sid, reply, size], 4) => (subject, sid, Some(reply), size),
        _ => return Err(ArgumentError::Count),
    };
    Ok(Head {
        subject,
        sid,
        reply,
        headers_len: 0,
        total: scan::size(size)?,
    })
}

fn headers_head(argument: &[u8]) -> Result<Head<'_>, ArgumentError> {
    let (subject, sid, reply, headers, total) = match scan::split::<5>(argument, StrayCr::Refused)?
    {
        ([subject, sid, headers, total, _], 4) => (subject, sid, None, headers, total),
        ([subject, sid, reply, headers, total], 5) => (subject, sid, Some(reply), headers, total),
        _ => return Err(ArgumentError::Count),
    };
    let (headers_len, total) = (scan::size(headers)?, scan::size(total)?);
    if headers_len > total {
        return Err(ArgumentError::HeadersLongerThanTotal);
    }
    Ok(Head {
        subject,
        sid,
        reply,
        headers_len,
        total,
    })
}

fn message<'a>(
    buf: &'a [u8],
    start: usize,
    head: Head<'a>,
    payload_max: usize,
) -> Result<ServerStep<'a>, ParseError> {
    let Head {
        subject,
        sid,
        reply,
        headers_len,
        total,
    } = head;
    let sid = scan::number(sid).ok_or(ArgumentError::Sid)?;
    if total > payload_max {
        return Err(ParseError::PayloadTooLarge);
    }
    Ok(match scan::frame(buf, start, total)? {
        Frame::Whole { payload, len } => ServerStep::Op {
            op: ServerOp::Msg {
                subject,
                sid,
                reply,
                headers_len,
                payload,
            },
            len,
        },
        Frame::Need(need) => ServerStep::Incomplete { need },
    })
}

fn bare<'a>(
    buf: &[u8],
    name: &[u8],
    op: ServerOp<'a>,
) -> Result<Option<(ServerOp<'a>, usize)>, ParseError> {
    if !scan::has_name(buf, name)? {
        return Ok(None);
    }
    Ok(scan::ignored_line(buf, name.len())?.map(|len| (op, len)))
}

fn line<'a>(
    buf: &'a [u8],
    name: &[u8],
    blank: Blank,
    control_line_max: usize,
) -> Result<Option<Line<'a>>, ParseError> {
    if !scan::has_name(buf, name)? {
        return Ok(None);
    }
    scan::control_line(buf, name.len(), blank, control_line_max)
}
