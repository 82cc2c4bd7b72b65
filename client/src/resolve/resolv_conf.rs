//! The resolver's own configuration: resolv.conf(5), the parts that matter for one kind of record.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Name servers that are used; the rest of a longer list is not, as in the C library.
const NAME_SERVERS_MAX: usize = 3;
/// Where DNS is spoken.
const DNS_PORT: u16 = 53;

/// Which name servers are asked, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvConf {
    /// The name servers, in the order they are asked.
    pub name_servers: Vec<SocketAddr>,
    /// The domain names are completed with, where one is told.
    pub domain: Option<String>,
    /// How long one is waited for, 1 to 5 s.
    pub timeout: Duration,
    /// How often each is asked, 1 to 5 times.
    pub attempts: u32,
}

impl Default for ResolvConf {
    fn default() -> Self {
        Self {
            name_servers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT))],
            domain: None,
            timeout: Duration::from_secs(2),
            attempts: 2,
        }
    }
}

impl ResolvConf {
    /// Reads the text of the file. What cannot be read is passed over, as in the C library.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        let mut name_servers = Vec::new();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") if name_servers.len() < NAME_SERVERS_MAX => {
                    let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    name_servers.extend(ip.map(|ip| SocketAddr::new(ip, DNS_PORT)));
                }
                // The last of both counts; of a search list, its first domain.
                Some("domain" | "search") => {
                    let domain = words.next().map(|word| word.trim_matches('.'));
                    conf.domain = domain.filter(|d| !d.is_empty()).map(str::to_owned);
                }
                Some("options") => words.for_each(|option| conf.apply(option)),
                _ => {}
            }
        }
        if !name_servers.is_empty() {
            conf.name_servers = name_servers;
        }
        conf
    }

    fn apply(&mut self, option: &str) {
        let number = |text: &str| text.parse::<u32>().ok().map(|number| number.clamp(1, 5));
        match option.split_once(':') {
            Some(("timeout", text)) => {
                if let Some(seconds) = number(text) {
                    self.timeout = Duration::from_secs(seconds.into());
                }
            }
            Some(("attempts", text)) => self.attempts = number(text).unwrap_or(self.attempts),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_read_and_the_rest_passed_over() {
        let conf = ResolvConf::parse(
            "# made by hand\ndomain old.example\nnameserver 10.0.0.1 ; first\nnameserver junk\n\
             nameserver fd00::1\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n\
             search example.net. example.org\noptions timeout:9 attempts:0 rotate ndots:2\nsortlist x\n",
        );
        let servers: Vec<_> = conf.name_servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.3:53"]);
        assert_eq!(conf.domain.as_deref(), Some("example.net"));
        assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(5), 1));
        assert_eq!(ResolvConf::parse(""), ResolvConf::default());
        let odd = ResolvConf::parse("options timeout: attempts:x\nnameserver\nsearch\n");
        assert_eq!(odd, ResolvConf::default());
    }
}
