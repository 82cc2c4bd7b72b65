//! Durations as people are used to read them here.

use std::time::Duration;

const NANOS_A_MILLI: u128 = 1_000_000;

/// Every digit there is, in the largest unit below which the value is not 1: `661.322µs`, `22.858438ms`, `1m2.5s`.
pub(crate) fn exact(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{}ms", decimal(nanos, NANOS_A_MILLI, 6)),
        _ => in_seconds(duration),
    }
}

/// Whole milliseconds: `402ms`, `2.02s`.
pub(crate) fn whole_millis(duration: Duration) -> String {
    let millis = (duration.as_nanos() + NANOS_A_MILLI / 2) / NANOS_A_MILLI;
    exact(Duration::from_millis(
        u64::try_from(millis).unwrap_or(u64::MAX),
    ))
}

/// Milliseconds with two digits behind the point: `20.12`.
pub(crate) fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

fn in_seconds(duration: Duration) -> String {
    let (hours, minutes) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60);
    let nanos = u128::from(duration.as_secs() % 60) * 1_000_000_000;
    let seconds = decimal(
        nanos + u128::from(duration.subsec_nanos()),
        1_000_000_000,
        9,
    );
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` without trailing zeros; `digits` is the number of digits behind the point.
fn decimal(value: u128, unit: u128, digits: usize) -> String {
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_grow_with_the_value() {
        for (nanos, text) in [
            (0, "0s"),
            (999, "999ns"),
            (661_322, "661.322µs"),
            (22_858_438, "22.858438ms"),
            (402_000_000, "402ms"),
            (2_000_000_000, "2s"),
            (2_030_000_000, "2.03s"),
            (62_500_000_000, "1m2.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (10_000_000, "10ms"),
        ] {
            assert_eq!(exact(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn milliseconds_are_rounded() {
        assert_eq!(whole_millis(Duration::from_micros(401_500)), "402ms");
        assert_eq!(whole_millis(Duration::from_micros(2_018_900)), "2.019s");
        assert_eq!(whole_millis(Duration::from_micros(400)), "0s");
        assert_eq!(millis(Duration::from_micros(20_118)), "20.12");
        assert_eq!(millis(Duration::from_micros(3)), "0.00");
    }
}
