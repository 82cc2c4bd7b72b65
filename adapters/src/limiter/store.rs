//! The state of a limiter on disk, so that a restart does not send everything again.
//!
//! ```text
//! {"<value>":{"forwarded":<unix seconds>,"seen":<unix seconds>,"size":<bytes>}, …}
//! ```
//!
//! It is written beside and then renamed, so that a crash leaves the old one or the new one. What can not be read is worth
//! nothing and costs one round of messages, so it is no reason not to start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Seen;

#[derive(Serialize, Deserialize)]
struct Saved {
    forwarded: u64,
    seen: u64,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    missed: bool,
}

/// Reads a state; one that is not there is empty.
///
/// # Errors
/// It can not be read, or is no state.
pub fn load(path: &Path) -> io::Result<BTreeMap<Box<str>, Seen>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let saved: BTreeMap<Box<str>, Saved> = serde_json::from_slice(&bytes)?;
    let seen = |saved: Saved| Seen {
        forwarded: Duration::from_secs(saved.forwarded),
        seen: Duration::from_secs(saved.seen),
        size: saved.size,
        missed: saved.missed,
    };
    Ok(saved
        .into_iter()
        .map(|(value, saved)| (value, seen(saved)))
        .collect())
}

/// Writes a state.
///
/// # Errors
/// The disk refuses; the old state stays.
pub fn save(path: &Path, values: &BTreeMap<Box<str>, Seen>) -> io::Result<()> {
    let saved: BTreeMap<&str, Saved> = values
        .iter()
        .map(|(value, seen)| {
            let saved = Saved {
                forwarded: seen.forwarded.as_secs(),
                seen: seen.seen.as_secs(),
                size: seen.size,
                missed: seen.missed,
            };
            (&**value, saved)
        })
        .collect();
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(&saved)?)?;
    file.sync_data()?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        assert!(load(&path).unwrap().is_empty());
        let seen = Seen {
            forwarded: Duration::from_secs(7),
            seen: Duration::from_secs(9),
            size: 3,
            missed: true,
        };
        let values = BTreeMap::from([("n1 \"x\"".into(), seen)]);
        save(&path, &values).unwrap();
        assert_eq!(load(&path).unwrap(), values);
        fs::write(&path, "{\"a\"").unwrap();
        assert!(load(&path).is_err());
    }
}
