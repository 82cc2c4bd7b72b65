//! Routes: nothing panics, cuts don't matter, what is written reads back, and the corpus replays.

#[path = "../../fuzz/checks/wire_route_op.rs"]
mod check;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

use muster_testkit::corpus::replay;
use muster_wire::route_op::{
    RouteLimits, RouteOp, RouteStep, next_route_op, put_route_msg_head, put_rs_minus, put_rs_plus,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const SMALL: RouteLimits = RouteLimits {
    control_line_max: 12,
    json_max: 6,
    payload_max: 2,
};

#[test]
fn corpus() {
    replay("wire_route_op", |data| {
        check::run(data, &RouteLimits::default());
        check::run(data, &SMALL);
    });
}

/// Pieces that put a stream near every branch of the parser.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"RS+ ",
        b"RS- ",
        b"LS+ ",
        b"LS- ",
        b"RMSG ",
        b"HMSG ",
        b"LMSG ",
        b"A+ ",
        b"CONNECT",
        b"INFO ",
        b"PING",
        b"PONG",
        b"+OK",
        b"-ERR ",
        b"$G ",
        b"a.b ",
        b"q ",
        b"| ",
        b"+ ",
        b"0",
        b"1",
        b"2",
        b"9",
        b" ",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"{}",
        b"hi",
        b"R",
        b"L",
        b"\xff",
        b"RMSG $G a | q 2\r\nhi\r\n",
        b"HMSG $G a r 1 2\r\nhi\r\n",
        b"RS+ $G a q 2\r\n",
        b"RS- $G a\r\n",
        b"LMSG L $G a + r q 0 2\r\nhi\r\n",
    ];
    vec(proptest::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no blank", |b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    vec(byte, 1..20)
}

#[track_caller]
fn only(bytes: &[u8]) -> RouteOp<'_> {
    match next_route_op(bytes, &RouteLimits::default()) {
        Ok(RouteStep::Op { op, len }) if len == bytes.len() => op,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn streams_may_be_cut_anywhere(data in stream(), small: bool) {
        check::run(&data, &if small { SMALL } else { RouteLimits::default() });
    }

    #[test]
    fn noise_does_not_panic(data in vec(any::<u8>(), 0..200)) {
        check::run(&data, &RouteLimits::default());
    }

    #[test]
    fn interest_reads_back(
        account in argument(),
        subject in argument(),
        queue in option::of((argument(), 1_u32..)),
    ) {
        let mut out = Vec::new();
        let pair = queue.as_ref().map(|(name, weight)| (&name[..], *weight));
        put_rs_plus(&mut out, &account, &subject, pair);
        let name = pair.map(|(name, _)| name);
        let expected = RouteOp::Subscribe {
            origin: None,
            account: &account,
            subject: &subject,
            queue: name,
            weight: pair.map_or(1, |(_, weight)| weight),
        };
        prop_assert_eq!(only(&out), expected);
        out.clear();
        put_rs_minus(&mut out, &account, &subject, name);
        let expected =
            RouteOp::Unsubscribe { origin: None, account: &account, subject: &subject, queue: name };
        prop_assert_eq!(only(&out), expected);
    }

    #[test]
    fn messages_read_back(
        account in argument(),
        subject in argument(),
        reply in option::of(argument()),
        queues in vec(argument(), 0..5),
        headers in vec(any::<u8>(), 0..40),
        body in vec(any::<u8>(), 0..40),
    ) {
        let mut out = Vec::new();
        let names = || queues.iter().map(|name| &name[..]);
        let payload = [&headers[..], &body].concat();
        let address = (&account[..], &subject[..], reply.as_deref());
        put_route_msg_head(&mut out, address, names(), headers.len(), payload.len());
        out.extend_from_slice(&payload);
        out.extend_from_slice(b"\r\n");
        let RouteOp::Message(message) = only(&out) else { panic!("no message") };
        prop_assert_eq!((message.account, message.subject, message.reply), address);
        prop_assert!(message.queues.iter().eq(names()));
        prop_assert_eq!((message.headers_len, message.payload), (headers.len(), &payload[..]));
        prop_assert_eq!(message.origin, None);
    }
}
