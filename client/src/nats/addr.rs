//! Where a server listens: a host and a port.
//!
//! Host names are kept as text; resolving them is the driver's work, since it is I/O.

use std::fmt;

/// The address of one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddr {
    /// A host name or an IP address; an IPv6 address has no brackets here.
    pub host: Box<str>,
    /// The TCP port.
    pub port: u16,
}

impl ServerAddr {
    /// An address from its parts.
    pub fn new(host: impl Into<Box<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads `host:port` or `nats://host:port` (also `tls://`); the port is mandatory, IPv6 addresses stand in brackets.
    pub fn parse(text: &str) -> Result<Self, AddrError> {
        let text = text.trim();
        let rest = text
            .strip_prefix("nats://")
            .or_else(|| text.strip_prefix("tls://"));
        let rest = rest.unwrap_or(text).trim_end_matches('/');
        let error = |kind: fn(Box<str>) -> AddrError| kind(text.into());
        let (host, port) = rest
            .rsplit_once(':')
            .ok_or_else(|| error(AddrError::NoPort))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner
                .strip_suffix(']')
                .ok_or_else(|| error(AddrError::BadHost))?,
            // An IPv6 address without brackets would lose its last group to the port.
            None if host.contains(':') => return Err(error(AddrError::BadHost)),
            None => host,
        };
        let is_bad =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '[' | ']');
        if host.is_empty() || host.contains(is_bad) {
            return Err(error(AddrError::BadHost));
        }
        // `u16::from_str` alone would take a leading plus sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error(AddrError::BadPort));
        }
        match port.parse() {
            Ok(0) | Err(_) => Err(error(AddrError::BadPort)),
            Ok(port) => Ok(Self::new(host, port)),
        }
    }
}

impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a text is no server address; each variant holds the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddrError {
    /// There is no `:port`.
    NoPort(Box<str>),
    /// The host is empty or holds characters no host has; also user names, which are configured elsewhere.
    BadHost(Box<str>),
    /// The port is no number from 1 to 65535.
    BadPort(Box<str>),
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort(text) => write!(f, "server address {text:?} has no port"),
            Self::BadHost(text) => write!(f, "server address {text:?} has no usable host"),
            Self::BadPort(text) => {
                write!(f, "server address {text:?} has no port between 1 and 65535")
            }
        }
    }
}

impl std::error::Error for AddrError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_usual_forms_and_prints_them_back() {
        for (text, host, port, shown) in [
            ("broker1:4222", "broker1", 4222, "broker1:4222"),
            (
                "nats://broker1.example.net:4223",
                "broker1.example.net",
                4223,
                "broker1.example.net:4223",
            ),
            ("tls://10.0.0.1:4222/", "10.0.0.1", 4222, "10.0.0.1:4222"),
            (" [::1]:4222 ", "::1", 4222, "[::1]:4222"),
        ] {
            let addr = ServerAddr::parse(text).unwrap();
            assert_eq!(addr, ServerAddr::new(host, port), "{text}");
            assert_eq!(addr.to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_is_no_address() {
        let no_port = |text: &str| AddrError::NoPort(text.into());
        let bad_host = |text: &str| AddrError::BadHost(text.into());
        let bad_port = |text: &str| AddrError::BadPort(text.into());
        for (text, error) in [
            ("broker1", no_port("broker1")),
            ("", no_port("")),
            (":4222", bad_host(":4222")),
            ("a b:4222", bad_host("a b:4222")),
            ("::1:4222", bad_host("::1:4222")),
            ("[::1:4222", bad_host("[::1:4222")),
            (
                "nats://user:pass@broker1:4222",
                bad_host("nats://user:pass@broker1:4222"),
            ),
            ("broker1:", bad_port("broker1:")),
            ("broker1:0", bad_port("broker1:0")),
            ("broker1:+1", bad_port("broker1:+1")),
            ("broker1:65536", bad_port("broker1:65536")),
        ] {
            assert_eq!(ServerAddr::parse(text), Err(error), "{text}");
        }
    }
}
