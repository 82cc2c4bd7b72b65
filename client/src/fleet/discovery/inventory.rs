//! Names from a file that describes a fleet: its nodes with their facts, classes and agents, and groups of them.
//!
//! ```yaml
//! $schema: https://choria.io/schemas/choria/discovery/v1/inventory_file.json
//! groups:
//!   - name: germany
//!     filter: {facts: [country=de]}
//! nodes:
//!   - {name: n1.example.net, collectives: [mcollective], facts: {country: de}, classes: [web], agents: [rpcutil]}
//! ```
//!
//! Filters are those of the nodes, applied here. `group:NAME` in place of an identity means all nodes the group's filter matches, in whatever collective;
//! it stands beside no other filter.

use std::path::PathBuf;

use muster_protocol::filter::{
    CompiledFilter, FactsView, Filter, check_compound, parse_fact_filter,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{DiscoveryError, Method, Query, check_names, is_yaml, read_text, read_value, view};

const SCHEMA: &str = "https://choria.io/schemas/choria/discovery/v1/inventory_file.json";
/// Begins an identity that means a group.
const GROUP: &str = "group:";

/// A file that describes a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryFile {
    /// The file: YAML where it ends in `.yaml` or `.yml`, else JSON.
    pub path: PathBuf,
    /// Whether a file with unknown keys, or with nodes that lack one, is refused.
    pub validate: bool,
}

/// A described fleet.
#[derive(Debug, Clone, PartialEq)]
pub struct Inventory {
    place: String,
    groups: Vec<Group>,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "$schema", default)]
    schema: String,
    #[serde(default, deserialize_with = "null_as_default")]
    groups: Vec<Group>,
    #[serde(default, deserialize_with = "null_as_default")]
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Group {
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    filter: GroupFilter,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct GroupFilter {
    agents: Vec<String>,
    classes: Vec<String>,
    facts: Vec<String>,
    identities: Vec<String>,
    compound: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Node {
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    collectives: Vec<String>,
    #[serde(default)]
    facts: Value,
    #[serde(default, deserialize_with = "null_as_default")]
    classes: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    agents: Vec<String>,
}

impl InventoryFile {
    /// Reads the file.
    ///
    /// # Errors
    /// There is none, or it describes no fleet.
    pub fn read(&self) -> Result<Inventory, DiscoveryError> {
        let text = read_text(&self.path)?;
        let place = self.path.display().to_string();
        Inventory::parse(&text, is_yaml(&self.path), self.validate, &place)
    }

    pub(super) fn discover(&self, query: &Query<'_>) -> Result<Vec<String>, DiscoveryError> {
        self.read()?.select(query)
    }
}

impl Inventory {
    /// Reads the text of a file; `place` names it in errors.
    ///
    /// # Errors
    /// It describes no fleet.
    pub fn parse(
        text: &str,
        is_yaml: bool,
        validate: bool,
        place: &str,
    ) -> Result<Self, DiscoveryError> {
        let malformed = |why: String| DiscoveryError::Malformed {
            place: place.to_owned(),
            why,
        };
        let value = read_value(text, is_yaml, place)?;
        if validate {
            check(&value).map_err(malformed)?;
        }
        let document: Document =
            serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
        if document.schema != SCHEMA {
            let schema = document.schema;
            return Err(malformed(format!("schema is {schema:?}, not {SCHEMA}")));
        }
        check_names(
            document.nodes.iter().map(|n| n.name.clone()).collect(),
            place,
        )?;
        Ok(Self {
            place: place.to_owned(),
            groups: document.groups,
            nodes: document.nodes,
        })
    }

    /// The nodes that are meant, in the order of the file.
    ///
    /// # Errors
    /// There is no such group, or groups stand beside other filters.
    pub fn select(&self, query: &Query<'_>) -> Result<Vec<String>, DiscoveryError> {
        let groups: Vec<_> = query
            .filter
            .identity
            .iter()
            .filter_map(|identity| identity.strip_prefix(GROUP))
            .collect();
        if groups.is_empty() {
            let mut filter = query.filter.clone();
            query
                .agent
                .into_iter()
                .for_each(|agent| filter.add_agent(agent));
            let is_in = |node: &Node| node.collectives.iter().any(|c| c == query.collective);
            return Ok(self.matching(&filter, is_in));
        }
        let filter = query.filter;
        let others = [
            filter.fact.len(),
            filter.class.len(),
            filter.agent.len(),
            filter.compound.len(),
        ];
        if groups.len() != filter.identity.len() || others != [0; 4] {
            return Err(DiscoveryError::BadFilter {
                method: Method::Inventory,
                why: "groups cannot be combined with other filters",
            });
        }
        let mut names = Vec::new();
        for group in groups {
            names.extend(self.matching(&self.group(group)?, |_| true));
        }
        Ok(names)
    }

    fn group(&self, name: &str) -> Result<Filter, DiscoveryError> {
        let place = || self.place.clone();
        let mut groups = self.groups.iter();
        let group = groups.find(|group| group.name == name).ok_or_else(|| {
            DiscoveryError::UnknownGroup {
                place: place(),
                group: name.to_owned(),
            }
        })?;
        let wanted = &group.filter;
        let mut filter = Filter {
            agent: wanted.agents.clone(),
            class: wanted.classes.clone(),
            identity: wanted.identities.clone(),
            ..Filter::default()
        };
        let bad = |why: String| DiscoveryError::BadGroup {
            place: place(),
            group: name.to_owned(),
            why,
        };
        for fact in &wanted.facts {
            let fact = parse_fact_filter(fact).map_err(|error| bad(error.to_string()))?;
            filter.fact.push(fact);
        }
        if !wanted.compound.is_empty() {
            // An expression that is none would match nobody, in silence.
            check_compound(&wanted.compound).map_err(|error| bad(error.to_string()))?;
            filter.add_compound(&wanted.compound);
        }
        Ok(filter)
    }

    fn matching(&self, filter: &Filter, also: impl Fn(&Node) -> bool) -> Vec<String> {
        let compiled = CompiledFilter::new(filter);
        let matches = |node: &&Node| {
            let facts = node.facts.to_string();
            let facts = FactsView::from_checked(&facts);
            also(node) && compiled.matches(&view(&node.name, &node.agents, &node.classes, &facts))
        };
        let nodes = self.nodes.iter().filter(matches);
        nodes.map(|node| node.name.clone()).collect()
    }
}

/// What the schema asks for beyond what can be read: every node complete, and no keys that mean nothing.
fn check(document: &Value) -> Result<(), String> {
    keys(document, "file", &["$schema", "groups", "nodes"])?;
    if !document["nodes"].is_array() {
        return Err("has no list of nodes".to_owned());
    }
    for group in list(&document["groups"]) {
        let place = format!("group {}", group["name"]);
        keys(group, &place, &["name", "filter"])?;
        let filter = &group["filter"];
        if !filter.is_null() {
            let known = ["agents", "classes", "facts", "identities", "compound"];
            keys(filter, &place, &known)?;
        }
    }
    for node in list(&document["nodes"]) {
        let place = format!("node {}", node["name"]);
        let known = ["name", "collectives", "facts", "classes", "agents"];
        keys(node, &place, &known)?;
        let missing = known.iter().find(|key| node.get(**key).is_none());
        if let Some(key) = missing {
            return Err(format!("{place} has no {key}"));
        }
        let facts = &node["facts"];
        if !facts.is_object() {
            return Err(format!("{place} has facts {facts}, which is no object"));
        }
    }
    Ok(())
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn keys(value: &Value, place: &str, known: &[&str]) -> Result<(), String> {
    let Some(members) = value.as_object() else {
        return Err(format!("{place} is no object"));
    };
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(format!("{place} has a key {key:?}, which means nothing")),
        None => Ok(()),
    }
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
