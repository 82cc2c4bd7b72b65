//! Moments as the machine formats write them: RFC 3339 in UTC.

use std::time::Duration;

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment since the Unix epoch in UTC, such as `2026-11-25T06:23:22Z`; a fraction of a second without trailing zeros.
#[must_use]
pub fn rfc3339_utc(unix: Duration) -> String {
    let (days, second) = (
        unix.as_secs() / SECONDS_PER_DAY,
        unix.as_secs() % SECONDS_PER_DAY,
    );
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match unix.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day. Years are counted from March, so that the leap day is a year's last.
fn civil(days_since_1970: u64) -> (u64, u64, u64) {
    // From 1 March of year 0, in whole cycles of 400 years.
    let days = days_since_1970 + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March: 31 30 31 30 31 repeated, which this line of 153 days in 5 months follows.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (cycle * 400 + year + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_peers_write_them() {
        for (secs, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 0, "2000-02-28T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (951_868_800, 0, "2000-03-01T00:00:00Z"),
            (1_795_587_802, 567_095_769, "2026-11-25T06:23:22.567095769Z"),
            (1_795_587_802, 500_000_000, "2026-11-25T06:23:22.5Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339_utc(Duration::new(secs, nanos)), text);
        }
    }
}
