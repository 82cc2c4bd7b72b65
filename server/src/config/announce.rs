//! The keys of what a node tells without being asked: events, registrations, status file, statistics.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::lifecycle::EventForm;
use muster_settings::Reader;

use crate::setup::is_subject_part;

/// Longest interval in seconds that can be configured: a year.
const INTERVAL_MAX: u64 = 365 * 24 * 3600;

/// What a node tells without being asked.
#[derive(Debug, Clone)]
pub struct AnnounceConfig {
    /// What kind of program the node's events name.
    pub component: String,
    /// How events are written.
    pub form: EventForm,
    /// Its registrations, if any.
    pub registration: Option<RegistrationConfig>,
    /// The status file, if any.
    pub status_file: Option<PathBuf>,
    /// Time between two writings of it.
    pub status_interval: Duration,
    /// Where statistics are served, if anywhere.
    pub stats: Option<SocketAddr>,
}

/// What a node registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationConfig {
    /// The sources, in the order they are listed.
    pub sources: Vec<SourceConfig>,
    /// The collective they are published in.
    pub collective: String,
    /// Time between two publications of a source, at least.
    pub interval: Duration,
    /// Whether the first one comes at a random moment of the interval.
    pub splay: bool,
    /// A change of size, in bytes, for which a source is published sooner; 0 is off.
    pub size_trigger: usize,
    /// How often the size is looked at.
    pub size_interval: Duration,
}

/// One source of registrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// What is published.
    pub kind: SourceKind,
    /// The subject, that of the agent `registration` where there is none.
    pub target: Option<String>,
    /// Whether it is compressed.
    pub compression: bool,
}

/// What a source publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A file.
    File(PathBuf),
    /// What the node is and has.
    Inventory,
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    collectives: &[String],
    main_collective: &str,
) -> AnnounceConfig {
    let legacy = reader.bool("plugin.choria.legacy_lifecycle_format", false);
    let address = reader.parsed("plugin.choria.stats_address", |text| {
        let address = text.parse::<IpAddr>();
        address.map_err(|_| "is not an ip address".to_owned())
    });
    let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = reader.u16("plugin.choria.stats_port", 0);
    AnnounceConfig {
        component: "server".to_owned(),
        form: if legacy {
            EventForm::Legacy
        } else {
            EventForm::CloudEvent
        },
        registration: registration(reader, collectives, main_collective),
        status_file: reader.opt_path("plugin.choria.status_file_path"),
        status_interval: seconds(reader, "plugin.choria.status_update_interval", 30),
        stats: (port > 0).then(|| SocketAddr::new(address, port)),
    }
}

/// All keys are read, whether or not anything is registered, so that none of them is called unknown.
fn registration(
    reader: &mut Reader<'_>,
    collectives: &[String],
    main_collective: &str,
) -> Option<RegistrationConfig> {
    const KEY: &str = "registration";
    const COLLECTIVE: &str = "registration_collective";
    let names = reader.list(KEY, &[]);
    let file = reader.opt_path("plugin.choria.registration.file_content.data");
    let mut sources = Vec::new();
    let file_source = source(reader, "file_content", SourceKind::Inventory);
    let inventory_source = source(reader, "inventory_content", SourceKind::Inventory);
    for name in &names {
        match (&**name, &file) {
            ("file_content", Some(file)) => sources.push(SourceConfig {
                kind: SourceKind::File(file.clone()),
                ..file_source.clone()
            }),
            ("file_content", None) => reader.problem(
                "plugin.choria.registration.file_content.data",
                "is needed with registration = file_content and not set",
            ),
            ("inventory_content", _) => sources.push(inventory_source.clone()),
            (other, _) => reader.problem(
                KEY,
                format!("names {other:?}, and not file_content or inventory_content"),
            ),
        }
    }
    let collective = reader.opt_string(COLLECTIVE);
    if let Some(name) = &collective
        && !collectives.contains(name)
    {
        reader.problem(COLLECTIVE, "is none of the collectives");
    }
    let config = RegistrationConfig {
        sources,
        collective: collective.unwrap_or_else(|| main_collective.to_owned()),
        interval: seconds(reader, "registerinterval", 300),
        splay: reader.bool("registration_splay", true),
        size_trigger: reader.usize("plugin.choria.registration.size_trigger", 0),
        size_interval: seconds(reader, "plugin.choria.registration.size_interval", 30),
    };
    (!config.sources.is_empty()).then_some(config)
}

fn source(reader: &mut Reader<'_>, name: &str, kind: SourceKind) -> SourceConfig {
    let key = |what: &str| format!("plugin.choria.registration.{name}.{what}");
    let target = reader.opt_string(&key("target"));
    if let Some(target) = &target
        && !is_subject_part(target)
    {
        reader.problem(&key("target"), "is not a subject to publish to");
    }
    SourceConfig {
        kind,
        target,
        compression: reader.bool(&key("compression"), true),
    }
}

/// A duration of at least a second, in whole seconds as the fleet's files have it.
pub(super) fn seconds(reader: &mut Reader<'_>, key: &str, default: u64) -> Duration {
    Duration::from_secs(reader.whole(key, default, 1..=INTERVAL_MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{NodeConfig, NodeFlags};
    use super::*;
    use muster_settings::{Settings, SettingsErrors};

    fn read(text: &str) -> Result<NodeConfig, SettingsErrors> {
        let flags = NodeFlags {
            disable_tls: true,
            insecure: true,
            hostname: Some("n1".to_owned()),
            ..NodeFlags::default()
        };
        NodeConfig::from_settings(&Settings::parse(text, "server.conf"), &flags)
    }

    #[test]
    fn everything_that_is_told_can_be_configured() {
        let text = "collectives = mcollective, eu
registration = inventory_content, file_content
registration_collective = eu
registerinterval = 120
registration_splay = n
plugin.choria.registration.file_content.data = /etc/facts.json
plugin.choria.registration.file_content.target = my.facts
plugin.choria.registration.inventory_content.compression = 0
plugin.choria.registration.size_trigger = 100
plugin.choria.registration.size_interval = 10
plugin.choria.legacy_lifecycle_format = 1
plugin.choria.status_file_path = /var/log/status.json
plugin.choria.status_update_interval = 15
plugin.choria.stats_address = ::1
plugin.choria.stats_port = 8222
plugin.puppet.activate_agent = false
plugin.nrpe.activate_agent = true
soft_shutdown_timeout = 7
";
        let config = read(text).unwrap();
        let announce = &config.announce;
        assert_eq!(announce.form, EventForm::Legacy);
        assert_eq!(announce.status_interval, Duration::from_secs(15));
        assert_eq!(announce.stats, Some("[::1]:8222".parse().unwrap()));
        assert!(announce.status_file.is_some());
        let inventory = SourceConfig {
            kind: SourceKind::Inventory,
            target: None,
            compression: false,
        };
        let file = SourceConfig {
            kind: SourceKind::File("/etc/facts.json".into()),
            target: Some("my.facts".to_owned()),
            compression: true,
        };
        let expected = RegistrationConfig {
            sources: vec![inventory, file],
            collective: "eu".to_owned(),
            interval: Duration::from_secs(120),
            splay: false,
            size_trigger: 100,
            size_interval: Duration::from_secs(10),
        };
        assert_eq!(announce.registration, Some(expected));
        assert_eq!(config.soft_shutdown, Duration::from_secs(7));
        assert!(config.inactive_agents.contains("puppet"));
        assert_eq!(config.inactive_agents.len(), 1);
        assert_eq!(
            config.raw_options.0["plugin.puppet.activate_agent"],
            "false"
        );
    }

    #[test]
    fn nothing_is_told_but_events_by_default() {
        let announce = read("").unwrap().announce;
        assert_eq!((announce.registration, announce.stats), (None, None));
        assert_eq!(
            (announce.status_file, announce.form),
            (None, EventForm::CloudEvent)
        );
    }

    #[test]
    fn problems_are_named_with_their_place() {
        let text = "registration = file_content, mail
registration_collective = us
registerinterval = 0
plugin.choria.registration.file_content.target = a b
plugin.choria.stats_address = here
plugin.puppet.activate_agent = perhaps
rpcauthprovider = rego_policy
plugin.nats.credentials = /x
";
        let errors = read(text).unwrap_err().to_string();
        for expected in [
            "server.conf:1: registration = \"file_content, mail\" names \"mail\"",
            "server.conf:2: registration_collective",
            "server.conf:3: registerinterval",
            "server.conf:4: plugin.choria.registration.file_content.target",
            "server.conf:5: plugin.choria.stats_address",
            "server.conf:6: plugin.puppet.activate_agent",
            "server.conf:7: rpcauthprovider",
            "server.conf:8: plugin.nats.credentials",
            "plugin.choria.registration.file_content.data is needed",
        ] {
            assert!(errors.contains(expected), "{expected} in\n{errors}");
        }
    }

    #[test]
    fn the_environment_goes_before_the_files() {
        let mut flags = NodeFlags {
            disable_tls: true,
            insecure: true,
            hostname: Some("n1".to_owned()),
            ..NodeFlags::default()
        };
        for (name, value) in [
            ("MCOLLECTIVE_NATS_PASSWORD", ""),
            ("MCOLLECTIVE_NATS_USERNAME", "u2"),
        ] {
            flags.environment.insert(name.to_owned(), value.to_owned());
        }
        let text = "plugin.nats.user = u1\nplugin.nats.pass = p1\n";
        let settings = Settings::parse(text, "server.conf");
        let config = NodeConfig::from_settings(&settings, &flags).unwrap();
        assert_eq!(config.credentials, Some(("u2".to_owned(), "p1".to_owned())));
    }
}
