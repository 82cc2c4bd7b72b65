//! Times and durations as nats-server writes them.

use std::fmt::Write;
use std::time::Duration;

use serde::Serializer;

/// RFC 3339 in UTC, with as many digits of a second as it has; `unix` counts from the Unix epoch.
pub(super) fn rfc3339(unix: Duration) -> String {
    let seconds = unix.as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = fraction(unix.subsec_nanos().into(), 9);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Years of 365 days down to seconds, from the first unit that is not zero: `1y2d3h4m5s`, `4m5s`.
pub(super) fn uptime(time: Duration) -> String {
    let seconds = time.as_secs();
    let days = seconds / 86_400;
    let parts = [
        (days / 365, 'y'),
        (days % 365, 'd'),
        (seconds / 3600 % 24, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let first = parts
        .iter()
        .position(|(count, _)| *count > 0)
        .unwrap_or(parts.len() - 1);
    parts[first..]
        .iter()
        .fold(String::new(), |mut text, (count, unit)| {
            let _ = write!(text, "{count}{unit}");
            text
        })
}

/// A duration in Go's notation: `1.234ms`, `12µs`, `1h0m2.5s`, `0s`.
pub(super) fn go_duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}{}µs", nanos / 1_000, fraction(nanos % 1_000, 3)),
        1_000_000..1_000_000_000 => {
            format!("{}{}ms", nanos / 1_000_000, fraction(nanos % 1_000_000, 6))
        }
        _ => {
            let (hours, minutes) = (time.as_secs() / 3600, time.as_secs() / 60 % 60);
            let seconds = format!(
                "{}{}s",
                time.as_secs() % 60,
                fraction(nanos % 1_000_000_000, 9)
            );
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, _) => format!("{minutes}m{seconds}"),
                _ => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// Seconds as a number that has a point only where it needs one.
pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    if time.subsec_nanos() == 0 {
        serializer.serialize_u64(time.as_secs())
    } else {
        serializer.serialize_f64(time.as_secs_f64())
    }
}

/// Whole nanoseconds.
pub(super) fn nanos<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// A point and so many digits without the zeros at their end; nothing for zero.
fn fraction(value: u128, digits: usize) -> String {
    if value == 0 {
        return String::new();
    }
    let text = format!(".{value:0digits$}");
    text.trim_end_matches('0').to_owned()
}

/// Year, month and day of a day counted from 1 January 1970.
///
/// Counted in years that begin on 1 March, so that the leap day is the last of its year, and in eras of 400 years,
/// which all have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    // From 1 March of the year 0 to the epoch there are 719,468 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Five months have 153 days, again and again, from March on.
    let months_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_from_march + 2) / 5 + 1;
    let month = (months_from_march + 2) % 12 + 1;
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        for (seconds, nanos, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (951_868_800, 1, "2000-03-01T00:00:00.000000001Z"),
            (1_735_689_599, 120_000_000, "2024-12-31T23:59:59.12Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Duration::new(seconds, nanos)), expected);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut days = 0..;
        for year in 1970..2500_u64 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..).zip(lengths) {
                for day in 1..=length + u64::from(leap && month == 2) {
                    assert_eq!(date(days.next().unwrap()), (year, month, day));
                }
            }
        }
    }

    #[test]
    fn uptimes() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m0s"),
            (3_605, "1h0m5s"),
            (86_400, "1d0h0m0s"),
            (366 * 86_400 + 3 * 3600 + 4 * 60 + 5, "1y1d3h4m5s"),
        ] {
            assert_eq!(uptime(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn durations() {
        for (nanos, expected) in [
            (0, "0s"),
            (999, "999ns"),
            (12_000, "12µs"),
            (12_340, "12.34µs"),
            (1_234_000, "1.234ms"),
            (1_000_000_000, "1s"),
            (62_500_000_000, "1m2.5s"),
            (3_602_000_000_000, "1h0m2s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), expected);
        }
    }
}
