//! Where descriptions of agents are found: built in, or as JSON files in the library folders.
//!
//! For an agent `parrot`, each library folder is searched for `choria/agent/parrot.json`, `choria/agent/parrot/parrot.json`, and the same below `mcollective`;
//! the first file found counts, and what is built in goes before all. It asks no registry on the network.
//!
//! This is the file layer; what a description says is `muster_protocol::ddl`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use muster_protocol::ddl::{Action, Ddl};

/// Folders below a library folder that may hold agents.
const FOLDERS: [&str; 2] = ["choria/agent", "mcollective/agent"];
/// Bytes a description may have; the largest known have some tens of thousands.
const DDL_BYTES_MAX: u64 = 4 << 20;

/// The descriptions a program knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DdlLibrary {
    libdirs: Vec<PathBuf>,
}

/// Where the description of an agent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DdlPlace {
    /// In this program.
    Builtin,
    /// In this file.
    File(PathBuf),
}

/// Why there is no description.
#[derive(Debug)]
pub enum DdlError {
    /// No agent has such a name: small and large letters, digits and `_`.
    BadName(String),
    /// No library folder has it.
    UnknownAgent {
        /// The agent.
        agent: String,
        /// The folders that were searched.
        libdirs: Vec<PathBuf>,
    },
    /// The file can not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is too large.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes it may have.
        max: u64,
    },
    /// The file holds something else.
    NotADdl {
        /// The file.
        path: PathBuf,
        /// The line of the first mistake.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// The file describes another agent.
    OtherAgent {
        /// The file.
        path: PathBuf,
        /// The agent it describes.
        found: String,
    },
    /// The agent has no such action.
    UnknownAction {
        /// The agent.
        agent: String,
        /// The action.
        action: String,
        /// Actions it has.
        known: Vec<String>,
    },
}

impl DdlLibrary {
    /// The descriptions in these folders, and those that are built in.
    #[must_use]
    pub fn new(libdirs: impl Into<Vec<PathBuf>>) -> Self {
        Self {
            libdirs: libdirs.into(),
        }
    }

    /// The description of an agent.
    ///
    /// # Errors
    /// There is none, or it is of no use.
    pub fn find(&self, agent: &str) -> Result<Cow<'static, Ddl>, DdlError> {
        match self.place(agent)? {
            DdlPlace::Builtin => Ddl::builtin(agent)
                .map(Cow::Borrowed)
                .ok_or_else(|| self.unknown(agent)),
            DdlPlace::File(path) => {
                let ddl = read_ddl(&path)?;
                if ddl.metadata.name != agent {
                    let found = ddl.metadata.name;
                    return Err(DdlError::OtherAgent { path, found });
                }
                Ok(Cow::Owned(ddl))
            }
        }
    }

    /// Where the description of an agent is. It is not read.
    ///
    /// # Errors
    /// It is nowhere.
    pub fn place(&self, agent: &str) -> Result<DdlPlace, DdlError> {
        if Ddl::builtin(agent).is_some() {
            return Ok(DdlPlace::Builtin);
        }
        if !is_name(agent) {
            return Err(DdlError::BadName(agent.to_owned()));
        }
        let mut folders = self.folders();
        let found = folders.find_map(|folder| file_in(&folder, agent));
        found.map(DdlPlace::File).ok_or_else(|| self.unknown(agent))
    }

    /// All agents there is a description of, by name. Folders that can not be listed have none.
    #[must_use]
    pub fn agents(&self) -> BTreeMap<String, DdlPlace> {
        let mut agents = BTreeMap::new();
        for name in Ddl::BUILTIN {
            agents.insert(name.to_owned(), DdlPlace::Builtin);
        }
        for folder in self.folders() {
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            for entry in entries {
                let path = entry.path();
                let is_candidate = path.is_dir() || path.extension().is_some_and(|e| e == "json");
                let name = path.file_stem().and_then(|stem| stem.to_str());
                let Some(name) = name.filter(|name| is_candidate && is_name(name)) else {
                    continue;
                };
                if let Some(path) = file_in(&folder, name) {
                    let place = || DdlPlace::File(path);
                    agents.entry(name.to_owned()).or_insert_with(place);
                }
            }
        }
        agents
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let below = |libdir: &PathBuf| FOLDERS.map(|folder| libdir.join(folder));
        self.libdirs.iter().flat_map(below)
    }

    fn unknown(&self, agent: &str) -> DdlError {
        DdlError::UnknownAgent {
            agent: agent.to_owned(),
            libdirs: self.libdirs.clone(),
        }
    }
}

/// Reads one description.
///
/// # Errors
/// There is no such file, or it holds something else.
pub fn read_ddl(path: &Path) -> Result<Ddl, DdlError> {
    let unreadable = |error| DdlError::Unreadable {
        path: path.to_owned(),
        error,
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(DDL_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > DDL_BYTES_MAX {
        return Err(DdlError::TooLarge {
            path: path.to_owned(),
            max: DDL_BYTES_MAX,
        });
    }
    Ddl::parse(&text).map_err(|error| DdlError::NotADdl {
        path: path.to_owned(),
        line: error.line(),
        why: error.to_string(),
    })
}

/// An action of an agent.
///
/// # Errors
/// There is no such action; the error names those there are.
pub fn find_action<'d>(ddl: &'d Ddl, name: &str) -> Result<&'d Action, DdlError> {
    ddl.action(name).ok_or_else(|| DdlError::UnknownAction {
        agent: ddl.metadata.name.clone(),
        action: name.to_owned(),
        known: ddl.actions.iter().map(|a| a.name.clone()).collect(),
    })
}

/// The description of an agent in one folder of agents.
fn file_in(folder: &Path, agent: &str) -> Option<PathBuf> {
    let file = format!("{agent}.json");
    [folder.join(&file), folder.join(agent).join(&file)]
        .into_iter()
        .find(|path| path.is_file())
}

/// A name with other characters could lead out of the folder.
fn is_name(agent: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !agent.is_empty() && agent.bytes().all(is_name_byte)
}

impl fmt::Display for DdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "{name:?} is no name of an agent"),
            Self::UnknownAgent { agent, libdirs } => {
                write!(f, "agent {agent} is not known: it has no DDL (")?;
                if libdirs.is_empty() {
                    f.write_str("libdir is not set")?;
                }
                for (index, libdir) in libdirs.iter().enumerate() {
                    let between = if index == 0 { "" } else { ", " };
                    write!(f, "{between}{}", libdir.display())?;
                }
                f.write_str(")")
            }
            Self::Unreadable { path, error } => {
                write!(f, "cannot read {}: {error}", path.display())
            }
            Self::TooLarge { path, max } => {
                write!(f, "{} is no DDL: more than {max} bytes", path.display())
            }
            Self::NotADdl { path, line, why } => {
                write!(f, "{}:{line} is no DDL: {why}", path.display())
            }
            Self::OtherAgent { path, found } => {
                write!(f, "{} describes agent {found:?}", path.display())
            }
            Self::UnknownAction {
                agent,
                action,
                known,
            } => write!(
                f,
                "agent {agent} has no action {action:?}; it has {}",
                known.join(", ")
            ),
        }
    }
}

impl std::error::Error for DdlError {}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const PARROT: &str =
        r#"{"metadata":{"name":"parrot","timeout":5},"actions":[{"action":"echo"}]}"#;

    fn library(files: &[(&str, &str)]) -> (tempfile::TempDir, DdlLibrary) {
        let libdir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = libdir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let library = DdlLibrary::new([libdir.path().to_owned()]);
        (libdir, library)
    }

    #[test]
    fn both_folders_and_both_forms_are_searched_in_order() {
        for path in [
            "choria/agent/parrot.json",
            "choria/agent/parrot/parrot.json",
            "mcollective/agent/parrot.json",
            "mcollective/agent/parrot/parrot.json",
        ] {
            let (_folder, library) = library(&[(path, PARROT)]);
            let ddl = library.find("parrot").unwrap();
            assert_eq!(ddl.metadata.timeout, 5, "{path}");
            assert!(find_action(&ddl, "echo").is_ok());
            let error = find_action(&ddl, "sing").unwrap_err().to_string();
            assert_eq!(error, "agent parrot has no action \"sing\"; it has echo");
        }
        let newer = PARROT.replace("5", "7");
        let (_folder, library) = library(&[
            ("mcollective/agent/parrot.json", PARROT),
            ("choria/agent/parrot.json", &newer),
        ]);
        assert_eq!(library.find("parrot").unwrap().metadata.timeout, 7);
    }

    #[test]
    fn what_is_of_no_use_is_named_with_its_place() {
        let (folder, library) = library(&[
            ("choria/agent/broken.json", "{\n\"metadata\": 7}"),
            ("choria/agent/other.json", PARROT),
        ]);
        let error = |agent: &str| {
            let text = library.find(agent).unwrap_err().to_string();
            text.replace(&folder.path().display().to_string(), "LIB")
        };
        let broken = error("broken");
        assert!(
            broken.starts_with("LIB/choria/agent/broken.json:2 is no DDL: "),
            "{broken}"
        );
        assert_eq!(
            error("other"),
            "LIB/choria/agent/other.json describes agent \"parrot\""
        );
        assert_eq!(
            error("absent"),
            "agent absent is not known: it has no DDL (LIB)"
        );
        for name in ["../parrot", "a/b", "", "a.b"] {
            assert!(matches!(library.find(name), Err(DdlError::BadName(_))));
        }
        let without = DdlLibrary::default().find("x").unwrap_err().to_string();
        assert!(without.ends_with("(libdir is not set)"), "{without}");
    }

    #[test]
    fn all_agents_are_listed_with_their_places() {
        let (folder, library) = library(&[
            ("choria/agent/parrot.json", PARROT),
            ("mcollective/agent/parrot.json", PARROT),
            ("mcollective/agent/deep/deep.json", PARROT),
            ("mcollective/agent/notes.txt", ""),
            ("mcollective/agent/empty/x.json", ""),
        ]);
        let agents = library.agents();
        let names: Vec<_> = agents.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "choria_provision",
                "choria_util",
                "deep",
                "discovery",
                "parrot",
                "rpcutil"
            ]
        );
        let parrot = folder.path().join("choria/agent/parrot.json");
        assert_eq!(agents["parrot"], DdlPlace::File(parrot));
        assert_eq!(agents["rpcutil"], DdlPlace::Builtin);
    }
}
