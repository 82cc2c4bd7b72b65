//! The writers of interest and messages between brokers.

use crate::encode::{put_argument, put_number, put_optional, put_size};

/// `RS+ account subject [queue weight]`. A weight of 0 is not for sending.
pub fn put_rs_plus(out: &mut Vec<u8>, account: &[u8], subject: &[u8], queue: Option<(&[u8], u32)>) {
    out.extend_from_slice(b"RS+ ");
    put_argument(out, account);
    out.push(b' ');
    put_argument(out, subject);
    if let Some((queue, weight)) = queue {
        put_optional(out, Some(queue));
        put_number(out, weight.into());
    }
    out.extend_from_slice(b"\r\n");
}

/// `RS- account subject [queue]`.
pub fn put_rs_minus(out: &mut Vec<u8>, account: &[u8], subject: &[u8], queue: Option<&[u8]>) {
    out.extend_from_slice(b"RS- ");
    put_argument(out, account);
    out.push(b' ');
    put_argument(out, subject);
    if let Some(queue) = queue {
        out.push(b' ');
        put_argument(out, queue);
    }
    out.extend_from_slice(b"\r\n");
}

/// The control line of a message: `RMSG account subject [tail] size`, or `HMSG account subject [tail] hdr
/// total` where there are headers. `total` counts headers and body, which the caller appends with a CR LF.
pub fn put_route_msg_head<'a>(
    out: &mut Vec<u8>,
    (account, subject, reply): (&[u8], &[u8], Option<&'a [u8]>),
    queues: impl IntoIterator<Item = &'a [u8]>,
    headers_len: usize,
    total: usize,
) {
    debug_assert!(headers_len <= total, "headers are part of the total");
    out.extend_from_slice(if headers_len > 0 { b"HMSG " } else { b"RMSG " });
    put_argument(out, account);
    out.push(b' ');
    put_argument(out, subject);
    let mut queues = queues.into_iter().peekable();
    match (reply, queues.peek().is_some()) {
        (None, true) => out.extend_from_slice(b" |"),
        (Some(_), true) => out.extend_from_slice(b" +"),
        (_, false) => {}
    }
    for argument in reply.into_iter().chain(queues) {
        out.push(b' ');
        put_argument(out, argument);
    }
    out.push(b' ');
    if headers_len > 0 {
        put_size(out, headers_len);
        out.push(b' ');
    }
    put_size(out, total);
    out.extend_from_slice(b"\r\n");
}
