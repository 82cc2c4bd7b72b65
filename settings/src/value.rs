//! Readings of single values: booleans, whole numbers, lists.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// `1 yes true y t` and `0 no false n f`, in any case.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    const ON: [&str; 5] = ["1", "yes", "true", "y", "t"];
    const OFF: [&str; 5] = ["0", "no", "false", "n", "f"];
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    if ON.iter().any(is) {
        Ok(true)
    } else if OFF.iter().any(is) {
        Ok(false)
    } else {
        Err("is not yes or no (1 yes true y t, 0 no false n f)".to_owned())
    }
}

/// A decimal whole number within a range.
pub(crate) fn parse_whole<T>(text: &str, range: &RangeInclusive<T>) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + Display,
{
    match text.parse::<T>() {
        Ok(number) if range.contains(&number) => Ok(number),
        // Numbers too large for the type get the same answer as those beyond the range.
        _ => Err(format!(
            "is not a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// The trimmed, non-empty items between separators.
pub(crate) fn split_list(text: &str, separator: char) -> Vec<String> {
    text.split(separator)
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}
