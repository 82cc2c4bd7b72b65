//! What a broker is told of its cluster, and the addresses in it.

use std::fmt;
use std::net::SocketAddr;

/// Where a route goes: `host:port`, and the user the other side wants. `Debug` and `Display` hide the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteUrl {
    /// A name or an address, without brackets.
    pub host: Box<str>,
    /// The port for routes.
    pub port: u16,
    /// User and password, where the URL has them.
    pub credentials: Option<(Box<str>, Box<str>)>,
}

/// Why a text is no address of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteUrlError {
    /// A scheme other than `nats`, `nats-route` and `tls`.
    Scheme,
    /// No host, or one with characters a host has not.
    Host,
    /// A port that is none.
    Port,
    /// A user without a password.
    Credentials,
}

impl fmt::Display for RouteUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "has a scheme other than nats, nats-route and tls",
            Self::Host => "names no host",
            Self::Port => "has no usable port",
            Self::Credentials => "has a user without a password",
        })
    }
}

impl std::error::Error for RouteUrlError {}

impl RouteUrl {
    /// A host and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            credentials: None,
        }
    }

    /// Reads `[scheme://][user:password@]host[:port][/]`; without a port it is `port`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, port: u16) -> Result<Self, RouteUrlError> {
        let rest = match text.split_once("://") {
            None => text,
            Some(("nats" | "nats-route" | "tls", rest)) => rest,
            Some(_) => return Err(RouteUrlError::Scheme),
        };
        let rest = rest.trim_end_matches('/');
        let (credentials, address) = match rest.rsplit_once('@') {
            None => (None, rest),
            Some((userinfo, address)) => {
                let pair = userinfo
                    .split_once(':')
                    .filter(|(user, _)| !user.is_empty());
                let (user, password) = pair.ok_or(RouteUrlError::Credentials)?;
                (Some((user.into(), password.into())), address)
            }
        };
        let (host, port) = split_port(address, port)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if host.is_empty() || host.len() > 255 || !host.chars().all(plain) {
            return Err(RouteUrlError::Host);
        }
        Ok(Self {
            host: host.into(),
            port,
            credentials,
        })
    }

    /// Whether both are the same place by their text.
    #[must_use]
    pub fn is_place(&self, host: &str, port: u16) -> bool {
        self.port == port && self.host.eq_ignore_ascii_case(host)
    }

    /// The address in `INFO`'s form, for others to dial.
    #[must_use]
    pub fn dial_url(&self) -> String {
        format!("nats-route://{self}/")
    }
}

impl From<SocketAddr> for RouteUrl {
    fn from(address: SocketAddr) -> Self {
        Self::new(&address.ip().to_canonical().to_string(), address.port())
    }
}

impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteUrl({self})")
    }
}

fn split_port(address: &str, default: u16) -> Result<(&str, u16), RouteUrlError> {
    let number = |port: &str| port.parse().ok().filter(|port| *port != 0);
    if let Some(rest) = address.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(RouteUrlError::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, number(port).ok_or(RouteUrlError::Port)?)),
            None if after.is_empty() => Ok((host, default)),
            None => Err(RouteUrlError::Port),
        };
    }
    match address.rsplit_once(':') {
        // More than one colon and no brackets is a bare IPv6 address.
        Some((host, _)) if host.contains(':') => Ok((address, default)),
        Some((host, port)) => Ok((host, number(port).ok_or(RouteUrlError::Port)?)),
        None => Ok((address, default)),
    }
}

/// The cluster a broker is in, and its own place there.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The cluster's name, the same on all its brokers.
    pub name: Box<str>,
    /// Where this broker listens for routes, as it tells others.
    pub listen: RouteUrl,
    /// Where others reach that listener, if not at the address they see.
    pub advertise: Option<RouteUrl>,
    /// Neither tell others where this broker's clients connect, nor its clients of others.
    pub no_advertise: bool,
    /// Peers to dial for ever.
    pub routes: Vec<RouteUrl>,
    /// What a peer must show, and what is shown to peers that were learnt of.
    pub credentials: Option<(Box<str>, Box<str>)>,
    /// `host:port` where this broker's clients connect, best first.
    pub connect_urls: Vec<String>,
    /// Attempts to dial a peer that was learnt of, after the first one failed.
    pub connect_retries: u32,
    /// Whether the pause between attempts doubles up to 30 s, rather than being 1 s always.
    pub backoff: bool,
    /// Whether routes speak TLS.
    pub tls: bool,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: "CHORIA".into(),
            listen: RouteUrl::new("0.0.0.0", 0),
            advertise: None,
            no_advertise: false,
            routes: Vec::new(),
            credentials: None,
            connect_urls: Vec::new(),
            connect_retries: 20,
            backoff: false,
            tls: false,
        }
    }
}

impl fmt::Debug for ClusterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterConfig")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("routes", &self.routes)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, RouteUrlError>) {
        let found = RouteUrl::parse(text, 5222).map(|url| url.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn addresses_of_peers() {
        check("nats://h1:4223", Ok("h1:4223"));
        check(
            "nats-route://h1.example.net:4223/",
            Ok("h1.example.net:4223"),
        );
        check("h1", Ok("h1:5222"));
        check("[::1]:1", Ok("[::1]:1"));
        check("::1", Ok("[::1]:5222"));
        check("nats://u:p@h:1", Ok("h:1"));
        check("http://h:1", Err(RouteUrlError::Scheme));
        check("h:0", Err(RouteUrlError::Port));
        check("h:x", Err(RouteUrlError::Port));
        check("nats://:1", Err(RouteUrlError::Host));
        check("h 1:2", Err(RouteUrlError::Host));
        check("u@h:1", Err(RouteUrlError::Credentials));
        check("[::1", Err(RouteUrlError::Host));
    }

    #[test]
    fn passwords_are_not_shown() {
        let url = RouteUrl::parse("nats://u:hunter2@h:1", 1).unwrap();
        assert_eq!(url.credentials, Some(("u".into(), "hunter2".into())));
        let config = ClusterConfig {
            routes: vec![url],
            credentials: Some(("u".into(), "hunter2".into())),
            ..ClusterConfig::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
