//! Where descriptions of agents are found: built in, or as JSON files in the configured library folders.

use std::borrow::Cow;
use std::path::PathBuf;

use muster_protocol::ddl::{Action, Ddl};

use crate::exit::Failure;
use crate::files;

/// Folders below a library folder that may hold agents.
const FOLDERS: [&str; 2] = ["choria/agent", "mcollective/agent"];

/// The description of an agent.
pub(crate) fn find(agent: &str, libdirs: &[PathBuf]) -> Result<Cow<'static, Ddl>, Failure> {
    if let Some(ddl) = Ddl::builtin(agent) {
        return Ok(Cow::Borrowed(ddl));
    }
    // A name with other characters could lead out of the folder.
    let is_name_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if agent.is_empty() || !agent.bytes().all(is_name_byte) {
        return Err(Failure::new(format!("{agent:?} is no name of an agent")));
    }
    for libdir in libdirs {
        for folder in FOLDERS {
            let path = libdir.join(folder).join(format!("{agent}.json"));
            if path.is_file() {
                let text = files::need(&path)?;
                let ddl = Ddl::parse(text.as_bytes());
                return ddl.map(Cow::Owned).map_err(|error| {
                    Failure::new(format!("{} is no DDL: {error}", path.display()))
                });
            }
        }
    }
    let places: Vec<_> = libdirs.iter().map(|path| path.to_string_lossy()).collect();
    let places = if places.is_empty() {
        "libdir is not set".to_owned()
    } else {
        places.join(", ")
    };
    Err(Failure::new(format!(
        "agent {agent} is not known: it has no DDL ({places})"
    )))
}

/// An action of an agent.
pub(crate) fn action<'d>(ddl: &'d Ddl, name: &str) -> Result<&'d Action, Failure> {
    ddl.action(name).ok_or_else(|| {
        let known: Vec<_> = ddl
            .actions
            .iter()
            .map(|action| action.name.as_str())
            .collect();
        let agent = &ddl.metadata.name;
        Failure::new(format!(
            "agent {agent} has no action {name:?}; it has {}",
            known.join(", ")
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_library_folders_are_found() {
        let libdir = tempfile::tempdir().unwrap();
        let folder = libdir.path().join("mcollective/agent");
        std::fs::create_dir_all(&folder).unwrap();
        let text = r#"{"metadata":{"name":"parrot","timeout":5},"actions":[{"action":"echo"}]}"#;
        std::fs::write(folder.join("parrot.json"), text).unwrap();
        std::fs::write(folder.join("broken.json"), "{").unwrap();
        let libdirs = [libdir.path().to_owned()];
        let ddl = find("parrot", &libdirs).unwrap();
        assert_eq!(ddl.metadata.timeout, 5);
        assert!(action(&ddl, "echo").is_ok());
        assert!(format!("{:?}", action(&ddl, "sing").unwrap_err()).contains("echo"));
        for bad in ["broken", "absent", "../parrot", ""] {
            assert!(find(bad, &libdirs).is_err(), "{bad}");
        }
        assert!(find("rpcutil", &[]).is_ok());
    }
}
