use super::*;

#[track_caller]
fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
    // Whatever lies in the buffer already must stay.
    let mut out = b"kept".to_vec();
    put(&mut out);
    String::from_utf8(out).unwrap()[4..].to_owned()
}

#[test]
fn interest_is_written_as_other_brokers_write_it() {
    let plus = |queue| written(|out| put_rs_plus(out, b"$G", b"w.2", queue));
    assert_eq!(plus(None), "RS+ $G w.2\r\n");
    assert_eq!(plus(Some((&b"G1"[..], 12))), "RS+ $G w.2 G1 12\r\n");
    let minus = |queue| written(|out| put_rs_minus(out, b"$G", b"w.2", queue));
    assert_eq!(minus(None), "RS- $G w.2\r\n");
    assert_eq!(minus(Some(&b"G1"[..])), "RS- $G w.2 G1\r\n");
}

#[test]
fn messages_are_written_as_other_brokers_write_them() {
    let check = |reply: Option<&[u8]>, queues: &[&[u8]], headers_len, expected: &str| {
        let line = written(|out| {
            let names = queues.iter().copied();
            put_route_msg_head(out, (b"$G", b"q.1", reply), names, headers_len, 14);
        });
        assert_eq!(line, expected);
    };
    let reply = Some(&b"rp"[..]);
    check(None, &[], 0, "RMSG $G q.1 14\r\n");
    check(reply, &[], 0, "RMSG $G q.1 rp 14\r\n");
    check(None, &[b"A", b"B"], 0, "RMSG $G q.1 | A B 14\r\n");
    check(reply, &[b"A", b"B"], 0, "RMSG $G q.1 + rp A B 14\r\n");
    check(None, &[], 12, "HMSG $G q.1 12 14\r\n");
    check(reply, &[b"A"], 12, "HMSG $G q.1 + rp A 12 14\r\n");
}

#[test]
fn info_may_be_longer_than_other_lines() {
    let limits = RouteLimits {
        control_line_max: 8,
        json_max: 16,
        payload_max: 4,
    };
    let line = b"INFO {\"a\":\"012345\"}\r\n";
    assert!(next_route_op(line, &limits).is_ok());
    let long = b"INFO {\"a\":\"01234567890\"}";
    assert_eq!(
        next_route_op(long, &limits),
        Err(ParseError::ControlLineTooLong)
    );
    assert_eq!(
        next_route_op(b"RS+ $G 123456", &limits),
        Err(ParseError::ControlLineTooLong)
    );
    assert_eq!(
        next_route_op(b"RMSG $G a 5\r\n", &limits),
        Err(ParseError::PayloadTooLarge)
    );
}

#[test]
fn the_need_is_exact_once_the_line_is_there() {
    let limits = RouteLimits::default();
    let line = b"RMSG $G a | q 100\r\n";
    assert_eq!(
        next_route_op(line, &limits),
        Ok(RouteStep::Incomplete {
            need: line.len() + 102
        })
    );
}
