//! Operations of a server: no panic, and the same ones however the stream is cut.
//!
//! Whoever includes this file includes `stream.rs` beside it, at its root.

use muster_wire::error::ParseError;
use muster_wire::server_op::{ServerOp, ServerStep, next_server_op};

use crate::stream::{Found, Outcome, every_split};

/// Parses `data` at every split.
pub(crate) fn run(data: &[u8], control_line_max: usize, payload_max: usize) -> Outcome<ParseError> {
    every_split(data, |buf| {
        Ok(match next_server_op(buf, control_line_max, payload_max)? {
            ServerStep::Op { op, len } => Found::Op {
                text: render(op),
                len,
            },
            ServerStep::Incomplete { need } => Found::Incomplete { need },
        })
    })
}

fn render(op: ServerOp<'_>) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match op {
        ServerOp::Info(json) => format!("INFO [{}]", text(json)),
        ServerOp::Msg {
            subject,
            sid,
            reply,
            headers_len,
            payload,
        } => {
            let (headers, body) = payload.split_at(headers_len);
            let (headers, body) = (text(headers), text(body));
            let reply = reply.map_or_else(|| "-".to_owned(), text);
            format!(
                "MSG {} sid={sid} reply={reply} [{headers}] [{body}]",
                text(subject)
            )
        }
        ServerOp::Ping => "PING".to_owned(),
        ServerOp::Pong => "PONG".to_owned(),
        ServerOp::Ok => "OK".to_owned(),
        ServerOp::Err(why) => format!("ERR [{}]", text(why)),
    }
}
