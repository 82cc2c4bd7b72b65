//! The fleet's `key = value` files: types, units, errors with file and line.
//!
//! [`Settings`] holds the lines of one configuration: a main file and what lies beside it. A [`Reader`] turns
//! them into typed values for a daemon, which asks for each key with its type, range and default, and gets
//! every problem of the whole configuration at once from [`Reader::finish`]. What nobody asked for is listed
//! by [`Settings::unused`], so that a daemon can warn of misspelt keys with file and line.
//!
//! The crate opens nothing: [`Settings::load`] is given the two functions that do. It reads no environment
//! and knows no key by name.
//!
//! # The files
//!
//! One setting a line, split at the first `=`, both sides trimmed. A line that starts with `#` is a comment,
//! a line without `=` is passed over (and listed by [`Settings::stray_lines`]). No quotes, no escapes, no
//! sections. A key that comes again replaces the earlier one, but for lists that say they append.

#![forbid(unsafe_code)]

mod duration;
mod error;
mod load;
mod reader;
mod store;
mod value;

pub use duration::{DurationError, parse_duration};
pub use error::{LoadError, SettingsError, SettingsErrors};
pub use reader::Reader;
pub use store::{Entry, Settings, StrayLine};

#[cfg(test)]
mod tests;
