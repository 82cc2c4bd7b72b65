use super::*;

const LIMIT: usize = 200;

/// Hands its bytes out a few at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.0.len().min(self.1).min(buffer.len());
        let (now, later) = self.0.split_at(len);
        buffer[..len].copy_from_slice(now);
        self.0 = later;
        Ok(len)
    }
}

fn read(text: &str) -> Result<Response, SignError> {
    let deadline = Deadline::after(Duration::from_secs(60));
    let all = |step| read_response(&mut Trickle(text.as_bytes(), step), LIMIT, deadline);
    let at_once = all(usize::MAX);
    assert_eq!(at_once, all(1), "{text:?}");
    at_once
}

#[test]
fn a_body_ends_by_length_by_chunks_or_with_the_connection() {
    for (text, status, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, ""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na;x=y\r\n0123456789\r\n0\r\n\r\n",
            200,
            "abc0123456789",
        ),
        ("HTTP/1.0 503 Busy\r\n\r\nlater", 503, "later"),
    ] {
        let body = body.as_bytes().to_vec();
        assert_eq!(read(text), Ok(Response { status, body }), "{text:?}");
    }
}

#[test]
fn what_is_no_answer_is_told() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (text, expected) in [
        ("SSH-2.0-OpenSSH\r\n", "it is no http"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "content length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "transfer coding",
        ),
        (&format!("{chunked}zz\r\n"), "chunks are malformed"),
        (&format!("{chunked}1\r\nabc"), "chunks are malformed"),
        (
            &format!("{chunked}ffffffffffffffff\r\n"),
            "chunks are malformed",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(matches!(error, SignError::Malformed(_)), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for text in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        &format!("{chunked}3\r\nab"),
        &format!("{chunked}1\r\na\r\n"),
    ] {
        assert_eq!(read(text), Err(early()), "{text:?}");
    }
}

#[test]
fn an_answer_is_bounded() {
    let too_long = Err(SignError::TooLong { limit: LIMIT });
    let filler = "x".repeat(LIMIT);
    for text in [
        "HTTP/1.1 200 OK\r\nContent-Length: 201\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", usize::MAX),
        format!("HTTP/1.1 200 OK\r\nX: {filler}\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n\r\n{filler}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{filler}"),
    ] {
        assert_eq!(read(&text), too_long, "{text:?}");
    }
}
