//! The files of the library folders.
//!
//! ```text
//! <folder>/{mcollective,choria}/agent/parrot.json          with parrot, or parrot.rb, beside it
//! <folder>/{mcollective,choria}/agent/parrot/parrot.json   with parrot-linux_amd64, parrot, or parrot.rb beside it
//! ```
//!
//! Files are looked at, not into: a sighting says that there may be an agent. A folder that is not there holds none; one
//! that cannot be read makes the scan incomplete.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::catalogue::{Look, Sighting};

/// Where agents lie in a library folder.
const FOLDERS: [&str; 2] = ["mcollective/agent", "choria/agent"];
/// A folder of agents that is none: work under way of the tool that installs them.
const TEMPORARY: &str = "tmp";
/// Most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// What a scan saw.
#[derive(Debug, Default)]
pub struct Scan {
    /// The agents there may be, in order of preference.
    pub seen: Vec<Sighting>,
    /// What could not be read, one sentence each; if there is any the scan is incomplete.
    pub problems: Vec<String>,
}

/// Looks at the library folders; `now` tells how old files are.
#[must_use]
pub fn scan(library_dirs: &[PathBuf], now: SystemTime) -> Scan {
    let mut scan = Scan::default();
    for dir in library_dirs {
        for folder in FOLDERS.map(|folder| dir.join(folder)) {
            match scan_folder(&folder, now) {
                Ok(seen) => scan.seen.extend(seen),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    let problem = format!("cannot look into {}: {error}", folder.display());
                    scan.problems.push(problem);
                }
            }
        }
    }
    scan
}

fn scan_folder(folder: &Path, now: SystemTime) -> io::Result<Vec<Sighting>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        if entries.len() == ENTRIES_MAX {
            return Err(io::Error::other(format!("more than {ENTRIES_MAX} entries")));
        }
        entries.push(entry?.file_name());
    }
    entries.sort();
    let names = entries.iter().filter_map(|name| name.to_str());
    Ok(names.filter_map(|name| sight(folder, name, now)).collect())
}

fn sight(folder: &Path, entry: &str, now: SystemTime) -> Option<Sighting> {
    let (name, folder, is_flat) = match entry.strip_suffix(".json") {
        Some(name) => (name, folder.to_owned(), true),
        None if entry == TEMPORARY => return None,
        None => (entry, folder.join(entry), false),
    };
    if !is_agent_name(name) {
        return None;
    }
    let ddl = folder.join(format!("{name}.json"));
    // Followed through links: agents are often linked into place.
    let written = match fs::metadata(&ddl) {
        Ok(metadata) if metadata.is_file() => look_of(&metadata)?,
        _ => return None,
    };
    let mut programs = Vec::new();
    if !is_flat {
        programs.push(folder.join(format!("{name}-{}", platform())));
    }
    programs.push(folder.join(name));
    programs.push(folder.join(format!("{name}.rb")));
    let mut looks = vec![Some(written)];
    looks.extend(programs.iter().map(|path| look(path)));
    let newest = looks.iter().flatten().map(|(written, _)| *written).max();
    // A file from the future is as old as any: clocks are set back.
    let age = newest.map(|newest| now.duration_since(newest).unwrap_or(Duration::MAX));
    Some(Sighting {
        name: name.to_owned(),
        ddl,
        programs,
        looks,
        age: age.unwrap_or(Duration::MAX),
    })
}

/// Whether an agent can have this name.
#[must_use]
pub fn is_agent_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Operating system and architecture by the names that file names of agents use.
fn platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64",
        other => other,
    };
    format!("{}_{architecture}", std::env::consts::OS)
}

fn look(path: &Path) -> Look {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| look_of(&metadata))?
}

fn look_of(metadata: &fs::Metadata) -> Look {
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{}").unwrap();
    }

    #[test]
    fn both_layouts_and_both_folders_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let nested = format!("mcollective/agent/b/b-{}", platform());
        for file in [
            "mcollective/agent/z.json",
            "mcollective/agent/z",
            "mcollective/agent/b/b.json",
            &nested,
            "choria/agent/c.json",
            "mcollective/agent/tmp/tmp.json",
            "mcollective/agent/Upper.json",
            "mcollective/agent/a.b.json",
            "mcollective/agent/readme.txt",
            "mcollective/agent/d/other.json",
            "mcollective/agent/e/e/e.json",
            "elsewhere/agent/f.json",
        ] {
            write(&dir.path().join(file));
        }
        fs::create_dir_all(dir.path().join("mcollective/agent/folder.json")).unwrap();
        let later = SystemTime::now() + Duration::from_secs(100);
        let dirs = [dir.path().join("missing"), dir.path().to_owned()];
        let found = scan(&dirs, later);
        assert_eq!(found.problems, [""; 0]);
        let names: Vec<_> = found.seen.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["b", "z", "c"]);
        let [b, z, c] = &found.seen[..] else { panic!() };
        assert!(b.looks[1].is_some() && b.looks[2].is_none(), "{b:?}");
        assert_eq!(b.programs[0], dir.path().join(nested));
        assert!(z.looks[1].is_some() && z.looks[2].is_none(), "{z:?}");
        assert_eq!(c.looks[1..], [None, None]);
        assert!(b.age > Duration::from_secs(90) && b.age < Duration::from_secs(110));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("mcollective/agent"));
        let found = scan(&[dir.path().to_owned()], SystemTime::now());
        assert_eq!(found.problems.len(), 1, "{found:?}");
        assert!(found.problems[0].contains("mcollective/agent"));
    }

    #[test]
    fn the_newest_file_tells_the_age() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("choria/agent");
        write(&base.join("a.json"));
        write(&base.join("a"));
        let now = SystemTime::now();
        let age = |file: &str, age: u64| {
            let file = fs::File::options()
                .write(true)
                .open(base.join(file))
                .unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        };
        age("a.json", 50);
        age("a", 3);
        let dirs = [dir.path().to_owned()];
        assert_eq!(scan(&dirs, now).seen[0].age.as_secs(), 3);
        age("a", 70);
        assert_eq!(scan(&dirs, now).seen[0].age.as_secs(), 50);
        let past = now - Duration::from_secs(1000);
        assert_eq!(scan(&dirs, past).seen[0].age, Duration::MAX);
    }
}
