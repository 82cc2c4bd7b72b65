//! Wire scripts: what a peer sends, and the operations that must come of it at every split.
//!
//! | line starts with | the rest is |
//! |---|---|
//! | `limits` | `control_line_max payload_max headers`, for what follows |
//! | `>` | bytes sent, with the escapes `\r \n \t \\ \xNN` |
//! | `=` | the next operation, as rendered by the check |
//! | `!` | the error that ends the stream; ends the case |
//! | `.` | bytes left over and bytes needed; ends the case |
//! | `#` | a comment |

#![expect(clippy::unwrap_used, reason = "only the helpers of tests are here")]

#[path = "../../fuzz/checks/wire_client_op.rs"]
mod client;
#[path = "../../fuzz/checks/wire_route_op.rs"]
mod route;
#[path = "../../fuzz/checks/wire_server_op.rs"]
mod server;
#[path = "../../fuzz/checks/stream.rs"]
mod stream;

use muster_wire::error::ParseError;
use muster_wire::limits::Limits;
use muster_wire::route_op::RouteLimits;
use stream::{End, Outcome};

#[test]
fn client_op() {
    replay(include_str!("scripts/client_op.txt"), client::run);
}

#[test]
fn server_op() {
    replay(include_str!("scripts/server_op.txt"), |data, limits| {
        server::run(data, limits.control_line_max, limits.payload_max)
    });
}

#[test]
fn route_op() {
    replay(include_str!("scripts/route_op.txt"), |data, limits| {
        let limits = RouteLimits {
            control_line_max: limits.control_line_max,
            payload_max: limits.payload_max,
            ..RouteLimits::default()
        };
        route::run(data, &limits)
    });
}

fn replay(script: &str, run: impl Fn(&[u8], &Limits) -> Outcome<ParseError>) {
    let mut limits = Limits::default();
    let (mut sent, mut expected, mut cases) = (Vec::new(), Vec::new(), 0);
    for (number, line) in script.lines().enumerate() {
        let at = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (kind, rest) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("line {at}: {line}"));
        match kind {
            "limits" => limits = parse_limits(rest),
            ">" => sent.extend(unescape(rest)),
            "=" => expected.push(rest.to_owned()),
            "!" | "." => {
                assert!(!sent.is_empty(), "line {at}: nothing sent");
                let found = run(&sent, &limits);
                assert_eq!(found.ops, expected, "case ending in line {at}");
                assert_eq!(render(&found.end), line, "case ending in line {at}");
                sent.clear();
                expected.clear();
                cases += 1;
            }
            _ => panic!("line {at}: {line}"),
        }
    }
    assert!(
        sent.is_empty() && cases > 10,
        "the last case has no end, or {cases} are too few"
    );
}

fn render(end: &End<ParseError>) -> String {
    match end {
        End::Left { bytes, need } => format!(". {bytes} {need}"),
        End::Broken(error) => format!("! {error:?}"),
    }
}

fn parse_limits(text: &str) -> Limits {
    let fields: Vec<_> = text.split(' ').collect();
    let [control_line_max, payload_max, headers] = fields[..] else {
        panic!("limits {text}")
    };
    Limits {
        control_line_max: control_line_max.parse().unwrap(),
        payload_max: payload_max.parse().unwrap(),
        headers: headers.parse().unwrap(),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(b) = bytes.next() {
        out.push(match b {
            b'\\' => match bytes.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("escape {}", other.escape_ascii()),
            },
            plain => plain,
        });
    }
    out
}
