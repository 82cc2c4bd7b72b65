//! Names and keys of what loadgen runs.

/// The name of a bare connection: `bare` and six digits.
pub(crate) fn bare_name(number: usize) -> String {
    format!("bare{number:06}")
}
