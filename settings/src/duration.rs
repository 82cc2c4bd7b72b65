//! Durations as the fleet's files write them.
//!
//! ```text
//! duration = integer                  seconds
//!          | 1*( number unit )        1h30m, 500ms, 1.5h, 2d, 1w
//! number   = digits [ "." digits ] | "." digits
//! unit     = ns | us | µs | ms | s | m | h | d | D | w | W | M | y | Y
//! ```
//!
//! `M` is a month of 30 days and `m` a minute; a year has 365 days. Peers allow days and longer only alone;
//! here they combine too.

use std::fmt;
use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const SECONDS_PER_DAY: u128 = 86_400;

/// More digits behind the point than any unit can use.
const FRACTION_DIGITS_MAX: usize = 18;

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationError {
    /// Nothing is there.
    Empty,
    /// It does not have the form of one.
    Malformed,
    /// A number has no unit, or one that is unknown.
    Unit,
    /// It is longer than can be counted.
    TooLong,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty, a duration is needed such as 30, 10s or 1h30m",
            Self::Malformed => "is not a duration such as 30, 10s or 1h30m",
            Self::Unit => {
                "has a unit other than ns, us, ms, s, m (minutes), h, d, w, M (30 days) and y"
            }
            Self::TooLong => "is longer than 584 years, the longest duration",
        })
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration: a bare integer in seconds, or numbers with units.
///
/// # Errors
/// When the text is no duration, has an unknown unit, or is too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()) {
        let seconds: u128 = rest.parse().map_err(|_| DurationError::TooLong)?;
        return total(seconds.checked_mul(NANOS_PER_SECOND));
    }
    let mut nanos = Some(0_u128);
    loop {
        let (number, behind) = take_number(rest)?;
        let end = behind
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(behind.len());
        let unit = unit_nanos(&behind[..end]).ok_or(DurationError::Unit)?;
        nanos = nanos
            .zip(number.times(unit))
            .and_then(|(sum, part)| sum.checked_add(part));
        rest = &behind[end..];
        if rest.is_empty() {
            return total(nanos);
        }
    }
}

/// The nanoseconds as a duration, within what 64 bits of them can hold.
fn total(nanos: Option<u128>) -> Result<Duration, DurationError> {
    nanos
        .and_then(|nanos| u64::try_from(nanos).ok())
        .map(Duration::from_nanos)
        .ok_or(DurationError::TooLong)
}

/// A decimal number: `whole + fraction / 10^digits`.
struct Number {
    /// None where it is too large to count.
    whole: Option<u128>,
    fraction: u128,
    scale: u128,
}

impl Number {
    fn times(&self, unit: u128) -> Option<u128> {
        self.whole?
            .checked_mul(unit)?
            .checked_add(self.fraction * unit / self.scale)
    }
}

fn take_number(text: &str) -> Result<(Number, &str), DurationError> {
    let (whole, rest) = take_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => take_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Malformed);
    }
    let fraction = &fraction[..fraction.len().min(FRACTION_DIGITS_MAX)];
    let number = Number {
        whole: if whole.is_empty() {
            Some(0)
        } else {
            whole.parse().ok()
        },
        fraction: fraction.parse().unwrap_or(0),
        scale: fraction.bytes().fold(1, |scale, _| scale * 10),
    };
    Ok((number, rest))
}

fn take_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn unit_nanos(unit: &str) -> Option<u128> {
    let seconds = match unit {
        "ns" => return Some(1),
        // Both letters that look like mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => return Some(1_000),
        "ms" => return Some(1_000_000),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" | "D" => SECONDS_PER_DAY,
        "w" | "W" => 7 * SECONDS_PER_DAY,
        "M" => 30 * SECONDS_PER_DAY,
        "y" | "Y" => 365 * SECONDS_PER_DAY,
        _ => return None,
    };
    Some(seconds * NANOS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("0", seconds(0)),
            ("30", seconds(30)),
            (" 30 ", seconds(30)),
            ("+5", seconds(5)),
            ("10s", seconds(10)),
            ("1h30m", seconds(5_400)),
            ("1.5h", seconds(5_400)),
            (".5m", seconds(30)),
            ("1.s", seconds(1)),
            ("500ms", Duration::from_millis(500)),
            ("2us", Duration::from_micros(2)),
            ("2µs", Duration::from_micros(2)),
            ("7ns", Duration::from_nanos(7)),
            ("0.1234567891s", Duration::from_nanos(123_456_789)),
            ("1d", seconds(86_400)),
            ("1D", seconds(86_400)),
            ("2w", seconds(1_209_600)),
            ("1M", seconds(2_592_000)),
            ("1m", seconds(60)),
            ("1y", seconds(31_536_000)),
            ("1d12h", seconds(129_600)),
            ("18446744073s", seconds(18_446_744_073)),
        ] {
            assert_eq!(parse_duration(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_none_is_refused_with_its_reason() {
        use DurationError::{Empty, Malformed, TooLong, Unit};
        let huge = "9".repeat(60);
        for (text, expected) in [
            ("", Empty),
            ("  ", Empty),
            ("s", Malformed),
            ("-1", Malformed),
            ("-1s", Malformed),
            (".s", Malformed),
            ("1h-3m", Malformed),
            ("1 h", Unit),
            ("1h30", Unit),
            ("1.5", Unit),
            ("1fortnight", Unit),
            ("1H", Unit),
            ("585y", TooLong),
            ("18446744074", TooLong),
            (&huge, TooLong),
            (&format!("{huge}h"), TooLong),
            (&format!("1.{huge}y{huge}y"), TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(expected), "{text:?}");
        }
    }
}
