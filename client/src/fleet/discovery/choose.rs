//! Which source answers: one rule, in one place.
//!
//! 1. A file of names that was given.
//! 2. The results of an earlier request that were piped in, unless a method was named.
//! 3. The method that was named.
//! 4. Broadcast, where the filter has a compound expression, unless the configured method is the inventory, which can tell.
//! 5. The configured method.
//!
//! Where that comes to a broadcast and the filter is nothing but names, nobody is asked: these are the names.
//!
//! Peers turn a named file or program into a broadcast where there is a compound expression, and so ask more nodes than the file has; here the named method stays, and says what it
//! cannot do. Their configured options also reach a method that was named in place of the configured one; here they belong to the configured method alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use muster_protocol::filter::Filter;

use super::{
    DiscoveryError, DiscoverySettings, External, FileFormat, FlatFile, InventoryFile, LocalSource,
    Method, Source,
};

/// What somebody asked for.
#[derive(Debug, Clone, Default)]
pub struct Wish<'a> {
    /// The method that was named, `--dm`.
    pub method: Option<&'a str>,
    /// The file of names that was given, `--nodes`.
    pub nodes: Option<PathBuf>,
    /// All that was piped in, where the command reads that.
    pub piped: Option<String>,
    /// Options for the method, `--do`.
    pub options: BTreeMap<String, String>,
}

/// The source that answers a wish. It is not asked yet.
///
/// # Errors
/// The method is none, lacks a file or a program, or has no such option.
pub fn choose(
    wish: Wish<'_>,
    filter: &Filter,
    settings: &DiscoverySettings,
) -> Result<Source, DiscoveryError> {
    let mut options = Options(wish.options);
    if let Some(path) = wish.nodes {
        return options.flat_file(Some(path)).map(Source::Local);
    }
    let method = match (wish.method, wish.piped) {
        (Some(name), _) => Method::parse(name)?,
        (None, Some(text)) if is_json_object(&text) => {
            options.finish(Method::FlatFile)?;
            return Ok(Source::Local(LocalSource::Results(text)));
        }
        (None, _) => {
            let configured = Method::parse(&settings.method)?;
            if filter.compound.is_empty() || configured == Method::Inventory {
                if options.0.is_empty() {
                    options.0.clone_from(&settings.options);
                }
                configured
            } else {
                Method::Broadcast
            }
        }
    };
    let local = match method {
        Method::Broadcast => {
            options.finish(method)?;
            return broadcast(filter);
        }
        Method::FlatFile => options.flat_file(None)?,
        Method::Inventory => options.inventory(settings)?,
        Method::External => options.external(settings)?,
    };
    Ok(Source::Local(local))
}

/// The nodes a filter names outright, each once: identities without a regular expression or a group, and nothing else.
#[must_use]
pub fn named_nodes(filter: &Filter) -> Option<Vec<String>> {
    let others = [
        filter.class.len(),
        filter.agent.len(),
        filter.fact.len(),
        filter.compound.len(),
    ];
    let is_name = |name: &String| !(name.is_empty() || name.starts_with('/') || is_group(name));
    if others != [0; 4] || filter.identity.is_empty() || !filter.identity.iter().all(is_name) {
        return None;
    }
    Some(super::unique(filter.identity.clone()))
}

fn broadcast(filter: &Filter) -> Result<Source, DiscoveryError> {
    if filter.identity.iter().any(|name| is_group(name)) {
        return Err(DiscoveryError::BadFilter {
            method: Method::Broadcast,
            why: "groups are those of an inventory, which is another method",
        });
    }
    let named = named_nodes(filter).map(LocalSource::Names);
    Ok(named.map_or(Source::Broadcast, Source::Local))
}

fn is_group(identity: &str) -> bool {
    identity.starts_with("group:")
}

fn is_json_object(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('{') && text.ends_with('}')
}

/// Options that were not used yet.
struct Options(BTreeMap<String, String>);

impl Options {
    fn flat_file(mut self, given: Option<PathBuf>) -> Result<LocalSource, DiscoveryError> {
        let method = Method::FlatFile;
        let path = match given {
            Some(path) => path,
            None => self.path("file").ok_or(DiscoveryError::NoSource {
                method,
                wanted: "a file: --nodes FILE, or --do file=FILE",
            })?,
        };
        let format = match self.0.remove("format") {
            None => FileFormat::of(&path),
            Some(name) => FileFormat::parse(&name).ok_or_else(|| DiscoveryError::BadOption {
                method,
                option: format!("format={name}"),
            })?,
        };
        let is_document = matches!(format, FileFormat::Json | FileFormat::Yaml);
        let query = self.0.remove("filter");
        if let Some(query) = query.as_ref().filter(|q| q.is_empty() || !is_document) {
            let option = format!("filter={query} for such a file");
            return Err(DiscoveryError::BadOption { method, option });
        }
        self.finish(method)?;
        Ok(LocalSource::FlatFile(FlatFile {
            path,
            format,
            query,
        }))
    }

    fn inventory(mut self, settings: &DiscoverySettings) -> Result<LocalSource, DiscoveryError> {
        let method = Method::Inventory;
        let path = self.path("file").or_else(|| settings.inventory.clone());
        let path = path.ok_or(DiscoveryError::NoSource {
            method,
            wanted: "a file: --do file=FILE, or plugin.choria.discovery.inventory.source",
        })?;
        let validate = self.0.remove("novalidate").is_none();
        self.finish(method)?;
        Ok(LocalSource::Inventory(InventoryFile { path, validate }))
    }

    /// A program may have any option; but for `command`, all are passed on.
    fn external(mut self, settings: &DiscoverySettings) -> Result<LocalSource, DiscoveryError> {
        let given = self.0.remove("command").filter(|c| !c.is_empty());
        let command = given.or_else(|| settings.command.clone());
        let command = command.ok_or(DiscoveryError::NoSource {
            method: Method::External,
            wanted: "a program: --do command=PROGRAM, or plugin.choria.discovery.external.command",
        })?;
        let options = self.0;
        Ok(LocalSource::External(External { command, options }))
    }

    fn path(&mut self, key: &str) -> Option<PathBuf> {
        let path = self.0.remove(key).filter(|path| !path.is_empty());
        path.map(PathBuf::from)
    }

    /// What is left is a mistake, and might have been meant to narrow the nodes down.
    fn finish(self, method: Method) -> Result<(), DiscoveryError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((key, _)) => Err(DiscoveryError::BadOption {
                method,
                option: key,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is asked for, in words: `dm=`, `nodes=`, `piped=`, `-I`, `-C`, `-S`, `do:key=`, and after `|` what is configured.
    fn chosen(words: &str) -> String {
        let (asked, configured) = words.split_once('|').unwrap_or((words, ""));
        let mut wish = Wish::default();
        let mut filter = Filter::default();
        for word in asked.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap();
            match key {
                "dm" => wish.method = Some(value),
                "nodes" => wish.nodes = Some(value.into()),
                "piped" => wish.piped = Some(value.to_owned()),
                "-I" => filter.identity.push(value.to_owned()),
                "-C" => filter.class.push(value.to_owned()),
                "-S" => filter.add_compound(value),
                _ => {
                    let key = key.strip_prefix("do:").unwrap();
                    wish.options.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        let mut settings = DiscoverySettings::default();
        for word in configured.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap();
            match key {
                "dm" => settings.method = value.to_owned(),
                "inventory" => settings.inventory = Some(value.into()),
                "command" => settings.command = Some(value.to_owned()),
                _ => {
                    settings.options.insert(key.to_owned(), value.to_owned());
                }
            }
        }
        match choose(wish, &filter, &settings) {
            Ok(Source::Broadcast) => "broadcast".to_owned(),
            Ok(Source::Local(LocalSource::Names(names))) => format!("names {}", names.join(",")),
            Ok(Source::Local(LocalSource::FlatFile(file))) => {
                let query = file.query.unwrap_or_default();
                format!("file {} {:?} {query}", file.path.display(), file.format)
            }
            Ok(Source::Local(LocalSource::Results(text))) => format!("results {text}"),
            Ok(Source::Local(LocalSource::Inventory(file))) => {
                format!("inventory {} {}", file.path.display(), file.validate)
            }
            Ok(Source::Local(LocalSource::External(program))) => {
                format!("external {} {:?}", program.command, program.options)
            }
            Err(error) => format!("error {error}"),
        }
    }

    #[test]
    fn the_rule_in_a_table() {
        for (words, expected) in [
            ("", "broadcast"),
            ("-C=web", "broadcast"),
            ("dm=mc", "broadcast"),
            ("-I=n1 -I=n2 -I=n1", "names n1,n2"),
            ("dm=broadcast -I=n1", "names n1"),
            ("-I=n1 -I=/n/", "broadcast"),
            ("-I=n1 -C=web", "broadcast"),
            ("-S=x", "broadcast"),
            ("nodes=a.json", "file a.json Json "),
            ("nodes=a.yaml do:filter=x.#.y", "file a.yaml Yaml x.#.y"),
            ("nodes=a dm=external piped={}", "file a Text "),
            ("nodes=a do:format=rpc", "file a Results "),
            ("piped={}", "results {}"),
            ("piped={} -I=n1", "results {}"),
            ("piped=junk", "broadcast"),
            ("piped={} dm=mc", "broadcast"),
            ("dm=file do:file=a.yml", "file a.yml Yaml "),
            ("dm=flatfile do:file=a.yml -S=x", "file a.yml Yaml "),
            (
                "dm=inventory do:file=f do:novalidate=1",
                "inventory f false",
            ),
            ("dm=inventory|inventory=g", "inventory g true"),
            ("dm=inventory -I=n1|inventory=g", "inventory g true"),
            (
                "dm=external do:command=/x do:k=v",
                "external /x {\"k\": \"v\"}",
            ),
            ("dm=external|command=/y", "external /y {}"),
            ("|dm=external command=/y k=v", "external /y {\"k\": \"v\"}"),
            (
                "do:a=b|dm=external command=/y k=v",
                "external /y {\"a\": \"b\"}",
            ),
            ("-S=x|dm=external command=/y k=v", "broadcast"),
            ("-S=x|dm=inventory inventory=g", "inventory g true"),
            ("-I=n1|dm=inventory inventory=g", "inventory g true"),
            ("dm=mc|dm=external command=/y k=v", "broadcast"),
            ("dm=mc|dm=choria", "broadcast"),
        ] {
            assert_eq!(chosen(words), expected, "{words}");
        }
    }

    #[test]
    fn what_is_missing_or_means_nothing_is_an_error() {
        for (words, expected) in [
            ("dm=choria", "no discovery method \"choria\""),
            ("|dm=puppetdb", "no discovery method \"puppetdb\""),
            ("dm=file", "flatfile needs a file: --nodes FILE"),
            ("dm=inventory", "inventory needs a file: --do file=FILE"),
            ("dm=external do:command=", "external needs a program"),
            ("do:file=a", "mc has no option file"),
            ("nodes=a do:fitler=x", "flatfile has no option fitler"),
            (
                "nodes=a do:filter=x",
                "flatfile has no option filter=x for such",
            ),
            (
                "nodes=a.json do:filter=",
                "flatfile has no option filter= for such",
            ),
            ("nodes=a do:format=odd", "flatfile has no option format=odd"),
            ("dm=inventory do:file=f do:x=y", "inventory has no option x"),
            ("piped={} do:file=a", "flatfile has no option file"),
            ("-I=group:web", "groups are those of an inventory"),
        ] {
            let chosen = chosen(words);
            assert!(
                chosen.starts_with("error") && chosen.contains(expected),
                "{words}: {chosen}"
            );
        }
    }
}
