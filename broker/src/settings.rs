//! The fleet's `key = value` file as a broker's configuration.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_broker_core::auth::Authenticator;
use muster_broker_core::config::{CoreConfig, Credentials, TlsOffer};
use muster_reactor::tls::{TlsConfigError, TlsFiles};
use muster_settings::{Reader, Settings, SettingsErrors};

use self::cluster::Around;
use crate::auth::{FleetAuth, FleetRules};
use crate::config::{BrokerConfig, CLIENT_PORT, CONNECTIONS_MAX};
use crate::tls::{TlsPaths, TlsSetting};

mod cluster;

/// Payloads above this are refused as a setting: one message would be an eighth of what may wait for a connection.
const PAYLOAD_MAX: usize = 8 << 20;

/// Keys of nodes and clients that stand in what a fleet's files have in common.
const SHARED_KEYS: [&str; 2] = ["plugin.security.provider", "plugin.choria.middleware_hosts"];

impl BrokerConfig {
    /// Reads the keys that concern the broker. `read` reads the TLS files.
    ///
    /// # Errors
    /// Every problem found, with file and line.
    pub fn from_settings(
        settings: &Settings,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        // Those are the command's to start; where there are some, a process without a broker has a task.
        let has_guests = !reader.list("plugin.choria.adapters", &[]).is_empty()
            | reader.bool("plugin.choria.broker_federation", false);
        if !reader.bool("plugin.choria.broker_network", true) && !has_guests {
            reader.problem(
                "plugin.choria.broker_network",
                "leaves no broker feature enabled",
            );
        }
        let address = ip(
            &mut reader,
            "plugin.choria.network.listen_address",
            Ipv6Addr::UNSPECIFIED.into(),
        );
        let port = reader.u16("plugin.choria.network.client_port", CLIENT_PORT);
        let monitor_address = ip(
            &mut reader,
            "plugin.choria.stats_address",
            [127, 0, 0, 1].into(),
        );
        let monitor_port = reader.u16("plugin.choria.stats_port", 0);
        // One file may serve a whole fleet: these are the nodes' and clients', and no mistake here.
        for shared in SHARED_KEYS {
            let _ = reader.opt_string(shared);
        }
        let encrypted = reader.has("plugin.security.file.certificate");
        let rules = FleetRules::read(&mut reader, encrypted, &read);
        let (tls, tls_paths) = tls(&mut reader, rules.admits_unverified(), read);
        let server_name = reader.opt_string("identity");
        let around = Around {
            address,
            identity: server_name.as_deref(),
            has_tls: tls.offer != TlsOffer::Off,
            has_mutual_tls: tls.route.is_some(),
        };
        let cluster = cluster::cluster(&mut reader, &around);
        let config = Self {
            listen: SocketAddr::new(address, port),
            monitor: (monitor_port != 0).then(|| SocketAddr::new(monitor_address, monitor_port)),
            shards: shards(&mut reader),
            tls,
            tls_paths,
            server_name,
            rules: rules.sentences(),
            cluster,
            core: core(&mut reader, rules),
        };
        reader.finish()?;
        Ok(config)
    }
}

fn ip(reader: &mut Reader<'_>, key: &str, default: IpAddr) -> IpAddr {
    let parsed = reader.parsed(key, |text| {
        text.trim_matches(['[', ']'])
            .parse()
            .map_err(|_| "is not an IP address")
    });
    parsed.unwrap_or(default)
}

fn shards(reader: &mut Reader<'_>) -> Option<u16> {
    let shards = reader.whole("plugin.choria.network.shards", 0, 0..=64);
    (shards != 0).then_some(shards)
}

fn core(reader: &mut Reader<'_>, rules: FleetRules) -> CoreConfig {
    let defaults = CoreConfig::default();
    let network = |key: &str| format!("plugin.choria.network.{key}");
    let mut core = CoreConfig {
        connections_max: reader.u64_in(
            &network("max_connections"),
            CONNECTIONS_MAX,
            1..=10_000_000,
        ),
        subscriptions_max: reader.usize(&network("max_subscriptions"), 0),
        pending_max: reader.u64(&network("max_pending"), defaults.pending_max),
        write_deadline: reader.duration(&network("write_deadline"), defaults.write_deadline),
        tls_timeout: reader.duration(&network("tls_timeout"), defaults.tls_timeout),
        auth_timeout: reader.duration_in(
            &network("auth_timeout"),
            defaults.auth_timeout,
            Duration::from_millis(1)..=Duration::from_secs(60),
        ),
        ping_interval: reader.duration(&network("ping_interval"), defaults.ping_interval),
        authenticator: reader
            .opt_string(&network("token"))
            .map(|token| Arc::new(Credentials::Token(token.into())) as Arc<dyn Authenticator>),
        ..defaults
    };
    if !rules.is_open() {
        core.accounts = rules.accounts();
        core.authenticator = Some(Arc::new(FleetAuth::new(rules)));
    }
    core.limits.payload_max = reader.whole(
        &network("max_payload"),
        core.limits.payload_max,
        1..=PAYLOAD_MAX,
    );
    // Publishers are held back above three quarters, so the largest message must fit in the last one.
    if core.limits.payload_max as u64 * 4 > core.pending_max {
        let payload_max = core.limits.payload_max;
        let text = format!(
            "is less than four times {}, which is {payload_max}",
            network("max_payload")
        );
        reader.problem(&network("max_pending"), text);
    }
    core
}

fn tls(
    reader: &mut Reader<'_>,
    admits_unverified: bool,
    read: impl Fn(&Path) -> io::Result<String>,
) -> (TlsSetting, Option<TlsPaths>) {
    const CERT: &str = "plugin.security.file.certificate";
    const KEY: &str = "plugin.security.file.key";
    const CA: &str = "plugin.security.file.ca";
    const CRL: &str = "plugin.security.file.crl";
    let mut file = |key: &str| {
        let path = reader.opt_path(key)?;
        match read(&path) {
            Ok(text) => Some((path, text)),
            Err(error) => {
                reader.problem(key, format!("cannot be read: {error}"));
                None
            }
        }
    };
    let (cert, key, ca, crl) = (file(CERT), file(KEY), file(CA), file(CRL));
    let given: Vec<&str> = [CERT, KEY, CA, CRL]
        .into_iter()
        .filter(|key| reader.has(key))
        .collect();
    if given.contains(&CRL) && !given.contains(&CA) {
        reader.problem(CRL, format!("is of use only with {CA}"));
    }
    let (Some(cert), Some(key)) = (cert, key) else {
        if let Some(present) = given.first()
            && !(given.contains(&CERT) && given.contains(&KEY))
        {
            let text = format!("is of use only with both {CERT} and {KEY}");
            reader.problem(present, text);
        }
        return (TlsSetting::default(), None);
    };
    let files = TlsFiles {
        cert: &cert.1,
        key: &key.1,
        ca: ca.as_ref().map(|(_, text)| text.as_str()),
        crl: crl.as_ref().map(|(_, text)| text.as_str()),
    };
    let setting = match (&ca, admits_unverified) {
        (Some(_), false) => TlsSetting::mutual(&files),
        (Some(_), true) => TlsSetting::optional(&files),
        (None, _) => TlsSetting::server(&files),
    };
    let setting = setting.unwrap_or_else(|error| {
        match error {
            TlsConfigError::Crl(why) => reader.problem(CRL, format!("is of no use: {why}")),
            error => reader.problem(CERT, format!("and its key and CA are of no use: {error}")),
        }
        TlsSetting::default()
    });
    let paths = TlsPaths {
        cert: cert.0,
        key: key.0,
        offer: setting.offer,
        ca: ca.map(|(path, _)| path),
        crl: crl.map(|(path, _)| path),
    };
    (setting, Some(paths))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterSetting;

    fn read(text: &str) -> Result<BrokerConfig, String> {
        let settings = Settings::parse(text, "broker.conf");
        let result =
            BrokerConfig::from_settings(&settings, |_| Err(io::ErrorKind::NotFound.into()));
        result.map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_seeds_broker_file_is_understood() {
        let config = read(
            "identity = choria1.example.net\nlogfile = /var/log/choria.log\n\n\
             plugin.choria.stats_address = ::\nplugin.choria.stats_port = 8222\n\
             plugin.choria.network.listen_address = ::\nplugin.choria.network.client_port = 4222\n\
             plugin.choria.network.peer_port = 4223\n",
        )
        .unwrap();
        assert_eq!(config.listen.to_string(), "[::]:4222");
        assert_eq!(
            config.monitor.map(|address| address.to_string()).as_deref(),
            Some("[::]:8222")
        );
        assert_eq!(config.tls.offer, TlsOffer::Off);
        assert_eq!(config.core.connections_max, CONNECTIONS_MAX);
    }

    #[test]
    fn the_seeds_three_lines_make_a_cluster() {
        let file = "identity = h1\nplugin.choria.broker_network = true\n\
                    plugin.choria.network.peers = nats://h1:4223, nats://h2:4223, h3\n\
                    plugin.choria.network.peer_port = 4223\n\
                    plugin.choria.stats_address = ::\n";
        let cluster = read(file).unwrap().cluster.unwrap();
        assert_eq!(cluster.listen.to_string(), "[::]:4223");
        assert_eq!(&*cluster.core.name, "CHORIA");
        let routes: Vec<_> = cluster
            .core
            .routes
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(routes, ["h2:4223", "h3:4223"], "itself is left out");
        assert!(!cluster.tls, "the broker has none");
    }

    #[test]
    fn without_peers_there_is_no_cluster() {
        assert!(
            read("plugin.choria.network.peer_port = 4223")
                .unwrap()
                .cluster
                .is_none()
        );
        let forced = read("plugin.choria.network.peer_listen = true").unwrap();
        let cluster = forced.cluster.unwrap();
        assert_eq!(cluster.listen.port(), ClusterSetting::PORT);
    }

    #[test]
    fn what_a_cluster_is_told_and_can_not_use() {
        let network = "plugin.choria.network";
        let text = read(&format!(
            "{network}.peers = h1, http://h2, u:hunter2@h3:x\n\
             {network}.peer_user = u\n\
             {network}.gateway_name = _\n\
             {network}.peer_tls = yes\n\
             {network}.peer_port = 70000\n\
             {network}.public_url = :1\n"
        ));
        let text = text.unwrap_err();
        for wanted in [
            "broker.conf:1",
            "http://h2",
            "h3:x",
            "broker.conf:2",
            "broker.conf:3",
            "broker.conf:4",
            "broker.conf:5",
            "broker.conf:6",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn every_problem_is_named_with_its_line() {
        let text = read(
            "plugin.choria.network.client_port = 70000\n\
             plugin.choria.network.listen_address = nowhere\n\
             plugin.choria.network.max_pending = 10\n\
             plugin.security.file.certificate = /no/such.pem\n\
             plugin.security.file.crl = /no/crl.pem\n",
        )
        .unwrap_err();
        for wanted in [
            "broker.conf:1",
            "70000",
            "broker.conf:2",
            "nowhere",
            "broker.conf:3",
            "broker.conf:4",
            "broker.conf:5",
            "only with plugin.security.file.ca",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
}
