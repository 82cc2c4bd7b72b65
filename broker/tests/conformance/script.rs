//! The scripts' language.
//!
//! | line | meaning |
//! |---|---|
//! | `== name` | a new case |
//! | `only muster`, `only nats-server` | the case is for one of them: they differ here on purpose, and the comment above says why |
//! | `only one-broker` | the case holds for one broker and not for a cluster, where word of a change takes its way |
//! | `with key value` | a setting of the server, see `target.rs` |
//! | `A> bytes` | connection A sends, with the escapes `\r \n \t \\ \0 \xNN` and `\{NNb}` for NN times the byte `b` |
//! | `A: {json}` | A sends `CONNECT {json}` and `PING` and gets `PONG`; without JSON: neither verbose nor pedantic |
//! | `A< bytes` | A gets exactly these bytes next |
//! | `A<~ bytes` | A gets a line that begins so |
//! | `A<* bytes` | A gets these bytes, in any order with those of the neighbouring `A<*` lines |
//! | `A.` | A sends `PING` and gets nothing but `PONG` |
//! | `A!` | A gets nothing more and is closed |
//! | `A-` | A closes its end |
//! | `#` | a comment |
//!
//! A connection is opened by its first line. Its `INFO` is taken for granted unless that line is `A<` or `A<~`.

/// One conversation.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) only: Option<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) steps: Vec<Step>,
}

/// One line, or several that belong together.
#[derive(Debug)]
pub(crate) struct Step {
    /// For messages: the line in the file, from 1.
    pub(crate) line: usize,
    pub(crate) conn: char,
    pub(crate) act: Act,
}

/// What is done or expected.
#[derive(Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Greet(String),
    Expect(Vec<u8>),
    ExpectLine(Vec<u8>),
    ExpectAnyOrder(Vec<Vec<u8>>),
    Quiet,
    Closed,
    Leave,
}

const QUIET_CONNECT: &str = r#"{"verbose":false,"pedantic":false}"#;

pub(crate) fn parse(file: &str, text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = number + 1;
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            let name = format!("{file}::{}", name.replace(' ', "_"));
            cases.push(Case {
                name,
                only: None,
                settings: Vec::new(),
                steps: Vec::new(),
            });
            continue;
        }
        let case = cases
            .last_mut()
            .unwrap_or_else(|| panic!("{file} line {at}: no case yet"));
        if let Some(only) = line.strip_prefix("only ") {
            case.only = Some(only.to_owned());
        } else if let Some(setting) = line.strip_prefix("with ") {
            let (key, value) = setting.split_once(' ').unwrap_or((setting, ""));
            case.settings.push((key.to_owned(), value.to_owned()));
        } else {
            let step = step(line, at).unwrap_or_else(|| panic!("{file} line {at}: {line}"));
            push(&mut case.steps, step);
        }
    }
    for case in &cases {
        assert!(!case.steps.is_empty(), "{} has no steps", case.name);
    }
    cases
}

/// Neighbouring lines of any order become one step.
fn push(steps: &mut Vec<Step>, step: Step) {
    if let (
        Some(Step {
            conn,
            act: Act::ExpectAnyOrder(before),
            ..
        }),
        Act::ExpectAnyOrder(more),
    ) = (steps.last_mut(), &step.act)
        && *conn == step.conn
    {
        before.extend(more.iter().cloned());
        return;
    }
    steps.push(step);
}

fn step(line: &str, at: usize) -> Option<Step> {
    let conn = line.chars().next().filter(char::is_ascii_uppercase)?;
    let rest = &line[1..];
    let act = if let Some(bytes) = rest.strip_prefix("> ") {
        Act::Send(unescape(bytes))
    } else if let Some(bytes) = rest.strip_prefix("<~ ") {
        Act::ExpectLine(unescape(bytes))
    } else if let Some(bytes) = rest.strip_prefix("<* ") {
        Act::ExpectAnyOrder(vec![unescape(bytes)])
    } else if let Some(bytes) = rest.strip_prefix("< ") {
        Act::Expect(unescape(bytes))
    } else if let Some(json) = rest.strip_prefix(':') {
        let json = json.trim();
        Act::Greet(if json.is_empty() { QUIET_CONNECT } else { json }.to_owned())
    } else {
        match rest {
            "." => Act::Quiet,
            "!" => Act::Closed,
            "-" => Act::Leave,
            _ => return None,
        }
    };
    Some(Step {
        line: at,
        conn,
        act,
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let (kind, after) = rest.split_first().expect("a character after the backslash");
        rest = after;
        match kind {
            b'r' => out.push(b'\r'),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            b'{' => {
                let end = rest
                    .iter()
                    .position(|byte| *byte == b'}')
                    .expect("a closing brace");
                let count: usize = std::str::from_utf8(&rest[..end - 1])
                    .unwrap()
                    .parse()
                    .unwrap();
                out.resize(out.len() + count, rest[end - 1]);
                rest = &rest[end + 1..];
            }
            other => panic!("no such escape: {}", char::from(*other)),
        }
    }
    out
}
