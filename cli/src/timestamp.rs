//! Moments as files and events write them, and as people read them. Always UTC: a fleet has no one zone.

use std::time::Duration;

use muster_client::fleet::rfc3339_utc;

/// Reads an RFC 3339 moment as Unix seconds; fractions of a second are cut off. None for what is no moment, and for years that peers write for "never".
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let [hour, minute, second] = numbers(clock, ':')?;
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    is_valid.then_some(seconds - zone_seconds(zone)?)
}

/// `2026-11-25 06:20:58 +0000 UTC`, as the fleet's other tools write it.
pub(crate) fn at_length(unix: i64) -> String {
    let text = rfc3339(unix);
    text.replace('T', " ").replace('Z', " +0000 UTC")
}

/// `15:04:05`.
pub(crate) fn time_of_day(unix: i64) -> String {
    let text = rfc3339(unix);
    let time = text.split_once('T').map_or("", |(_, time)| time);
    time.trim_end_matches('Z').to_owned()
}

/// `2026-11-25T06:20:58Z`; moments before 1970 are that year's first.
pub(crate) fn rfc3339(unix: i64) -> String {
    rfc3339_utc(Duration::from_secs(u64::try_from(unix).unwrap_or(0)))
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut next = || {
        let part = parts.next()?;
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse().ok() } else { None }
    };
    let read = [next()?, next()?, next()?];
    parts.next().is_none().then_some(read)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes))
        .then_some(sign * (hours * 3600 + minutes * 60))
}

/// Years are counted from March, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_as_they_were_written() {
        for unix in [0, 951_782_399, 951_868_800, 1_795_587_802, 4_107_542_400] {
            assert_eq!(parse_rfc3339(&rfc3339(unix)), Some(unix));
        }
        for (text, unix) in [
            ("2026-11-25T06:23:22.567095769Z", Some(1_795_587_802)),
            ("2026-11-25T08:23:22+02:00", Some(1_795_587_802)),
            ("2026-11-25 00:53:22-05:30", Some(1_795_587_802)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-13-25T06:23:22Z", None),
            ("2026-11-25T06:23:22", None),
            ("2026-11-25T06:23:22+99:00", None),
            ("2026-+1-25T06:23:22Z", None),
            ("99999999999999999999-11-25T06:23:22Z", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_rfc3339(text), unix, "{text}");
        }
    }

    #[test]
    fn people_read_them_with_blanks() {
        assert_eq!(at_length(1_795_587_802), "2026-11-25 06:23:22 +0000 UTC");
        assert_eq!(time_of_day(1_795_587_802), "06:23:22");
    }
}
