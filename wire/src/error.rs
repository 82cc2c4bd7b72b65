//! How a peer can break the protocol, and what it is told.
//!
//! After any of these the connection is closed: the parser has lost its place in the stream.

use std::fmt;

/// The peer's bytes are no operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParseError {
    /// No operation starts like this. Known from the first wrong byte, without a line end.
    /// The broker answers `-ERR 'Unknown Protocol Operation'` and closes.
    UnknownOperation,
    /// A control line whose arguments make no sense. The broker closes without a word.
    BadArguments(ArgumentError),
    /// More argument bytes than `control_line_max`, whether or not the line's end was seen, or
    /// more than [`IGNORED_MAX`](crate::limits::IGNORED_MAX) bytes without meaning.
    /// The broker answers `-ERR 'maximum control line exceeded'` and closes.
    ControlLineTooLong,
    /// A size above `payload_max`, known before the payload arrives.
    /// The broker answers `-ERR 'Maximum Payload Violation'` and closes.
    PayloadTooLarge,
    /// HPUB where headers were not agreed upon. The broker closes without a word.
    HeadersNotSupported,
    /// The payload is not followed by CR LF. The broker answers as to an unknown operation.
    BadTerminator,
}

impl ParseError {
    /// The text of the `-ERR` that goes out before the close, without quotes; `None` where the
    /// dialect closes silently.
    pub fn err_text(self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation | Self::BadTerminator => Some("Unknown Protocol Operation"),
            Self::ControlLineTooLong => Some("maximum control line exceeded"),
            Self::PayloadTooLarge => Some("Maximum Payload Violation"),
            Self::BadArguments(_) | Self::HeadersNotSupported => None,
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOperation => f.write_str("unknown protocol operation"),
            Self::BadArguments(why) => write!(f, "bad arguments: {why}"),
            Self::ControlLineTooLong => f.write_str("control line longer than its limit"),
            Self::PayloadTooLarge => f.write_str("payload larger than its limit"),
            Self::HeadersNotSupported => f.write_str("message headers not supported"),
            Self::BadTerminator => f.write_str("payload not followed by cr lf"),
        }
    }
}

impl std::error::Error for ParseError {}

impl From<ArgumentError> for ParseError {
    fn from(why: ArgumentError) -> Self {
        Self::BadArguments(why)
    }
}

/// What is wrong with the arguments of a control line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgumentError {
    /// Too few or too many for the operation.
    Count,
    /// A size that is not one to nine ASCII digits.
    Size,
    /// More header bytes than bytes in all.
    HeadersLongerThanTotal,
    /// A subscription id in a MSG that is not a decimal number of 64 bits.
    Sid,
    /// A CR inside the arguments of an operation with a payload. Brokers of the dialect disagree
    /// with themselves on what it means, and a wrong guess at a size loses the framing.
    StrayCarriageReturn,
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Count => "wrong number of arguments",
            Self::Size => "size is not one to nine digits",
            Self::HeadersLongerThanTotal => "header size above total size",
            Self::Sid => "sid is not a 64-bit number",
            Self::StrayCarriageReturn => "carriage return inside a control line",
        })
    }
}
