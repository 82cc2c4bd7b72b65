//! Operations of a client: no panic, and the same ones however the stream is cut.
//!
//! Whoever includes this file includes `stream.rs` beside it, at its root.

use muster_wire::client_op::{ClientOp, ParseError, Step, next_client_op};
use muster_wire::limits::Limits;

use crate::stream::{Found, Outcome, every_split};

/// Parses `data` at every split.
pub(crate) fn run(data: &[u8], limits: &Limits) -> Outcome<ParseError> {
    every_split(data, |buf| {
        Ok(match next_client_op(buf, limits)? {
            Step::Op { op, len } => Found::Op {
                text: render(op),
                len,
            },
            Step::Incomplete { need } => Found::Incomplete { need },
        })
    })
}

fn render(op: ClientOp<'_>) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let maybe = |bytes: Option<&[u8]>| bytes.map_or_else(|| "-".to_owned(), text);
    match op {
        ClientOp::Connect(json) => format!("CONNECT [{}]", text(json)),
        ClientOp::Info(json) => format!("INFO [{}]", text(json)),
        ClientOp::Pub {
            subject,
            reply,
            headers_len,
            payload,
        } => {
            let (headers, body) = payload.split_at(headers_len);
            let (headers, body) = (text(headers), text(body));
            format!(
                "PUB {} reply={} [{headers}] [{body}]",
                text(subject),
                maybe(reply)
            )
        }
        ClientOp::Sub {
            subject,
            queue,
            sid,
        } => {
            format!(
                "SUB {} queue={} sid={}",
                text(subject),
                maybe(queue),
                text(sid)
            )
        }
        ClientOp::Unsub { sid, max } => format!("UNSUB {} max={max:?}", text(sid)),
        ClientOp::Ping => "PING".to_owned(),
        ClientOp::Pong => "PONG".to_owned(),
        ClientOp::Ok => "OK".to_owned(),
        ClientOp::Err(why) => format!("ERR [{}]", text(why)),
    }
}
