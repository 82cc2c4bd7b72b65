//! What a site compiles into its command, by environment variables of the build; see `docs/site-build.md`.
//!
//! Those of provisioning are the server's, the number of connections is the broker's.

/// Whether clients and nodes speak TLS unless told otherwise: `MUSTER_TLS`.
pub(crate) const TLS: bool = is_on(option_env!("MUSTER_TLS"));

/// What a variable says that is on unless it is switched off. Anything but these words stops the build.
const fn is_on(value: Option<&str>) -> bool {
    let Some(value) = value else { return true };
    match value.as_bytes() {
        b"" | b"true" => true,
        b"false" => false,
        _ => panic!("a variable of the build must be true or false"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_false_switches_off() {
        for (value, on) in [
            (None, true),
            (Some(""), true),
            (Some("true"), true),
            (Some("false"), false),
        ] {
            assert_eq!(is_on(value), on, "{value:?}");
        }
    }
}
