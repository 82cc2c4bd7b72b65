//! A small JSON reader and writer for envelopes, without a tree of values.
//!
//! The layers nest as strings in strings, and a fleet answers fifty thousand at a time, so the envelopes are read by a
//! pull reader over the text: strings are spans until somebody wants them unescaped, and values nobody asked for are
//! checked and skipped. The writer escapes exactly as Go's default encoder does (`<`, `>` and `&` included), so what we
//! send is byte for byte what the peers would have sent.
//!
//! Accepted is JSON (RFC 8259) in UTF-8, nested no deeper than [`DEPTH_MAX`]. Where peers disagree on garbage we follow
//! Go: the last of duplicate keys wins, an unpaired surrogate escape becomes U+FFFD.
//! This is no general parser: free-form values inside (facts, RPC data) go to `serde_json` or `gjson`.

mod escape;
mod layer;
mod reader;
mod swar;

pub use self::escape::{write_integer, write_string};
pub use self::layer::LayerError;
pub(crate) use self::layer::Text;
pub use self::reader::{JsonError, JsonProblem};
pub(crate) use self::reader::{RawStr, Reader};

/// How deep arrays and objects may nest in one document; bounds the reader's recursion.
pub const DEPTH_MAX: usize = 128;

#[cfg(test)]
mod tests;
