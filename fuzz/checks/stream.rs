//! Runs a parser over a byte stream that arrives in pieces, and compares ways of cutting it.
//!
//! A parser is any function from a buffer to "an operation, this long", "more bytes, at least this
//! many" or an error. Its results must not depend on the cuts.

use std::fmt::Debug;

/// What a parser says of a buffer's start; the operation is rendered as text.
pub(crate) enum Found {
    Op { text: String, len: usize },
    Incomplete { need: usize },
}

/// All operations of a stream, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome<E> {
    pub(crate) ops: Vec<String>,
    pub(crate) end: End<E>,
}

/// How a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End<E> {
    /// The bytes ran out with this many not understood.
    Left { bytes: usize, need: usize },
    /// The peer broke the protocol.
    Broken(E),
}

/// Drives `parse` over `data` in one piece, byte by byte, and in two pieces at every place (at 64
/// places where that is too many). Panics if any two disagree.
pub(crate) fn every_split<E: Debug + PartialEq>(
    data: &[u8],
    parse: impl Fn(&[u8]) -> Result<Found, E>,
) -> Outcome<E> {
    let whole = drive([data], &parse);
    assert_eq!(
        drive(data.chunks(1), &parse),
        whole,
        "byte by byte: {}",
        data.escape_ascii()
    );
    let step = if data.len() <= 512 {
        1
    } else {
        data.len().div_ceil(64)
    };
    for at in (0..data.len()).step_by(step) {
        let (head, tail) = data.split_at(at);
        assert_eq!(
            drive([head, tail], &parse),
            whole,
            "cut at {at}: {}",
            data.escape_ascii()
        );
    }
    whole
}

fn drive<'a, E>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    parse: impl Fn(&[u8]) -> Result<Found, E>,
) -> Outcome<E> {
    let (mut kept, mut need, mut ops) = (Vec::new(), 1, Vec::new());
    for piece in pieces {
        kept.extend_from_slice(piece);
        loop {
            match parse(&kept) {
                Ok(Found::Op { text, len }) => {
                    assert!(
                        kept.len() >= need,
                        "an operation in {} bytes, not {need}",
                        kept.len()
                    );
                    assert!(
                        0 < len && len <= kept.len(),
                        "{len} of {} bytes used",
                        kept.len()
                    );
                    kept.drain(..len);
                    ops.push(text);
                    need = 1;
                }
                Ok(Found::Incomplete { need: more }) => {
                    assert!(more > kept.len(), "needs {more} bytes of {}", kept.len());
                    assert!(more >= need, "needed {need} bytes, then {more}");
                    need = more;
                    break;
                }
                Err(error) => {
                    return Outcome {
                        ops,
                        end: End::Broken(error),
                    };
                }
            }
        }
    }
    Outcome {
        ops,
        end: End::Left {
            bytes: kept.len(),
            need,
        },
    }
}
