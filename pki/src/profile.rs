//! What a certificate shall say.

use std::net::IpAddr;

use crate::{KeyKind, PkiError};

/// The longest name: that of a DNS name.
const NAME_BYTES_MAX: usize = 253;

/// The last second of the year 9999, the last moment a certificate can speak of.
const LAST_UNIX: u64 = 253_402_300_799;

const SECONDS_PER_DAY: u64 = 86_400;

/// What the owner of a certificate is; decides what the certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A network broker: TLS server, and client of other brokers.
    Broker,
    /// A node: client of a broker, and server of its own endpoints.
    Node,
    /// A caller: client only; also signs requests.
    Client,
}

impl Role {
    /// `broker`, `node` or `client`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Node => "node",
            Self::Client => "client",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Broker, Self::Node, Self::Client]
            .into_iter()
            .find(|role| role.name() == name)
    }
}

/// From when and for how long a certificate is valid. Exact: who fears clocks that lag gives an earlier start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second, in unix seconds.
    pub from_unix: u64,
    /// How many days from then, at least 1.
    pub days: u32,
}

impl Validity {
    /// `days` days from a unix time.
    #[must_use]
    pub fn days_from(from_unix: u64, days: u32) -> Self {
        Self { from_unix, days }
    }

    /// The first and the last second.
    pub(crate) fn bounds(self) -> Result<(u64, u64), PkiError> {
        self.from_unix
            .checked_add(u64::from(self.days) * SECONDS_PER_DAY)
            .filter(|end| self.days > 0 && *end <= LAST_UNIX)
            .map(|end| (self.from_unix, end))
            .ok_or(PkiError::BadValidity {
                from_unix: self.from_unix,
                days: self.days,
            })
    }
}

/// What a certificate shall say. The name becomes common name and first DNS alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the owner is.
    pub role: Role,
    /// The owner's name: an identity such as `node1.example.net`, or a caller such as `rip.mcollective`.
    pub name: String,
    /// More DNS names, such as `localhost`.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub ips: Vec<IpAddr>,
    /// From when and for how long.
    pub validity: Validity,
    /// The kind of key [`crate::Authority::issue`] makes.
    pub key_kind: KeyKind,
}

impl Profile {
    /// A profile with no further names and the default kind of key.
    pub fn new(role: Role, name: impl Into<String>, validity: Validity) -> Self {
        Self {
            role,
            name: name.into(),
            dns_names: Vec::new(),
            ips: Vec::new(),
            validity,
            key_kind: KeyKind::default(),
        }
    }

    /// Adds a DNS name.
    #[must_use]
    pub fn dns(mut self, name: impl Into<String>) -> Self {
        self.dns_names.push(name.into());
        self
    }

    /// Adds an IP address.
    #[must_use]
    pub fn ip(mut self, ip: IpAddr) -> Self {
        self.ips.push(ip);
        self
    }

    /// Adds what a broker on this machine is dialled by: `localhost` and both loopback addresses.
    #[must_use]
    pub fn loopback(self) -> Self {
        self.dns("localhost")
            .ip(IpAddr::from([127, 0, 0, 1]))
            .ip(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))
    }

    /// Sets the kind of key.
    #[must_use]
    pub fn key_kind(mut self, kind: KeyKind) -> Self {
        self.key_kind = kind;
        self
    }
}

/// A name must survive as DNS alternative name, as file name and in a caller id.
pub(crate) fn check_name(name: &str) -> Result<(), PkiError> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "it is longer than 253 bytes"
    } else if name.starts_with(['.', '-']) {
        "it starts with a dot or a dash"
    } else if !name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
    {
        "it holds other than letters, digits, dots, dashes and underscores"
    } else {
        return Ok(());
    };
    Err(PkiError::BadName {
        name: name.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_exact_and_bounded() {
        assert_eq!(Validity::days_from(10, 2).bounds(), Ok((10, 172_810)));
        assert!(Validity::days_from(10, 0).bounds().is_err());
        assert!(Validity::days_from(LAST_UNIX, 1).bounds().is_err());
        assert!(Validity::days_from(u64::MAX, u32::MAX).bounds().is_err());
    }

    #[test]
    fn names_that_would_hurt_are_refused() {
        for good in ["rip.mcollective", "node-1.example.net", "a_b", "x"] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in [
            "",
            "../x",
            ".hidden",
            "-x",
            "a b",
            "a/b",
            "ü",
            "a\n",
            &"x".repeat(254),
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
