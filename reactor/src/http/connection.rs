//! One connection on its worker: heads in, answers out, until it ends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::head::{self, Head, HeadError};
use super::{
    HEAD_MAX, HEAD_TIME, Handler, HttpResponse, IDLE_TIME, Method, WRITE_STEP, WRITE_TIME,
};

/// Bytes of a refused request that are read away, and the time for it.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Why no further request is served.
enum End {
    /// The peer is gone, silent or too slow.
    Gone,
    /// It is told why, then the connection ends.
    Refused(HeadError),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Serves a connection. `turn` learns whether it is idle between requests and says whether it may go on.
pub(super) fn serve(stream: &TcpStream, handler: &Handler, turn: &mut dyn FnMut(bool) -> bool) {
    let _ = stream.set_nodelay(true);
    let mut input = Input {
        stream,
        bytes: Vec::new(),
    };
    loop {
        match input.read_head() {
            Ok(head) => {
                let response = answer(handler, &head);
                let whole = head.request.method == Method::Get;
                if write(stream, &response, whole, head.keep_alive).is_err() || !head.keep_alive {
                    break linger(stream);
                }
            }
            Err(End::Gone) => return,
            Err(End::Refused(error)) => {
                let response = HttpResponse::text(error.status(), reason(error.status()));
                let _ = write(stream, &response, true, false);
                return linger(stream);
            }
        }
        if input.bytes.is_empty() && !(turn(true) && input.wait(IDLE_TIME) && turn(false)) {
            return;
        }
    }
}

fn answer(handler: &Handler, head: &Head) -> HttpResponse {
    catch_unwind(AssertUnwindSafe(|| handler(&head.request))).unwrap_or_else(|_| {
        tracing::error!(
            path = head.request.path,
            "a defect was caught while a request was answered"
        );
        HttpResponse::text(500, reason(500))
    })
}

struct Input<'a> {
    stream: &'a TcpStream,
    /// What has arrived and is not used.
    bytes: Vec<u8>,
}

impl Input<'_> {
    fn read_head(&mut self) -> Result<Head, End> {
        let deadline = Instant::now() + HEAD_TIME;
        loop {
            if let Some(head) = head::parse(&self.bytes).map_err(End::Refused)? {
                self.bytes.drain(..head.len);
                return Ok(head);
            }
            if self.bytes.len() >= HEAD_MAX {
                return Err(End::Refused(HeadError::TooLarge));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.wait(left) {
                return Err(End::Gone);
            }
        }
    }

    /// Reads once; `false` at the end, after `time`, or when the socket failed.
    fn wait(&mut self, time: Duration) -> bool {
        // A timeout of zero would be none at all.
        if time.is_zero() || self.stream.set_read_timeout(Some(time)).is_err() {
            return false;
        }
        let mut buffer = [0; 2048];
        let room = HEAD_MAX.saturating_sub(self.bytes.len()).min(buffer.len());
        let deadline = Instant::now() + time;
        loop {
            match Read::read(&mut &*self.stream, &mut buffer[..room]) {
                Ok(0) => return false,
                Ok(len) => {
                    self.bytes.extend_from_slice(&buffer[..len]);
                    return true;
                }
                Err(error)
                    if error.kind() == io::ErrorKind::Interrupted && Instant::now() < deadline => {}
                Err(_) => return false,
            }
        }
    }
}

/// Writes an answer; with `whole` its body too.
fn write(
    stream: &TcpStream,
    response: &HttpResponse,
    whole: bool,
    keep_alive: bool,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nAccess-Control-Allow-Origin: *\r\n",
        response.status,
        reason(response.status),
        response.content_type,
        response.body.len(),
    );
    if response.status == 405 {
        head.push_str("Allow: GET, HEAD\r\n");
    }
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    head.push_str("\r\n");
    stream.set_write_timeout(Some(WRITE_STEP))?;
    let deadline = Instant::now() + WRITE_TIME;
    // A small body goes out in one segment with its head.
    let mut bytes = head.into_bytes();
    let (first, rest) = response.body.split_at(response.body.len().min(16 * 1024));
    if !whole {
        return write_until(stream, &bytes, deadline);
    }
    bytes.extend_from_slice(first);
    write_until(stream, &bytes, deadline)?;
    write_until(stream, rest, deadline)
}

fn write_until(mut stream: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => bytes = bytes.get(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Ends our side and reads a rest away: a close over unread bytes would reset the connection
/// and could take the answer from the peer.
fn linger(mut stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER_TIME;
    let mut buffer = [0; 2048];
    let mut read = 0;
    while read < LINGER_BYTES {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return;
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(len) => read += len,
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unknown",
    }
}
