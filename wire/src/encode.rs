//! Writers for every operation, each appending to a buffer.
//!
//! They write what they are given: subjects, replies, queues and sids must be single arguments
//! ([`subject::is_argument`](crate::subject::is_argument)), which holds for whatever a parser
//! returned. Sizes are derived here, so a frame can't disagree with its payload.

use crate::connect::Connect;
use crate::info::Info;
use crate::subject::is_argument;

/// `PUB subject [reply] size`, then the payload.
pub fn put_pub(out: &mut Vec<u8>, subject: &[u8], reply: Option<&[u8]>, payload: &[u8]) {
    out.extend_from_slice(b"PUB ");
    put_argument(out, subject);
    put_optional(out, reply);
    put_size(out, payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// `HPUB subject [reply] hdr total`, then headers and payload.
///
/// `headers` is a whole header block, from `NATS/1.0` to the empty line.
pub fn put_hpub(
    out: &mut Vec<u8>,
    subject: &[u8],
    reply: Option<&[u8]>,
    headers: &[u8],
    payload: &[u8],
) {
    out.extend_from_slice(b"HPUB ");
    put_argument(out, subject);
    put_optional(out, reply);
    put_size(out, headers.len());
    out.push(b' ');
    put_size(out, headers.len() + payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// `SUB subject [queue] sid`.
pub fn put_sub(out: &mut Vec<u8>, subject: &[u8], queue: Option<&[u8]>, sid: u64) {
    out.extend_from_slice(b"SUB ");
    put_argument(out, subject);
    put_optional(out, queue);
    put_number(out, sid);
    out.extend_from_slice(b"\r\n");
}

/// `UNSUB sid [max]`. The dialect reads at most nine digits of `max`; more means none.
pub fn put_unsub(out: &mut Vec<u8>, sid: u64, max: Option<u64>) {
    out.extend_from_slice(b"UNSUB ");
    put_number(out, sid);
    if let Some(max) = max {
        out.push(b' ');
        put_number(out, max);
    }
    out.extend_from_slice(b"\r\n");
}

/// `PING`.
pub fn put_ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// `PONG`.
pub fn put_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// `+OK`.
pub fn put_ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// `-ERR 'text'`. Text may quote a subject, so it need not be UTF-8; a CR or LF in it becomes a
/// blank, so that no caller can break the line.
pub fn put_err(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    out.extend_from_slice(b"-ERR '");
    out.extend(
        text.as_ref()
            .iter()
            .map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }),
    );
    out.extend_from_slice(b"'\r\n");
}

/// `INFO {json} `, with the blank that servers of the dialect leave before the line end.
pub fn put_info(out: &mut Vec<u8>, info: &Info) {
    out.extend_from_slice(b"INFO ");
    serde_json::to_writer(&mut *out, info).expect("strings and numbers, written to memory");
    out.extend_from_slice(b" \r\n");
}

/// `CONNECT {json}`.
pub fn put_connect(out: &mut Vec<u8>, connect: &Connect) {
    out.extend_from_slice(b"CONNECT ");
    serde_json::to_writer(&mut *out, connect).expect("strings and numbers, written to memory");
    out.extend_from_slice(b"\r\n");
}

/// The message that tells a requester that nobody listens: an HMSG of status 503 and no payload,
/// sent to the reply subject it asked for.
pub fn put_no_responders(out: &mut Vec<u8>, reply: &[u8], sid: &[u8], subject: &[u8]) {
    const STATUS: &[u8] = b"NATS/1.0 503\r\nNats-Subject: ";
    const END: &[u8] = b"\r\n\r\n";
    let size = STATUS.len() + subject.len() + END.len();
    out.extend_from_slice(b"HMSG ");
    put_argument(out, reply);
    out.push(b' ');
    put_argument(out, sid);
    out.push(b' ');
    put_size(out, size);
    out.push(b' ');
    put_size(out, size);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(STATUS);
    out.extend_from_slice(subject);
    out.extend_from_slice(END);
    out.extend_from_slice(b"\r\n");
}

/// The control line of one delivered message, built once and used for each receiver.
///
/// Only the sid differs between receivers: a delivery is [`before`](Self::before), the sid,
/// [`after`](Self::after), the payload, CR LF. Receivers without headers need a second head, of the
/// plain kind. A value is reused through the `set_*` methods and keeps its allocation.
#[derive(Clone, Debug, Default)]
pub struct MsgHead {
    bytes: Vec<u8>,
    /// Where the sid goes; never above `bytes.len()`.
    sid_at: usize,
}

impl MsgHead {
    /// The head of a MSG.
    pub fn plain(subject: &[u8], reply: Option<&[u8]>, size: usize) -> Self {
        let mut head = Self::default();
        head.set_plain(subject, reply, size);
        head
    }

    /// The head of an HMSG; `total` counts headers and body.
    pub fn with_headers(
        subject: &[u8],
        reply: Option<&[u8]>,
        headers_len: usize,
        total: usize,
    ) -> Self {
        let mut head = Self::default();
        head.set_with_headers(subject, reply, headers_len, total);
        head
    }

    /// Becomes what [`plain`](Self::plain) builds.
    pub fn set_plain(&mut self, subject: &[u8], reply: Option<&[u8]>, size: usize) {
        self.start(b"MSG ", subject, reply);
        put_size(&mut self.bytes, size);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Becomes what [`with_headers`](Self::with_headers) builds.
    pub fn set_with_headers(
        &mut self,
        subject: &[u8],
        reply: Option<&[u8]>,
        headers_len: usize,
        total: usize,
    ) {
        debug_assert!(headers_len <= total);
        self.start(b"HMSG ", subject, reply);
        put_size(&mut self.bytes, headers_len);
        self.bytes.push(b' ');
        put_size(&mut self.bytes, total);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// The bytes up to the sid: `MSG subject `.
    pub fn before(&self) -> &[u8] {
        &self.bytes[..self.sid_at]
    }

    /// The bytes behind the sid: ` [reply ]size` and the line end.
    pub fn after(&self) -> &[u8] {
        &self.bytes[self.sid_at..]
    }

    /// Writes the whole line for the receiver's `sid`.
    pub fn put(&self, out: &mut Vec<u8>, sid: &[u8]) {
        out.extend_from_slice(self.before());
        out.extend_from_slice(sid);
        out.extend_from_slice(self.after());
    }

    fn start(&mut self, name: &[u8], subject: &[u8], reply: Option<&[u8]>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(name);
        put_argument(&mut self.bytes, subject);
        self.bytes.push(b' ');
        self.sid_at = self.bytes.len();
        put_optional(&mut self.bytes, reply);
    }
}

pub(crate) fn put_argument(out: &mut Vec<u8>, argument: &[u8]) {
    debug_assert!(
        is_argument(argument),
        "an argument is not empty and holds no blank"
    );
    out.extend_from_slice(argument);
}

/// A blank, and the argument with another blank if there is one.
pub(crate) fn put_optional(out: &mut Vec<u8>, argument: Option<&[u8]>) {
    out.push(b' ');
    if let Some(argument) = argument {
        put_argument(out, argument);
        out.push(b' ');
    }
}

pub(crate) fn put_size(out: &mut Vec<u8>, size: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(size).as_bytes());
}

pub(crate) fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &[u8], put: impl FnOnce(&mut Vec<u8>)) {
        // Whatever lies in the buffer already must stay.
        let mut out = b"kept".to_vec();
        put(&mut out);
        let written = out.strip_prefix(b"kept").unwrap();
        assert_eq!(
            written.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn operations_of_a_client() {
        check(b"PUB a 2\r\nhi\r\n", |out| put_pub(out, b"a", None, b"hi"));
        check(b"PUB a r 0\r\n\r\n", |out| {
            put_pub(out, b"a", Some(b"r"), b"");
        });
        let headers = b"NATS/1.0\r\n\r\n";
        check(b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n", |out| {
            put_hpub(out, b"a", None, headers, b"hi");
        });
        check(b"HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\n", |out| {
            put_hpub(out, b"a", Some(b"r"), headers, b"");
        });
        check(b"SUB a.* 7\r\n", |out| put_sub(out, b"a.*", None, 7));
        check(b"SUB a q 18446744073709551615\r\n", |out| {
            put_sub(out, b"a", Some(b"q"), u64::MAX);
        });
        check(b"UNSUB 7\r\n", |out| put_unsub(out, 7, None));
        check(b"UNSUB 7 1\r\n", |out| put_unsub(out, 7, Some(1)));
        check(b"PING\r\nPONG\r\n+OK\r\n", |out| {
            put_ping(out);
            put_pong(out);
            put_ok(out);
        });
    }

    #[test]
    fn an_error_text_stays_on_its_line() {
        check(b"-ERR 'Invalid Subject'\r\n", |out| {
            put_err(out, "Invalid Subject");
        });
        check(b"-ERR 'a\xff  b'\r\n", |out| put_err(out, b"a\xff\r\nb"));
    }

    #[test]
    fn heads_of_deliveries() {
        let mut head = MsgHead::plain(b"a.b", None, 5);
        assert_eq!(
            (head.before(), head.after()),
            (&b"MSG a.b "[..], &b" 5\r\n"[..])
        );
        head.set_with_headers(b"a", Some(b"r.1"), 12, 14);
        assert_eq!(
            (head.before(), head.after()),
            (&b"HMSG a "[..], &b" r.1 12 14\r\n"[..])
        );
        head.set_plain(b"a", Some(b"r"), 0);
        check(b"MSG a 9 r 0\r\n", |out| head.put(out, b"9"));
        let head = MsgHead::with_headers(b"a", None, 0, 0);
        check(b"HMSG a x 0 0\r\n", |out| head.put(out, b"x"));
    }

    #[test]
    fn nobody_listens() {
        let expected = b"HMSG _INBOX.x.1 1 35 35\r\n\
            NATS/1.0 503\r\nNats-Subject: svc\r\n\r\n\r\n";
        check(expected, |out| {
            put_no_responders(out, b"_INBOX.x.1", b"1", b"svc");
        });
    }
}
