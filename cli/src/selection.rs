//! Which nodes are meant: filters on the command line, and files with names.

use std::path::Path;

use clap::Args;
use muster_protocol::filter::{Filter, parse_fact_filter, parse_with};

use crate::exit::Failure;
use crate::files;

/// Filters. Several of one kind narrow the selection down, but for identities, which add up.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Filters")]
pub(crate) struct FilterArgs {
    /// Nodes with a fact of that value; operators = != < > <= >= =~, regular expressions between slashes.
    #[arg(short = 'F', long = "wf", value_name = "FACT=VALUE")]
    facts: Vec<String>,
    /// Nodes with a class, or with one that matches /REGEX/.
    #[arg(short = 'C', long = "wc", value_name = "CLASS")]
    classes: Vec<String>,
    /// Nodes with an identity, or with one that matches /REGEX/.
    #[arg(short = 'I', long = "wi", value_name = "IDENTITY")]
    identities: Vec<String>,
    /// Nodes with an agent, or with one that matches /REGEX/.
    #[arg(short = 'A', long = "wa", value_name = "AGENT")]
    agents: Vec<String>,
    /// Facts and classes in one text, separated by blanks.
    #[arg(short = 'W', long = "with", value_name = "TEXT")]
    with: Vec<String>,
}

impl FilterArgs {
    /// The filter as it travels.
    pub(crate) fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = Filter {
            class: self.classes.clone(),
            identity: self.identities.clone(),
            agent: self.agents.clone(),
            ..Filter::default()
        };
        for text in &self.facts {
            filter
                .fact
                .push(parse_fact_filter(text).map_err(Failure::new)?);
        }
        for text in &self.with {
            parse_with(&mut filter, text);
        }
        Ok(filter)
    }

    /// Whether nothing is filtered by.
    pub(crate) fn is_empty(&self) -> bool {
        [
            &self.facts,
            &self.classes,
            &self.identities,
            &self.agents,
            &self.with,
        ]
        .iter()
        .all(|texts| texts.is_empty())
    }
}

/// The nodes a filter names outright, so that nobody need be asked who is there: identities without a regular expression and nothing else.
pub(crate) fn named_nodes(filter: &Filter) -> Option<Vec<String>> {
    let others = [
        filter.class.len(),
        filter.agent.len(),
        filter.fact.len(),
        filter.compound.len(),
    ];
    let is_regex = |name: &String| name.starts_with('/') || name.is_empty();
    if others != [0; 4] || filter.identity.is_empty() || filter.identity.iter().any(is_regex) {
        return None;
    }
    Some(unique(filter.identity.clone()))
}

/// Reads a file with names: a JSON list where it ends in `.json`, a YAML list of plain items where it ends in `.yaml`, else a name a line.
pub(crate) fn read_nodes(path: &Path) -> Result<Vec<String>, Failure> {
    let text = files::need(path)?;
    let extension = path.extension().unwrap_or_default();
    let names = if extension == "json" {
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(format!(
                "{} is no JSON list of names: {error}",
                path.display()
            ))
        })?
    } else {
        let is_yaml = extension == "yaml" || extension == "yml";
        names_in_lines(&text, is_yaml)
    };
    let names = unique(names);
    if let Some(bad) = names.iter().find(|name| !is_node_name(name)) {
        return Err(Failure::new(format!(
            "{} names {bad:?}, which is no node",
            path.display()
        )));
    }
    if names.is_empty() {
        return Err(Failure::new(format!("{} names no node", path.display())));
    }
    Ok(names)
}

fn names_in_lines(text: &str, is_yaml: bool) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines = lines.filter(|line| !(is_yaml && *line == "---"));
    let name = |line: &str| match line.strip_prefix("- ") {
        Some(item) if is_yaml => item.trim().trim_matches(['"', '\'']).to_owned(),
        _ => line.to_owned(),
    };
    lines.map(name).collect()
}

fn is_node_name(name: &str) -> bool {
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    !name.is_empty() && name.bytes().all(is_name_byte)
}

/// Each name once, in the order given.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(act: impl FnOnce(&mut FilterArgs)) -> Filter {
        let mut args = FilterArgs::default();
        act(&mut args);
        args.filter().unwrap()
    }

    #[test]
    fn identities_alone_name_their_nodes() {
        let texts = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        let named = filter(|args| args.identities = texts(&["b", "a", "b"]));
        assert_eq!(named_nodes(&named).unwrap(), ["b", "a"]);
        for asked in [
            filter(|_| ()),
            filter(|args| args.identities = texts(&["a", "/b/"])),
            filter(|args| {
                args.identities = texts(&["a"]);
                args.classes = texts(&["web"]);
            }),
            filter(|args| {
                args.identities = texts(&["a"]);
                args.with = texts(&["country=de"]);
            }),
        ] {
            assert_eq!(named_nodes(&asked), None, "{asked:?}");
        }
    }

    #[test]
    fn a_broken_fact_filter_is_refused() {
        let args = FilterArgs {
            facts: vec!["country".to_owned()],
            ..FilterArgs::default()
        };
        assert!(!args.is_empty());
        assert!(args.filter().is_err());
    }

    #[test]
    fn files_name_nodes_in_three_forms() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("nodes", "# the web\nweb1\n\n web2 \nweb1\n"),
            ("nodes.json", r#"["web1","web2"]"#),
            ("nodes.yaml", "---\n- web1\n- \"web2\"\n"),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_nodes(&path).unwrap(), ["web1", "web2"], "{name}");
        }
        for (name, text) in [("empty", "\n"), ("bad", "web*\n"), ("bad.json", "{}")] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            assert!(read_nodes(&path).is_err(), "{name}");
        }
    }
}
