//! The files with facts and classes, and when they are to be read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use muster_settings::Settings;
use tracing::{info, warn};

use crate::classes::parse_classes;
use crate::config::{NodeConfig, derive_identity};
use crate::embed::FactsSource;
use crate::facts::{Facts, FactsFormat};

/// The fact with the host's domain.
const DOMAIN_FACT: &str = "networking.domain";

/// The identity of this host's node where none is configured; see
/// [`derive_identity`]. Reads the files with facts where it comes to that.
#[must_use]
pub fn host_identity(
    settings: &Settings,
    kernel: Option<&str>,
    full: Option<&str>,
) -> Option<String> {
    derive_identity(kernel, full, || configured_facts(settings))
}

/// The domain in this host's facts, for [`NodeFlags::domain`](crate::NodeFlags::domain). The files with facts are read
/// only where it may count: no brokers are configured, and no domain either.
#[must_use]
pub fn facts_domain(settings: &Settings) -> Option<String> {
    let is_named = |key| settings.option(key).is_some_and(|value| !value.is_empty());
    if is_named("plugin.choria.middleware_hosts") || is_named("plugin.choria.srv_domain") {
        return None;
    }
    let facts = configured_facts(settings);
    let json = facts.view().get(DOMAIN_FACT)?;
    let domain = serde_json::from_str::<String>(&json).ok()?;
    (!domain.is_empty()).then_some(domain)
}

/// The facts of the configured files.
fn configured_facts(settings: &Settings) -> Facts {
    let mut reader = settings.reader();
    let files = reader.path_list("plugin.yaml");
    // Whoever reads the whole configuration reports its problems.
    let _ = reader.finish();
    read_facts_files(&files)
}

/// The facts of these files. A file that cannot be used is left out, and said so.
fn read_facts_files(paths: &[PathBuf]) -> Facts {
    let mut files = Vec::new();
    for path in paths {
        match fs::read_to_string(path) {
            Ok(text) => files.push((path.display(), text)),
            Err(error) => warn!(path = %path.display(), %error, "facts cannot be read"),
        }
    }
    let (facts, errors) = Facts::merge(
        files
            .iter()
            .map(|(path, text)| (FactsFormat::of_file_name(&path.to_string()), text.as_str())),
    );
    for (index, error) in errors {
        warn!(path = %files[index].0, %error, "a file with facts is left out");
    }
    facts
}

/// How a file looked when it was read; none where it was not there.
type Look = Option<(SystemTime, u64)>;

/// The files with facts and classes.
#[derive(Debug)]
pub(super) struct Sources {
    /// The program's facts, in place of files.
    pub(super) given: Option<Arc<dyn FactsSource>>,
    facts_files: Vec<PathBuf>,
    classes_file: PathBuf,
    facts_looks: Vec<Look>,
    classes_look: Look,
    /// When the files were last looked at.
    pub(super) looked: Option<Duration>,
}

impl Sources {
    pub(super) fn new(config: &NodeConfig, given: Option<Arc<dyn FactsSource>>) -> Self {
        let facts_files = match &given {
            Some(_) => Vec::new(),
            None => config.facts_files.clone(),
        };
        Self {
            given,
            facts_files,
            classes_file: config.classes_file.clone(),
            facts_looks: Vec::new(),
            classes_look: None,
            looked: None,
        }
    }

    pub(super) fn poll_given(&self, now: Duration) -> Option<Facts> {
        self.given.as_ref()?.poll_facts(now)
    }

    pub(super) fn first_facts(&mut self, now: Duration) -> Facts {
        self.poll_given(now).unwrap_or_else(|| self.read_facts())
    }

    pub(super) fn facts_changed(&self) -> bool {
        self.facts_looks != looks(&self.facts_files)
    }

    pub(super) fn classes_changed(&self) -> bool {
        self.classes_look != look(&self.classes_file)
    }

    /// Looks before it reads: a file that changes in between is read once more, not missed.
    pub(super) fn read_facts(&mut self) -> Facts {
        self.facts_looks = looks(&self.facts_files);
        read_facts_files(&self.facts_files)
    }

    pub(super) fn read_classes(&mut self) -> Arc<[String]> {
        if self.classes_file.as_os_str().is_empty() {
            return parse_classes("");
        }
        self.classes_look = look(&self.classes_file);
        match fs::read_to_string(&self.classes_file) {
            Ok(text) => parse_classes(&text),
            Err(error) => {
                // Most hosts without configuration management have none.
                info!(path = %self.classes_file.display(), %error, "no classes");
                parse_classes("")
            }
        }
    }
}

fn looks(paths: &[PathBuf]) -> Vec<Look> {
    paths.iter().map(|path| look(path)).collect()
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_is_that_of_the_facts_where_none_is_configured() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("facts.json");
        let check = |facts: &str, more: &str, expected: Option<&str>| {
            fs::write(&file, facts).unwrap();
            let text = format!("plugin.yaml = {}\n{more}", file.display());
            let settings = Settings::parse(&text, "server.conf");
            assert_eq!(facts_domain(&settings).as_deref(), expected);
        };
        let facts = r#"{"networking":{"domain":"fact.net"}}"#;
        check(facts, "", Some("fact.net"));
        check(facts, "plugin.choria.srv_domain = key.net", None);
        check(facts, "plugin.choria.middleware_hosts = b1:4222", None);
        check(r#"{"networking":{"domain":""}}"#, "", None);
        check(r#"{"networking":{"domain":7}}"#, "", None);
        check("{}", "", None);
    }
}
