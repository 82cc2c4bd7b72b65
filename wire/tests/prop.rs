//! Properties: nothing panics, cuts don't matter, what is written reads back, and matching agrees
//! with its naive twin.

#[path = "../../fuzz/checks/wire_client_op.rs"]
mod client;
#[path = "../../fuzz/checks/wire_server_op.rs"]
mod server;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

use muster_wire::client_op::{ClientOp, Step, next_client_op};
use muster_wire::connect::Connect;
use muster_wire::encode::{
    MsgHead, put_connect, put_err, put_hpub, put_no_responders, put_pub, put_sub, put_unsub,
};
use muster_wire::error::ParseError;
use muster_wire::limits::{IGNORED_MAX, Limits};
use muster_wire::server_op::{ServerOp, ServerStep, next_server_op};
use muster_wire::subject::{has_wildcard, is_valid_publish, is_valid_subscription, matches};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Pieces that put a stream near every branch of the parsers.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&[u8]] = &[
        b"PUB ",
        b"HPUB ",
        b"SUB ",
        b"UNSUB ",
        b"CONNECT",
        b"INFO ",
        b"PING",
        b"PONG",
        b"+OK",
        b"-ERR ",
        b"MSG ",
        b"HMSG ",
        b"a",
        b"a.b ",
        b"r ",
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
        b"'",
        b"{}",
        b"xy",
        b"P",
        b"-",
        b"\xff",
        b"PUB a 2\r\nhi\r\n",
        b"HPUB a r 1 2\r\nhi\r\n",
        b"MSG a 1 2\r\nhi\r\n",
        b"HMSG a 1 r 1 2\r\nhi\r\n",
        b"SUB a q 1\r\n",
        b"UNSUB 1 2\r\n",
    ];
    vec(proptest::sample::select(PIECES), 0..24).prop_map(|pieces| pieces.concat())
}

fn argument() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no blank", |b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    vec(byte, 1..20)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..64)
}

/// Few distinct tokens, so that equal ones, wildcards and empty ones meet often.
fn subject() -> impl Strategy<Value = Vec<u8>> {
    const TOKENS: &[&[u8]] = &[b"a", b"a", b"a", b"b", b"*", b"*", b">", b"*a", b">a", b""];
    vec(proptest::sample::select(TOKENS), 1..5).prop_map(|tokens| tokens.join(&b'.'))
}

fn text() -> impl Strategy<Value = Option<Box<str>>> {
    option::of("[^\u{0}]{1,12}".prop_map(String::into_boxed_str))
}

#[track_caller]
fn check_client(bytes: &[u8], expected: ClientOp<'_>) {
    let found = next_client_op(bytes, &Limits::default());
    assert_eq!(
        found,
        Ok(Step::Op {
            op: expected,
            len: bytes.len()
        })
    );
}

#[track_caller]
fn check_server(bytes: &[u8], expected: ServerOp<'_>) {
    let found = next_server_op(bytes, 4096, 1024);
    assert_eq!(
        found,
        Ok(ServerStep::Op {
            op: expected,
            len: bytes.len()
        })
    );
}

proptest! {
    #[test]
    fn streams_may_be_cut_anywhere(data in stream(), headers: bool, small: bool) {
        let (control_line_max, payload_max) = if small { (6, 1) } else { (4096, 1024) };
        client::run(&data, &Limits { control_line_max, payload_max, headers });
        server::run(&data, control_line_max, payload_max);
    }

    #[test]
    fn noise_does_not_panic(data in vec(any::<u8>(), 0..200)) {
        client::run(&data, &Limits::default());
        server::run(&data, 4096, 1024);
    }

    #[test]
    fn publications_read_back(
        subject in argument(),
        reply in option::of(argument()),
        headers in bytes(),
        body in bytes(),
    ) {
        let reply = reply.as_deref();
        let (subject, payload) = (&subject[..], [&headers[..], &body].concat());
        let mut out = Vec::new();
        put_pub(&mut out, subject, reply, &body);
        check_client(&out, ClientOp::Pub { subject, reply, headers_len: 0, payload: &body });
        out.clear();
        put_hpub(&mut out, subject, reply, &headers, &body);
        let headers_len = headers.len();
        check_client(&out, ClientOp::Pub { subject, reply, headers_len, payload: &payload });
    }

    #[test]
    fn subscriptions_read_back(
        subject in argument(),
        queue in option::of(argument()),
        number: u64,
        max in option::of(0_u64..1_000_000_000),
    ) {
        let (mut out, sid) = (Vec::new(), number.to_string());
        let (subject, queue, sid) = (&subject[..], queue.as_deref(), sid.as_bytes());
        put_sub(&mut out, subject, queue, number);
        check_client(&out, ClientOp::Sub { subject, queue, sid });
        out.clear();
        put_unsub(&mut out, number, max);
        check_client(&out, ClientOp::Unsub { sid, max });
    }

    #[test]
    fn deliveries_read_back(
        subject in argument(),
        reply in option::of(argument()),
        sid: u64,
        headers in bytes(),
        body in bytes(),
    ) {
        let (subject, reply) = (&subject[..], reply.as_deref());
        let (text, payload) = (sid.to_string(), [&headers[..], &body].concat());
        let mut out = Vec::new();
        MsgHead::plain(subject, reply, body.len()).put(&mut out, text.as_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(b"\r\n");
        check_server(&out, ServerOp::Msg { subject, sid, reply, headers_len: 0, payload: &body });

        let headers_len = headers.len();
        out.clear();
        MsgHead::with_headers(subject, reply, headers_len, payload.len())
            .put(&mut out, text.as_bytes());
        out.extend_from_slice(&payload);
        out.extend_from_slice(b"\r\n");
        check_server(&out, ServerOp::Msg { subject, sid, reply, headers_len, payload: &payload });
    }

    #[test]
    fn refusals_read_back(reply in argument(), sid: u64, subject in argument(), why in "[ -~]*") {
        let mut out = Vec::new();
        put_no_responders(&mut out, &reply, sid.to_string().as_bytes(), &subject);
        let step = next_server_op(&out, 4096, 1024);
        let Ok(ServerStep::Op { op: ServerOp::Msg { headers_len, payload, .. }, len }) = step else {
            panic!("{step:?}");
        };
        let size = 32 + subject.len();
        prop_assert_eq!((len, headers_len, payload.len()), (out.len(), size, size));
        out.clear();
        put_err(&mut out, &why);
        check_server(&out, ServerOp::Err(why.as_bytes()));
    }

    #[test]
    fn connects_read_back(
        (verbose, echo, headers) in any::<(bool, bool, bool)>(),
        protocol: i64,
        (user, pass, name) in (text(), text(), text()),
    ) {
        let connect =
            Connect { verbose, echo, headers, protocol, user, pass, name, ..Connect::default() };
        let mut out = Vec::new();
        put_connect(&mut out, &connect);
        let step = next_client_op(&out, &Limits::default());
        let Ok(Step::Op { op: ClientOp::Connect(json), len }) = step else { panic!("{step:?}") };
        prop_assert_eq!(len, out.len());
        prop_assert_eq!(Connect::parse(json), Ok(connect));
    }

    #[test]
    fn connect_takes_any_bytes(data in stream(), noise in bytes()) {
        let _ = (Connect::parse(&data), Connect::parse(&noise));
    }

    #[test]
    fn matching_agrees_with_its_twin(filter in subject(), subject in subject()) {
        prop_assert_eq!(matches(&filter, &subject), naive_matches(&filter, &subject));
        if is_valid_publish(&subject) {
            prop_assert!(is_valid_subscription(&subject) && !has_wildcard(&subject));
            prop_assert!(matches(&subject, &subject));
        }
    }
}

/// Matching by recursion over collected tokens.
fn naive_matches(filter: &[u8], subject: &[u8]) -> bool {
    fn go(filter: &[&[u8]], subject: &[&[u8]]) -> bool {
        match (filter, subject) {
            ([], []) => true,
            ([b">"], [_, ..]) => true,
            ([b"*", filter @ ..], [_, subject @ ..]) => go(filter, subject),
            ([want, filter @ ..], [token, subject @ ..]) => want == token && go(filter, subject),
            _ => false,
        }
    }
    let split = |bytes| <[u8]>::split(bytes, |b| *b == b'.').collect::<Vec<_>>();
    let (filter, subject) = (split(filter), split(subject));
    let open = filter.iter().rev().skip(1).all(|token| token != b">");
    open && subject.iter().all(|token| !token.is_empty()) && go(&filter, &subject)
}

/// An endless line is refused wherever its bytes go, and never kept for longer than its bound.
#[test]
fn endless_lines_are_cut_off() {
    let limits = Limits::default();
    for (name, filler, max) in [
        ("PING", b'x', IGNORED_MAX),
        ("+OK", b' ', IGNORED_MAX),
        ("PUB ", b' ', IGNORED_MAX - 1),
        ("CONNECT", b'\t', IGNORED_MAX),
        ("SUB ", b'x', limits.control_line_max),
        ("CONNECT ", b'{', limits.control_line_max),
    ] {
        let mut line = name.as_bytes().to_vec();
        line.resize(name.len() + max, filler);
        let kept = next_client_op(&line, &limits);
        assert_eq!(
            kept,
            Ok(Step::Incomplete {
                need: line.len() + 1
            }),
            "{name}"
        );
        line.push(filler);
        let refused = Err(ParseError::ControlLineTooLong);
        assert_eq!(next_client_op(&line, &limits), refused, "{name}");
        line.extend_from_slice(b"\r\n");
        assert_eq!(next_client_op(&line, &limits), refused, "{name}");
    }
}
