//! What brokers of one cluster send each other over a route.
//!
//! ```text
//! RS+ account subject [queue weight]            INFO {json}     PING  PONG
//! RS- account subject [queue]                   CONNECT {json}  +OK   -ERR 'text'
//! RMSG account subject [tail] size              + payload
//! HMSG account subject [tail] hdr total         + payload
//!
//! tail: reply | "|" queue... | "+" reply queue...
//! ```
//!
//! `LS+ origin …`, `LS- …` and `LMSG origin …` are the same for interest and messages that came from a
//! leaf node's cluster; a broker that does not announce `lnoc` is sent none of them.
//! `A+` and `A-` belong to gateways and mean nothing here.
//!
//! The same rules of form as in [`client_op`](crate::client_op). Single brokers send single blanks;
//! runs of blanks, names in any case and a bare LF are taken too.
//! Operations of clients (`PUB`, `SUB`, `MSG`, …) are unknown here.
//! The writers lie beside the parser, and append to a buffer like those of [`encode`](crate::encode).
//!
//! Invariant: the result depends on the bytes alone, not on how they were cut into calls.

use crate::error::{ArgumentError, ParseError};
use crate::scan::{self, Blank, Frame, Line, StrayCr};

mod put;

pub use put::{put_route_msg_head, put_rs_minus, put_rs_plus};

/// Bounds of one route. An incomplete operation makes a caller hold at most the larger of an INFO line
/// and a control line with `payload_max` bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteLimits {
    /// Most argument bytes of a control line: 64 KiB, as other brokers of the dialect have it.
    pub control_line_max: usize,
    /// Most argument bytes of INFO and CONNECT, which list the addresses of a whole cluster: 1 MiB.
    pub json_max: usize,
    /// Most bytes of headers and body: 64 MiB, the most that a broker of the dialect can be told to
    /// take of a client. A broker's own limit for clients does not count on routes.
    pub payload_max: usize,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self {
            control_line_max: 64 * 1024,
            json_max: 1024 * 1024,
            payload_max: 64 * 1024 * 1024,
        }
    }
}

/// One operation of another broker, borrowing from the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteOp<'a> {
    /// The raw JSON argument.
    Info(&'a [u8]),
    /// The raw JSON argument; only who dialled sends it.
    Connect(&'a [u8]),
    /// RS+ and LS+: the peer has members for this, or another number of them.
    Subscribe {
        /// The leaf node's cluster, for LS+.
        origin: Option<&'a [u8]>,
        /// The account's name.
        account: &'a [u8],
        /// Not checked: may hold empty tokens.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// How many members the group has at the peer. 0 for a number that cannot be read; 1 without a queue.
        weight: u32,
    },
    /// RS- and LS-: the peer has no members for this any more.
    Unsubscribe {
        /// The leaf node's cluster, for an LS- that names it.
        origin: Option<&'a [u8]>,
        /// The account's name.
        account: &'a [u8],
        /// Not checked.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
    },
    /// RMSG, HMSG and LMSG.
    Message(RouteMsg<'a>),
    /// A+ and A-.
    Account,
    /// Wants a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// Of no consequence.
    Ok,
    /// The peer reports an error and closes; text without quotes.
    Err(&'a [u8]),
}

/// A message on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMsg<'a> {
    /// The leaf node's cluster, for LMSG.
    pub origin: Option<&'a [u8]>,
    /// The account's name.
    pub account: &'a [u8],
    /// What it was published to.
    pub subject: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// The queue groups of which the receiver must serve one member each.
    pub queues: QueueNames<'a>,
    /// How many bytes of `payload` are headers.
    pub headers_len: usize,
    /// Headers and body, without the CR LF behind them.
    pub payload: &'a [u8],
}

/// The queue names of a message: as they stand in its control line, apart by runs of blanks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueNames<'a>(&'a [u8]);

impl<'a> QueueNames<'a> {
    /// Each name, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let name;
            (name, rest) = scan::field(rest)?;
            Some(name)
        })
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// What stands at the buffer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteStep<'a> {
    /// A whole operation.
    Op {
        /// The operation.
        op: RouteOp<'a>,
        /// How many bytes it took; the next one begins there.
        len: usize,
    },
    /// The beginning of one, or nothing.
    Incomplete {
        /// The least length of the buffer at which another call can yield an operation; always
        /// above its present length. Exact once a message's control line is there.
        need: usize,
    },
}

/// Reads the operation at the start of `buf`.
///
/// # Errors
///
/// The peer broke the protocol or one of the limits; the route must be closed.
pub fn next_route_op<'a>(buf: &'a [u8], limits: &RouteLimits) -> Result<RouteStep<'a>, ParseError> {
    let lower = |at: usize| buf.get(at).map(u8::to_ascii_lowercase);
    let line = |name, blank| line(buf, name, blank, limits.control_line_max);
    let json = |name| self::line(buf, name, Blank::Optional, limits.json_max);
    let found = match (lower(0), lower(1)) {
        (None, _) | (Some(b'p' | b'r' | b'l' | b'a'), None) => None,
        (Some(b'r'), Some(b'm')) => return message(buf, b"rmsg", limits, Form::PLAIN),
        (Some(b'h'), _) => return message(buf, b"hmsg", limits, Form::HEADERS),
        (Some(b'l'), Some(b'm')) => return message(buf, b"lmsg", limits, Form::LEAF),
        (Some(first @ (b'r' | b'l')), Some(_)) => interest(buf, first, limits)?,
        (Some(b'a'), Some(sign)) => {
            let name: &[u8] = if sign == b'+' { b"a+" } else { b"a-" };
            line(name, Blank::Required)?.map(|line| (RouteOp::Account, line.end))
        }
        (Some(b'p'), Some(b'i')) => bare(buf, b"ping", RouteOp::Ping)?,
        (Some(b'p'), Some(b'o')) => bare(buf, b"pong", RouteOp::Pong)?,
        (Some(b'+'), _) => bare(buf, b"+ok", RouteOp::Ok)?,
        (Some(b'-'), _) => line(b"-err", Blank::Required)?
            .map(|line| (RouteOp::Err(scan::unquoted(line.argument)), line.end)),
        (Some(b'i'), _) => {
            json(b"info")?.map(|line| (RouteOp::Info(line.argument.trim_ascii_end()), line.end))
        }
        (Some(b'c'), _) => json(b"connect")?
            .map(|line| (RouteOp::Connect(line.argument.trim_ascii_end()), line.end)),
        (Some(_), _) => return Err(ParseError::UnknownOperation),
    };
    Ok(match found {
        Some((op, len)) => RouteStep::Op { op, len },
        None => RouteStep::Incomplete {
            need: buf.len() + 1,
        },
    })
}

type Found<'a> = Option<(RouteOp<'a>, usize)>;

/// RS+, RS-, LS+ and LS-.
fn interest<'a>(buf: &'a [u8], first: u8, limits: &RouteLimits) -> Result<Found<'a>, ParseError> {
    let leaf = first == b'l';
    let adds = buf.get(2) == Some(&b'+');
    let name: &[u8] = match (leaf, adds) {
        (false, true) => b"rs+",
        (false, false) => b"rs-",
        (true, true) => b"ls+",
        (true, false) => b"ls-",
    };
    let Some(line) = line(buf, name, Blank::Required, limits.control_line_max)? else {
        return Ok(None);
    };
    let (fields, count) = scan::split::<5>(line.argument, StrayCr::Separates)?;
    let op = if adds {
        subscribe(&fields[..count], leaf)?
    } else {
        unsubscribe(&fields[..count], leaf)?
    };
    Ok(Some((op, line.end)))
}

fn subscribe<'a>(fields: &[&'a [u8]], leaf: bool) -> Result<RouteOp<'a>, ArgumentError> {
    let (origin, fields) = match fields {
        [origin, rest @ ..] if leaf => (Some(*origin), rest),
        all => (None, all),
    };
    let (account, subject, queue, weight) = match *fields {
        [account, subject] => (account, subject, None, 1),
        [account, subject, queue, weight] => (account, subject, Some(queue), number(weight)),
        _ => return Err(ArgumentError::Count),
    };
    Ok(RouteOp::Subscribe {
        origin,
        account,
        subject,
        queue,
        weight,
    })
}

/// Three arguments of an LS- are account, subject and queue: with an origin the peer would have to know
/// that we know it there, which is announced apart from `lnoc`.
fn unsubscribe<'a>(fields: &[&'a [u8]], leaf: bool) -> Result<RouteOp<'a>, ArgumentError> {
    let (origin, account, subject, queue) = match *fields {
        [account, subject] => (None, account, subject, None),
        [account, subject, queue] => (None, account, subject, Some(queue)),
        [origin, account, subject, queue] if leaf => (Some(origin), account, subject, Some(queue)),
        _ => return Err(ArgumentError::Count),
    };
    Ok(RouteOp::Unsubscribe {
        origin,
        account,
        subject,
        queue,
    })
}

/// A weight that cannot be read is none: the dialect keeps such a member and never selects it.
fn number(digits: &[u8]) -> u32 {
    scan::number(digits).map_or(0, |weight| u32::try_from(weight).unwrap_or(u32::MAX))
}

/// What stands in a message's control line beside account, subject and total.
#[derive(Clone, Copy)]
struct Form {
    origin: bool,
    headers: bool,
}

impl Form {
    const PLAIN: Self = Self {
        origin: false,
        headers: false,
    };
    const HEADERS: Self = Self {
        origin: false,
        headers: true,
    };
    const LEAF: Self = Self {
        origin: true,
        headers: true,
    };
}

fn message<'a>(
    buf: &'a [u8],
    name: &[u8],
    limits: &RouteLimits,
    form: Form,
) -> Result<RouteStep<'a>, ParseError> {
    let Some(line) = line(buf, name, Blank::Required, limits.control_line_max)? else {
        return Ok(RouteStep::Incomplete {
            need: buf.len() + 1,
        });
    };
    let (head, total) = head(line.argument, form)?;
    if total > limits.payload_max {
        return Err(ParseError::PayloadTooLarge);
    }
    Ok(match scan::frame(buf, line.end, total)? {
        Frame::Whole { payload, len } => RouteStep::Op {
            op: RouteOp::Message(RouteMsg { payload, ..head }),
            len,
        },
        Frame::Need(need) => RouteStep::Incomplete { need },
    })
}

/// The arguments of a message, and its size. The list of queues has no bound but the line's, so the line
/// is taken from both ends and what is left in the middle is the tail.
fn head(argument: &[u8], form: Form) -> Result<(RouteMsg<'_>, usize), ArgumentError> {
    if argument.contains(&b'\r') {
        return Err(ArgumentError::StrayCarriageReturn);
    }
    let front = |rest| scan::field(rest).ok_or(ArgumentError::Count);
    let (origin, rest) = if form.origin {
        let (origin, rest) = front(argument)?;
        (Some(origin), rest)
    } else {
        (None, argument)
    };
    let (account, rest) = front(rest)?;
    let (subject, rest) = front(rest)?;
    let (rest, total) = scan::last_field(rest).ok_or(ArgumentError::Count)?;
    let (rest, headers_len) = if form.headers {
        let (rest, headers) = scan::last_field(rest).ok_or(ArgumentError::Count)?;
        (rest, scan::size(headers)?)
    } else {
        (rest, 0)
    };
    let total = scan::size(total)?;
    if headers_len > total {
        return Err(ArgumentError::HeadersLongerThanTotal);
    }
    let (reply, queues) = tail(rest)?;
    let head = RouteMsg {
        origin,
        account,
        subject,
        reply,
        queues,
        headers_len,
        payload: &[],
    };
    Ok((head, total))
}

/// One field alone is a reply, whatever it is.
fn tail(rest: &[u8]) -> Result<(Option<&[u8]>, QueueNames<'_>), ArgumentError> {
    let Some((first, rest)) = scan::field(rest) else {
        return Ok((None, QueueNames::default()));
    };
    let rest = scan::trimmed(rest);
    match first {
        reply if rest.is_empty() => Ok((Some(reply), QueueNames::default())),
        b"|" => Ok((None, QueueNames(rest))),
        b"+" => {
            let (reply, queues) = scan::field(rest).ok_or(ArgumentError::Count)?;
            Ok((Some(reply), QueueNames(scan::trimmed(queues))))
        }
        _ => Err(ArgumentError::Count),
    }
}

fn bare<'a>(buf: &[u8], name: &[u8], op: RouteOp<'a>) -> Result<Found<'a>, ParseError> {
    if !scan::has_name(buf, name)? {
        return Ok(None);
    }
    Ok(scan::ignored_line(buf, name.len())?.map(|len| (op, len)))
}

fn line<'a>(
    buf: &'a [u8],
    name: &[u8],
    blank: Blank,
    max: usize,
) -> Result<Option<Line<'a>>, ParseError> {
    if !scan::has_name(buf, name)? {
        return Ok(None);
    }
    scan::control_line(buf, name.len(), blank, max)
}

#[cfg(test)]
mod tests;
