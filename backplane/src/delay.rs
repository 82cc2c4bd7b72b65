//! How long a shutdown is put off, and how that is said.

use std::time::Duration;

/// A caller gets its answer before the application ends.
pub(crate) const DELAY_MIN: Duration = Duration::from_secs(1);

/// One second and a part of `spread` that `random` decides, so that a fleet does not end at one moment.
pub(crate) fn shutdown_delay(spread: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(spread.as_nanos()).unwrap_or(u64::MAX);
    let part = if nanos == 0 { 0 } else { random % nanos };
    DELAY_MIN + Duration::from_nanos(part)
}

/// A second or more in the notation of the fleet's other servers: `3.5s`, `1m2.25s`, `1h0m0s`.
pub(crate) fn duration_text(duration: Duration) -> String {
    debug_assert!(duration >= DELAY_MIN, "shorter ones have other units");
    let (whole, nanos) = (duration.as_secs(), duration.subsec_nanos());
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let seconds = format!("{seconds}.{nanos:09}");
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_lie_between_one_second_and_the_spread_beyond_it() {
        let spread = Duration::from_secs(10);
        assert_eq!(shutdown_delay(spread, 0), DELAY_MIN);
        assert_eq!(shutdown_delay(Duration::ZERO, 77), DELAY_MIN);
        for random in [1, 9_999_999_999, 10_000_000_000, u64::MAX] {
            let delay = shutdown_delay(spread, random);
            assert!(
                delay >= DELAY_MIN && delay < DELAY_MIN + spread,
                "{delay:?}"
            );
        }
        assert_eq!(
            shutdown_delay(Duration::MAX, 5),
            DELAY_MIN + Duration::from_nanos(5)
        );
    }

    #[test]
    fn delays_read_as_those_of_other_servers() {
        for (nanos, text) in [
            (1_000_000_000, "1s"),
            (10_000_000_000, "10s"),
            (3_141_592_653, "3.141592653s"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (62_250_000_000, "1m2.25s"),
            (80_000_000_000, "1m20s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration_text(Duration::from_nanos(nanos)), text);
        }
    }
}
