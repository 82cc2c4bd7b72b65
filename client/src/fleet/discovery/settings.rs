//! What the configuration says of discovery.

use std::collections::BTreeMap;
use std::path::PathBuf;

use muster_settings::{Settings, SettingsErrors};

use super::Method;

/// What the configuration says of discovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoverySettings {
    /// The method that is used unless another is named. It need not be one we have: an error where it is used, and nowhere else.
    pub method: String,
    /// Options for that method.
    pub options: BTreeMap<String, String>,
    /// The file of the inventory method.
    pub inventory: Option<PathBuf>,
    /// The program of the external method.
    pub command: Option<String>,
    /// Whether a broadcast ends soon after the latest answer even where its time is given.
    pub windowed: bool,
    /// The federations every request goes through; none for the network we are on.
    pub federations: Vec<String>,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            method: Method::Broadcast.name().to_owned(),
            options: BTreeMap::new(),
            inventory: None,
            command: None,
            windowed: false,
            federations: Vec::new(),
        }
    }
}

impl DiscoverySettings {
    /// Reads the settings. `federations` are those of the environment, which go before the configured ones.
    ///
    /// # Errors
    /// Every problem, with file and line.
    pub fn read(settings: &Settings, federations: Option<&str>) -> Result<Self, SettingsErrors> {
        let mut reader = settings.reader();
        let key = "default_discovery_options";
        let mut options = BTreeMap::new();
        for option in reader.list(key, &[]) {
            match option.split_once('=') {
                Some((name, value)) => {
                    options.insert(name.trim().to_owned(), value.trim().to_owned());
                }
                None => reader.problem(key, format!("has {option:?}, which is not key=value")),
            }
        }
        let from_environment = |names: &str| {
            let names = names.split(',').map(str::trim);
            let names = names.filter(|name| !name.is_empty());
            names.map(str::to_owned).collect()
        };
        let configured = reader.list("plugin.choria.federation.collectives", &[]);
        let read = Self {
            method: reader.string("default_discovery_method", Method::Broadcast.name()),
            options,
            inventory: reader.opt_path("plugin.choria.discovery.inventory.source"),
            command: reader.opt_string("plugin.choria.discovery.external.command"),
            windowed: reader.bool("plugin.choria.discovery.broadcast.windowed_timeout", false),
            federations: federations.map_or(configured, from_environment),
        };
        reader.finish()?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let text = "default_discovery_method = inventory\n\
            default_discovery_options = file=/f , novalidate=1\n\
            plugin.choria.discovery.inventory.source = /etc/fleet.yaml\n\
            plugin.choria.discovery.external.command = /bin/find --all\n\
            plugin.choria.discovery.broadcast.windowed_timeout = true\n\
            plugin.choria.federation.collectives = mt1, de1\n";
        let settings = Settings::parse(text, "client.conf");
        let read = DiscoverySettings::read(&settings, None).unwrap();
        assert_eq!(read.method, "inventory");
        assert_eq!(read.options["file"], "/f");
        assert_eq!(read.options["novalidate"], "1");
        assert_eq!(read.inventory, Some("/etc/fleet.yaml".into()));
        assert_eq!(read.command.as_deref(), Some("/bin/find --all"));
        assert!(read.windowed);
        assert_eq!(read.federations, ["mt1", "de1"]);
        let read = DiscoverySettings::read(&settings, Some("us1")).unwrap();
        assert_eq!(read.federations, ["us1"]);

        let nothing = Settings::parse("", "client.conf");
        let read = DiscoverySettings::read(&nothing, None).unwrap();
        assert_eq!(read, DiscoverySettings::default());
        let bad = Settings::parse("\ndefault_discovery_options = x", "client.conf");
        let errors = DiscoverySettings::read(&bad, None).unwrap_err().to_string();
        assert!(errors.contains("client.conf:2"), "{errors}");
    }
}
