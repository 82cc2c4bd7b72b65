//! Keys of the fleet's files that mean nothing to a node of ours, and what is said of them.
//!
//! Configuration management writes one set of keys for every kind of program, so a key of another program is no
//! misspelling and passes in silence. A key that a real server would act on and ours does not is named, with its place.
//! The keys of agents, `plugin.<agent>.…`, are for the agents to read.

use muster_settings::{Reader, Settings};

/// Keys of clients, brokers and other programs.
const OF_OTHERS: [&str; 16] = [
    "color",
    "default_discovery_method",
    "default_discovery_options",
    "discovery_timeout",
    "rpclimitmethod",
    "plugin.choria.broker_",
    "plugin.choria.discovery",
    "plugin.choria.federation",
    "plugin.choria.adapters",
    "plugin.choria.network.",
    "plugin.choria.puppetca_",
    "plugin.choria.puppetdb_",
    "plugin.choria.puppetserver_",
    "plugin.choria.randomize_middleware_hosts",
    "plugin.choria.require_client_filter",
    "plugin.login.",
];

/// What a real server has and ours has not.
const NOT_SUPPORTED: [(&str, &str); 6] = [
    ("plugin.choria.machine.", "autonomous agents are not run"),
    (
        "plugin.choria.prometheus_textfile_directory",
        "autonomous agents are not run",
    ),
    ("plugin.scout.", "autonomous agents are not run"),
    (
        "plugin.choria.submission.",
        "messages are not submitted for others",
    ),
    ("plugin.choria.executor.", "there is no executor"),
    (
        "plugin.choria.services.registry.",
        "there is no registry of descriptions",
    ),
];

/// Parts of `plugin.<part>.…` that are no names of agents.
const NOT_AGENTS: [&str; 8] = [
    "actionpolicy",
    "choria",
    "login",
    "nats",
    "rpcaudit",
    "scout",
    "security",
    "yaml",
];

/// Marks the keys that are nothing to be warned of as unknown; says what is to be warned of instead.
pub(super) fn pass_over(reader: &Reader<'_>) -> Vec<String> {
    let settings = reader.settings();
    let mut warnings = Vec::new();
    for entry in settings.entries() {
        let key = entry.key();
        let unsupported = NOT_SUPPORTED.iter().find(|(name, _)| is_of(key, name));
        if let Some((_, why)) = unsupported {
            mark(settings, key);
            let (file, line) = (entry.file(), entry.line());
            warnings.push(format!("{file}:{line}: {key} has no effect: {why}"));
        } else if OF_OTHERS.iter().any(|name| is_of(key, name)) || is_of_agent(key) {
            mark(settings, key);
        }
    }
    warnings
}

fn mark(settings: &Settings, key: &str) {
    let _ = settings.find(key);
}

/// Whether a key is this one, or begins with it where it ends open.
fn is_of(key: &str, name: &str) -> bool {
    let is_open = name.ends_with(['.', '_']);
    key.strip_prefix(name)
        .is_some_and(|rest| is_open || rest.is_empty() || rest.starts_with(['.', '_']))
}

fn is_of_agent(key: &str) -> bool {
    let name = key
        .strip_prefix("plugin.")
        .and_then(|rest| rest.split_once('.'));
    name.is_some_and(|(name, _)| !NOT_AGENTS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_misspellings_are_left() {
        let text = "color = false\nplugin.choria.puppetdb_host = x\nplugin.choria.machine.store = /m\n\
                    plugin.puppet.command = p\nplugin.choria.stat_port = 1\nidentty = y\n\
                    plugin.choria.network.client_port = 4222\n";
        let settings = Settings::parse(text, "server.conf");
        let reader = settings.reader();
        let warnings = pass_over(&reader);
        assert_eq!(
            warnings,
            [
                "server.conf:3: plugin.choria.machine.store has no effect: autonomous agents are not run",
            ]
        );
        let unused: Vec<_> = settings.unused().map(|entry| entry.key()).collect();
        assert_eq!(unused, ["plugin.choria.stat_port", "identty"]);
        reader.finish().unwrap();
    }
}
