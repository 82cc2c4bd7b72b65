//! `tool config`: settings with their origin, and the keys there are.

use std::fmt::Write as _;

use muster_settings::Settings;
use serde::Serialize;

use super::table::table;
use super::text::one_line;
use crate::files;

/// Where all keys stand, in tables, under headings that begin with whose they are.
const DOCUMENT: &str = include_str!("../../../docs/config.md");
/// Values of keys with one of these words in them are shown to nobody.
const SECRET_WORDS: [&str; 4] = ["pass", "token", "secret", "credential"];
/// A file's name is no secret.
const FILE_ENDINGS: [&str; 3] = ["file", "path", "environment"];
const HIDDEN: &str = "******";

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
    Broker,
}

/// A key as it is documented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Key<'d> {
    #[serde(rename = "key")]
    pub(crate) name: String,
    #[serde(rename = "type")]
    kind: &'d str,
    default: String,
    effect: &'d str,
}

/// A configuration in effect.
#[derive(Debug, Serialize)]
pub(crate) struct Effective {
    /// In the order they were read, those only that hold a setting.
    files: Vec<String>,
    settings: Vec<Row>,
    /// Settings that nobody asks for, and lines that are none, with their places.
    without_effect: Vec<String>,
    /// What keeps the program from starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    key: String,
    value: String,
    /// `file:line`, or `default`.
    from: String,
}

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Broker => "broker",
        }
    }

    /// Whether keys under this heading are the role's; a heading that names nobody is everybody's.
    fn owns(self, heading: &str) -> bool {
        let owner = [
            ("Broker", Self::Broker),
            ("Node", Self::Server),
            ("Client", Self::Client),
        ];
        let owner = owner.iter().find(|(word, _)| heading.starts_with(word));
        owner.is_none_or(|(_, owner)| *owner == self)
    }
}

/// The keys of a role, in the document's order.
pub(crate) fn known_keys(role: Role) -> Vec<Key<'static>> {
    let mut keys = Vec::new();
    let mut is_ours = false;
    for line in DOCUMENT.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            is_ours = role.owns(heading);
        } else if is_ours && line.starts_with("| `") {
            keys.extend(keys_of_row(line));
        }
    }
    keys
}

/// `| names | type | default | effect |`, where further names may be written by their last part.
fn keys_of_row(line: &'static str) -> Vec<Key<'static>> {
    let mut cells = line.trim_matches('|').splitn(4, " | ").map(str::trim);
    let (Some(names), Some(kind), Some(default), Some(effect)) =
        (cells.next(), cells.next(), cells.next(), cells.next())
    else {
        return Vec::new();
    };
    let mut parent = "";
    let names = names.split('`').skip(1).step_by(2);
    let names = names.map(|name| match name.strip_prefix('.') {
        Some(last) => format!("{parent}.{last}"),
        None => {
            parent = name.rsplit_once('.').map_or("", |(parent, _)| parent);
            name.to_owned()
        }
    });
    let key = |name| Key {
        name,
        kind,
        default: default.replace('`', ""),
        effect,
    };
    names.map(key).collect()
}

impl Effective {
    /// All settings once somebody has read them; `error` is what was wrong with them.
    pub(crate) fn of(role: Role, settings: &Settings, error: Option<String>) -> Self {
        let without_effect = files::warnings(settings);
        let unused: Vec<_> = settings
            .unused()
            .map(|entry| entry.key().to_owned())
            .collect();
        let (mut files, mut rows) = (Vec::new(), Vec::<Row>::new());
        for entry in settings.entries() {
            if files.last().map(String::as_str) != Some(entry.file()) {
                files.push(entry.file().to_owned());
            }
            if unused.iter().any(|key| key == entry.key()) {
                continue;
            }
            // Of several lines with one key the last one counts, but for keys that add up: all are shown where they stand.
            rows.push(Row {
                key: entry.key().to_owned(),
                value: shown(entry.key(), entry.value()),
                from: format!("{}:{}", entry.file(), entry.line()),
            });
        }
        for key in known_keys(role) {
            let is_set = rows.iter().any(|row| row.key == key.name);
            // A name with a part to be filled in is no setting by itself.
            if !is_set && !key.name.contains('<') {
                rows.push(Row {
                    key: key.name,
                    value: key.default,
                    from: "default".to_owned(),
                });
            }
        }
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            files,
            settings: rows,
            without_effect,
            error,
        }
    }

    /// Whether a program could start with it.
    pub(crate) fn is_usable(&self) -> bool {
        self.error.is_none()
    }

    pub(crate) fn json(&self) -> String {
        super::rpc_json::pretty(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut out = "Configuration files:\n\n".to_owned();
        for file in &self.files {
            let _ = writeln!(out, "  {}", one_line(file));
        }
        if self.files.is_empty() {
            out.push_str("  none\n");
        }
        out.push_str("\nSettings in effect; of several lines with one key the last one counts, unless they add up:\n\n");
        let rows = self.settings.iter();
        let rows = rows.map(|row| vec![row.key.clone(), row.value.clone(), row.from.clone()]);
        out.push_str(&table(["Key", "Value", "From"], rows));
        if !self.without_effect.is_empty() {
            out.push_str("\nWithout effect:\n\n");
            for warning in &self.without_effect {
                let _ = writeln!(out, "  {}", one_line(warning));
            }
        }
        if let Some(error) = &self.error {
            out.push_str("\nProblems:\n\n");
            for line in error.lines() {
                let _ = writeln!(out, "  {}", one_line(line));
            }
        }
        out
    }
}

/// The names of keys, one a line.
pub(crate) fn names(keys: &[&Key<'_>]) -> String {
    keys.iter().map(|key| format!("{}\n", key.name)).collect()
}

/// What keys are for.
pub(crate) fn explained(keys: &[&Key<'_>]) -> String {
    let text = |key: &&Key<'_>| {
        let Key {
            name,
            kind,
            default,
            effect,
        } = key;
        format!("{name}\n\n      Type: {kind}\n   Default: {default}\n    Effect: {effect}\n")
    };
    let texts: Vec<_> = keys.iter().map(text).collect();
    texts.join("\n")
}

/// The same for machines.
pub(crate) fn keys_json(keys: &[&Key<'_>]) -> String {
    super::rpc_json::pretty(&keys)
}

fn shown(key: &str, value: &str) -> String {
    let is_secret = SECRET_WORDS.iter().any(|word| key.contains(word))
        && !FILE_ENDINGS.iter().any(|ending| key.ends_with(ending));
    if is_secret {
        HIDDEN.to_owned()
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_document_is_read() {
        let mut seen = 0;
        for role in [Role::Client, Role::Server, Role::Broker] {
            let keys = known_keys(role);
            for key in &keys {
                let is_name = |b: u8| b.is_ascii_alphanumeric() || b"._-<>*".contains(&b);
                assert!(key.name.bytes().all(is_name), "{key:?}");
                assert!(!key.effect.is_empty() && !key.kind.is_empty(), "{key:?}");
            }
            seen += keys.len();
        }
        let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
        assert!(seen >= rows.count(), "{seen}");
    }

    #[test]
    fn names_may_share_their_beginning() {
        let keys = keys_of_row("| `a.b.certificate`, `.key`, `c` | paths | `x` | of use |");
        let names: Vec<_> = keys.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["a.b.certificate", "a.b.key", "c"]);
        assert_eq!(
            (keys[1].kind, &*keys[1].default, keys[1].effect),
            ("paths", "x", "of use")
        );
    }

    fn sample() -> Effective {
        let text = "identity = n1\ncolor = 0\ncolor = 1\nplugin.nats.pass = hunter2\nloglevle = debug\nnonsense\n";
        let mut settings = Settings::parse(text, "client.conf");
        settings.merge("identity = n2\n", "conf.d/10-name.conf");
        for key in ["identity", "color", "plugin.nats.pass"] {
            assert!(settings.find(key).is_some());
        }
        let error = "client.conf:9: ttl = \"x\" is no duration".to_owned();
        let mut effective = Effective::of(Role::Client, &settings, Some(error));
        // Defaults come from the document, which has a life of its own.
        let keep = ["identity", "color", "plugin.nats.pass", "discovery_timeout"];
        effective
            .settings
            .retain(|row| keep.contains(&row.key.as_str()));
        effective
    }

    #[test]
    fn text() {
        insta::assert_snapshot!(sample().text());
        assert!(!sample().is_usable());
    }

    #[test]
    fn for_machines() {
        insta::assert_snapshot!(sample().json());
    }

    #[test]
    fn keys_are_explained() {
        let key = Key {
            name: "ttl".to_owned(),
            kind: "seconds",
            default: "60".to_owned(),
            effect: "how long a request may be acted on",
        };
        insta::assert_snapshot!(explained(&[&key, &key]));
    }

    #[test]
    fn secrets_are_not_shown() {
        for key in ["plugin.nats.pass", "plugin.choria.network.token"] {
            assert_eq!(shown(key, "x"), HIDDEN);
        }
        assert_eq!(
            shown("plugin.choria.security.request_signer.token_file", "x"),
            "x"
        );
        assert_eq!(shown("plugin.security.file.key", "x"), "x");
    }
}
