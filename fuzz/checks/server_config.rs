//! Any text may be a configuration file: it is taken, or refused with a place in it for each problem.

use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let settings = Settings::parse(&text, "fuzz.conf");
    let lines = text.lines().count();
    for entry in settings.entries() {
        let line = usize::try_from(entry.line()).expect("a line");
        assert!((1..=lines).contains(&line), "{line} of {lines}");
        assert!(!entry.key().is_empty());
    }
    let flags = NodeFlags {
        hostname: Some("n1.example.net".to_owned()),
        ..NodeFlags::default()
    };
    match NodeConfig::from_settings(&settings, &flags) {
        Ok(config) => {
            assert!(config.collectives.contains(&config.main_collective));
            assert!(!config.identity.is_empty());
        }
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}
