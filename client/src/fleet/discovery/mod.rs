//! Who is meant: the ways to come from what somebody asked for to a list of names.
//!
//! | source | whom it asks | which filters it knows |
//! |---|---|---|
//! | broadcast | the nodes; this is [`Discover`](super::Discover) | all |
//! | fixed list | nobody: the names are there | – |
//! | flat file | a file of names: text, JSON, YAML, or the results of an earlier request | identities |
//! | inventory | a file that describes a fleet | all, and groups of its own |
//! | external | a program | those it knows |
//!
//! [`choose`] picks the source, a pure function of what was asked for and configured. A [`LocalSource`] then reads files or runs a program, but never asks the fleet.
//! Every list holds each name once, and only names that a host can have.
//!
//! The invariant: what somebody narrows down is never widened. An option or a filter that a source does not know is an error, and nobody is an answer.

mod choose;
mod error;
mod external;
mod flat_file;
mod inventory;
mod settings;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use muster_protocol::filter::{CompiledFilter, FactsView, Filter, NoData, NodeView};

pub use self::choose::{Wish, choose, named_nodes};
pub use self::error::DiscoveryError;
pub use self::external::External;
pub use self::flat_file::{FileFormat, FlatFile};
pub use self::inventory::{Inventory, InventoryFile};
pub use self::settings::DiscoverySettings;

/// Bytes a file of names may have; fifty thousand described nodes are some fifty million.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A way to come to names, by the name it has on the command line and in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `broadcast`, or `mc`.
    Broadcast,
    /// `flatfile`, or `file`.
    FlatFile,
    /// `external`.
    External,
    /// `inventory`.
    Inventory,
}

/// Where names come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The nodes are asked.
    Broadcast,
    /// The fleet is not asked.
    Local(LocalSource),
}

/// A source that does not ask the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalSource {
    /// These names.
    Names(Vec<String>),
    /// A file of names.
    FlatFile(FlatFile),
    /// The results of an earlier request, as its machine format has them.
    Results(String),
    /// A file that describes a fleet.
    Inventory(InventoryFile),
    /// A program.
    External(External),
}

/// Whom a source is to name.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// Which nodes are meant.
    pub filter: &'a Filter,
    /// The agent a request goes to. Sources that know agents leave out nodes without it.
    pub agent: Option<&'a str>,
    /// The collective the nodes must be in.
    pub collective: &'a str,
    /// The federations a request goes through.
    pub federations: &'a [String],
    /// How long a program may take, at least a second.
    pub timeout: Duration,
}

impl Method {
    /// Reads a method's name.
    ///
    /// # Errors
    /// There is no such method.
    pub fn parse(name: &str) -> Result<Self, DiscoveryError> {
        match name {
            "broadcast" | "mc" => Ok(Self::Broadcast),
            "flatfile" | "file" => Ok(Self::FlatFile),
            "external" => Ok(Self::External),
            "inventory" => Ok(Self::Inventory),
            _ => Err(DiscoveryError::UnknownMethod(name.to_owned())),
        }
    }

    /// Its name, as peers show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "mc",
            Self::FlatFile => "flatfile",
            Self::External => "external",
            Self::Inventory => "inventory",
        }
    }
}

impl Source {
    /// The name of the method, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Broadcast => Method::Broadcast.name(),
            Self::Local(LocalSource::Names(_)) => "identity",
            Self::Local(LocalSource::FlatFile(_) | LocalSource::Results(_)) => {
                Method::FlatFile.name()
            }
            Self::Local(LocalSource::Inventory(_)) => Method::Inventory.name(),
            Self::Local(LocalSource::External(_)) => Method::External.name(),
        }
    }
}

impl LocalSource {
    /// The names, each once. Nobody is an answer.
    ///
    /// # Errors
    /// The source is of no use, or cannot answer this.
    pub fn discover(&self, query: &Query<'_>) -> Result<Vec<String>, DiscoveryError> {
        let names = match self {
            Self::Names(names) => names.clone(),
            Self::FlatFile(file) => file.discover(query)?,
            Self::Results(text) => flat_file::discover_results(text, query)?,
            Self::Inventory(file) => file.discover(query)?,
            Self::External(program) => program.discover(query)?,
        };
        Ok(unique(names))
    }
}

/// Each name once, in the order given.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::with_capacity(names.len());
    let mut names = names;
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Refuses a list with anything in it that no host is called.
fn check_names(names: Vec<String>, place: &str) -> Result<Vec<String>, DiscoveryError> {
    match names.iter().find(|name| !is_host_name(name)) {
        None => Ok(names),
        Some(name) => Err(DiscoveryError::NotAName {
            place: place.to_owned(),
            name: name.clone(),
        }),
    }
}

/// Labels of letters, digits, `-` and `_` between dots, none empty and none with a `-` at its ends.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        !label.is_empty()
            && label.bytes().all(is_name_byte)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 255 && name.split('.').all(is_label)
}

/// The filter by identities alone: one must be the node's.
fn retain_identities(names: &mut Vec<String>, filter: &Filter) {
    let identities = Filter {
        identity: filter.identity.clone(),
        ..Filter::default()
    };
    let compiled = CompiledFilter::new(&identities);
    let facts = FactsView::from_checked("{}");
    names.retain(|name| compiled.matches(&view(name, &[], &[], &facts)));
}

/// A node as filters see it.
fn view<'a>(
    identity: &'a str,
    agents: &'a [String],
    classes: &'a [String],
    facts: &'a FactsView<'a>,
) -> NodeView<'a, String> {
    NodeView {
        identity,
        agents,
        classes,
        facts,
        data: &NoData,
    }
}

/// Reads a file of text, within the bound.
fn read_text(path: &Path) -> Result<String, DiscoveryError> {
    let unreadable = |error| DiscoveryError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    match read.map_err(unreadable)? {
        len if u64::try_from(len).unwrap_or(u64::MAX) <= FILE_BYTES_MAX => Ok(text),
        _ => Err(unreadable(io::Error::other(format!(
            "more than {FILE_BYTES_MAX} bytes"
        )))),
    }
}

/// Reads JSON or YAML into one value.
fn read_value(text: &str, is_yaml: bool, place: &str) -> Result<serde_json::Value, DiscoveryError> {
    let read = if is_yaml {
        serde_saphyr::from_str(text).map_err(|error| first_line(&error.to_string()))
    } else {
        serde_json::from_str(text).map_err(|error| error.to_string())
    };
    read.map_err(|why| DiscoveryError::Malformed {
        place: place.to_owned(),
        why,
    })
}

/// A YAML error draws a picture below its first line.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_hosts_have() {
        for good in ["n1", "n1.example.net", "web_1", "a-b.c-d", "10.0.0.1", "N1"] {
            assert!(is_host_name(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in [
            "", ".", "a..b", "a.", "-a", "a-", "a b", "a*", "a>", "{}", &long,
        ] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }

    #[test]
    fn methods_have_the_names_of_the_peers() {
        for (name, method) in [
            ("mc", Method::Broadcast),
            ("broadcast", Method::Broadcast),
            ("file", Method::FlatFile),
            ("flatfile", Method::FlatFile),
            ("external", Method::External),
            ("inventory", Method::Inventory),
        ] {
            assert_eq!(Method::parse(name).unwrap(), method);
            assert!(Method::parse(method.name()).is_ok());
        }
        for name in ["choria", "puppetdb", "", "MC"] {
            let error = Method::parse(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_one_node() {
        let names = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(unique(names), ["b", "a"]);
    }
}
