//! One HTTP exchange: a connection with a deadline, and the answer read from it.
//!
//! Everything is bounded, the time as well as the bytes, whatever the other end sends.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use httparse::{EMPTY_HEADER, Status};

use crate::fleet::SignError;

const HEADERS_MAX: usize = 64;
const READ_AT_ONCE: usize = 16 * 1024;

/// When an exchange is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            end: Instant::now() + limit,
            limit,
        }
    }

    /// What is left; none is an error.
    fn left(self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }

    /// What an error of a connection means.
    pub(crate) fn error(self, error: &io::Error) -> SignError {
        if is_timeout(error) {
            SignError::Timeout(self.limit)
        } else {
            SignError::Broken(error.to_string())
        }
    }
}

/// A socket whose every wait ends with the deadline has one of two kinds to say so.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// A connection that ends with its deadline, however slowly bytes trickle in.
pub(crate) struct TimedStream {
    stream: TcpStream,
    deadline: Deadline,
}

impl TimedStream {
    /// Tries each address of the host until one takes us.
    pub(crate) fn connect(host: &str, port: u16, deadline: Deadline) -> Result<Self, SignError> {
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|error| SignError::Connect(error.to_string()))?;
        let mut last = SignError::Connect("its host has no address".to_owned());
        for address in addresses {
            let connected = deadline
                .left()
                .and_then(|left| TcpStream::connect_timeout(&address, left));
            last = match connected {
                Ok(stream) => return Ok(Self { stream, deadline }),
                Err(error) if is_timeout(&error) => SignError::Timeout(deadline.limit),
                Err(error) => SignError::Connect(error.to_string()),
            };
        }
        Err(last)
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.deadline.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.deadline.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads one answer of at most `limit` bytes, as they stand on the wire.
pub(crate) fn read_response(
    stream: &mut impl Read,
    limit: usize,
    deadline: Deadline,
) -> Result<Response, SignError> {
    let mut wire = Wire {
        stream,
        bytes: Vec::new(),
        limit,
        deadline,
    };
    let (status, framing, head) = loop {
        if let Some(head) = parse_head(&wire.bytes)? {
            break head;
        }
        if !wire.read_more()? {
            return Err(early());
        }
    };
    let body = match framing {
        Framing::Length(length) => {
            let end = head.checked_add(length).filter(|end| *end <= limit);
            let end = end.ok_or(SignError::TooLong { limit })?;
            while wire.bytes.len() < end {
                if !wire.read_more()? {
                    return Err(early());
                }
            }
            wire.bytes[head..end].to_vec()
        }
        Framing::UntilClose => {
            while wire.read_more()? {}
            wire.bytes.split_off(head)
        }
        Framing::Chunked => loop {
            if let Some(body) = parse_chunks(&wire.bytes[head..])? {
                break body;
            }
            if !wire.read_more()? {
                return Err(early());
            }
        },
    };
    Ok(Response { status, body })
}

/// What has come so far.
struct Wire<'a, S> {
    stream: &'a mut S,
    bytes: Vec<u8>,
    limit: usize,
    deadline: Deadline,
}

impl<S: Read> Wire<'_, S> {
    /// Waits for further bytes; says whether there were any.
    fn read_more(&mut self) -> Result<bool, SignError> {
        let mut buffer = [0; READ_AT_ONCE];
        let read = loop {
            match self.stream.read(&mut buffer) {
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.deadline.error(&error)),
            }
        };
        if self.bytes.len() + read > self.limit {
            return Err(SignError::TooLong { limit: self.limit });
        }
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }
}

fn early() -> SignError {
    SignError::Broken("the connection ended before the answer did".to_owned())
}

fn not_http(why: impl ToString) -> SignError {
    SignError::Malformed(format!("it is no http: {}", why.to_string()))
}

/// Status, framing and length of the head, once it is complete.
fn parse_head(bytes: &[u8]) -> Result<Option<(u16, Framing, usize)>, SignError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let Status::Complete(len) = response.parse(bytes).map_err(not_http)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let mut headers = response.headers.iter();
        headers
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value.trim_ascii())
    };
    let framing = match (header("transfer-encoding"), header("content-length")) {
        (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (Some(_), _) => return Err(not_http("its transfer coding is another than chunked")),
        (None, Some(length)) => Framing::Length(parse_length(length)?),
        (None, None) => Framing::UntilClose,
    };
    Ok(Some((status, framing, len)))
}

fn parse_length(text: &[u8]) -> Result<usize, SignError> {
    let bad = || not_http("its content length is no number");
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(bad());
    }
    let text = str::from_utf8(text).map_err(|_| bad())?;
    text.parse().map_err(|_| bad())
}

/// A body in chunks, once all of it is there. What may follow the last chunk is of no use here.
fn parse_chunks(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, SignError> {
    let bad = || not_http("its chunks are malformed");
    let mut body = Vec::new();
    loop {
        let Status::Complete((head, size)) =
            httparse::parse_chunk_size(bytes).map_err(|_| bad())?
        else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let size = usize::try_from(size).map_err(|_| bad())?;
        let end = head.checked_add(size).ok_or_else(bad)?;
        let after = end.checked_add(2).ok_or_else(bad)?;
        let Some(chunk) = bytes.get(head..after) else {
            return Ok(None);
        };
        let (chunk, line_end) = chunk.split_at(size);
        if line_end != b"\r\n" {
            return Err(bad());
        }
        body.extend_from_slice(chunk);
        bytes = &bytes[after..];
    }
}

#[cfg(test)]
mod tests;
