//! What a parser of client operations lets through.

/// Bounds of one connection; each is checked before the bytes it bounds are kept.
///
/// An incomplete operation makes a caller hold at most the larger of a control line
/// (`control_line_max` plus [`IGNORED_MAX`] and the operation's name) and a control line with
/// `payload_max` bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most argument bytes of a control line: 4096, as other brokers of the dialect have it.
    /// The operation's name, the blanks behind it and the line end are not counted.
    /// CONNECT counts too, so a large JWT needs a larger limit.
    pub control_line_max: usize,
    /// Most bytes of headers and body together: 1 MiB. Exactly this many are allowed.
    pub payload_max: usize,
    /// Whether HPUB is allowed: the server offers headers and the client's CONNECT took them.
    pub headers: bool,
}

impl Default for Limits {
    /// The defaults of the dialect, headers allowed.
    fn default() -> Self {
        Self {
            control_line_max: 4096,
            payload_max: 1024 * 1024,
            headers: true,
        }
    }
}

/// Most bytes that a peer may spend where the dialect gives them no meaning: the blanks between an
/// operation's name and its argument, and the text after `PING`, `PONG` and `+OK`.
///
/// The dialect has no limit there, because its reference parser drops such bytes one by one.
/// A parser over a kept buffer needs one, else an endless `PING` line fills memory.
pub const IGNORED_MAX: usize = 4096;
