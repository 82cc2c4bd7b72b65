//! Operations of routes: no panic, and the same ones however the stream is cut.
//!
//! Whoever includes this file includes `stream.rs` beside it, at its root.

use muster_wire::error::ParseError;
use muster_wire::route_op::{RouteLimits, RouteMsg, RouteOp, RouteStep, next_route_op};

use crate::stream::{Found, Outcome, every_split};

/// Parses `data` at every split.
pub(crate) fn run(data: &[u8], limits: &RouteLimits) -> Outcome<ParseError> {
    every_split(data, |buf| {
        Ok(match next_route_op(buf, limits)? {
            RouteStep::Op { op, len } => Found::Op {
                text: render(op),
                len,
            },
            RouteStep::Incomplete { need } => Found::Incomplete { need },
        })
    })
}

fn render(op: RouteOp<'_>) -> String {
    match op {
        RouteOp::Connect(json) => format!("CONNECT [{}]", text(json)),
        RouteOp::Info(json) => format!("INFO [{}]", text(json)),
        RouteOp::Subscribe {
            origin,
            account,
            subject,
            queue,
            weight,
        } => format!(
            "ADD {} {} queue={} weight={weight} origin={}",
            text(account),
            text(subject),
            maybe(queue),
            maybe(origin)
        ),
        RouteOp::Unsubscribe {
            origin,
            account,
            subject,
            queue,
        } => format!(
            "DROP {} {} queue={} origin={}",
            text(account),
            text(subject),
            maybe(queue),
            maybe(origin)
        ),
        RouteOp::Message(message) => render_message(&message),
        RouteOp::Account => "ACCOUNT".to_owned(),
        RouteOp::Ping => "PING".to_owned(),
        RouteOp::Pong => "PONG".to_owned(),
        RouteOp::Ok => "OK".to_owned(),
        RouteOp::Err(why) => format!("ERR [{}]", text(why)),
    }
}

fn render_message(message: &RouteMsg<'_>) -> String {
    let (headers, body) = message.payload.split_at(message.headers_len);
    let queues: Vec<String> = message.queues.iter().map(text).collect();
    assert_eq!(queues.is_empty(), message.queues.is_empty());
    assert!(queues.iter().all(|queue| !queue.is_empty()));
    format!(
        "MSG {} {} reply={} queues=[{}] origin={} [{}] [{}]",
        text(message.account),
        text(message.subject),
        maybe(message.reply),
        queues.join(","),
        maybe(message.origin),
        text(headers),
        text(body)
    )
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn maybe(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), text)
}
