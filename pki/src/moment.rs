//! Moments as people read them: seconds since 1970 as RFC 3339 in UTC.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `2026-11-25T10:00:00Z`; a moment no calendar holds is shown as its seconds.
#[must_use]
pub fn rfc3339(unix: u64) -> String {
    i64::try_from(unix)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| unix.to_string())
}

/// The reverse of [`rfc3339`]; a fraction of a second is left out.
pub(crate) fn parse_rfc3339(text: &str) -> Option<u64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read_again() {
        for (unix, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_600_800, "2026-11-25T10:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(unix), text);
            assert_eq!(parse_rfc3339(text), Some(unix));
        }
        assert_eq!(rfc3339(u64::MAX), u64::MAX.to_string());
        for bad in [
            "",
            "2026-11-25",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad}");
        }
    }
}
