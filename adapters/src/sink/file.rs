//! The sink for those who have no stream: JSON lines in files that rotate.
//!
//! ```text
//! <directory>/<name>-00000000000000000001.jsonl   one envelope a line
//! ```
//!
//! The highest number is written to. A file ends when it is large or old enough; the oldest go when there are too many.
//! A line that a crash cut short is taken off at the next start. So that a message which was written and not noted as
//! done is not written twice, lines of the newest file are known by their hash until that file ends.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};

use super::{Outcome, Sink};
use crate::item::Item;

/// When lines are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before they count as stored.
    Always,
    /// When the kernel likes; a crash of the host may lose them, a crash of this process does not.
    Never,
}

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// The folder; it is made.
    pub directory: PathBuf,
    /// What the files' names begin with.
    pub name: Box<str>,
    /// Bytes after which a file ends.
    pub bytes_max: u64,
    /// The age after which a file ends.
    pub age_max: Duration,
    /// Files that are kept, the one that is written included; all, where it is 0.
    pub keep: usize,
    /// When lines are durable.
    pub sync: Sync,
}

/// The sink.
#[derive(Debug)]
pub struct FileSink {
    config: FileConfig,
    current: Option<Current>,
    /// Lines of the file an earlier process wrote.
    known: HashSet<[u8; 16]>,
    /// Bytes of torn lines taken off at the start.
    repaired: u64,
}

#[derive(Debug)]
struct Current {
    number: u64,
    file: File,
    bytes: u64,
    since: SystemTime,
}

impl FileSink {
    /// Opens the folder and repairs its newest file.
    ///
    /// # Errors
    /// The disk's refusal.
    pub fn open(config: FileConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.directory)?;
        let mut sink = Self {
            config,
            current: None,
            known: HashSet::new(),
            repaired: 0,
        };
        if let Some(number) = sink.numbers()?.last().copied() {
            sink.resume(number)?;
        }
        Ok(sink)
    }

    /// Bytes of torn lines that were taken off.
    #[must_use]
    pub const fn repaired(&self) -> u64 {
        self.repaired
    }

    fn path(&self, number: u64) -> PathBuf {
        let name = format!("{}-{number:020}.jsonl", self.config.name);
        self.config.directory.join(name)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let prefix = format!("{}-", self.config.name);
        for entry in fs::read_dir(&self.config.directory)? {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            let number = name
                .strip_prefix(&*prefix)
                .and_then(|rest| rest.strip_suffix(".jsonl"))
                .and_then(|number| number.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn resume(&mut self, number: u64) -> io::Result<()> {
        let path = self.path(number);
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let since = file
            .metadata()?
            .created()
            .unwrap_or_else(|_| SystemTime::now());
        let mut bytes = 0;
        let mut reader = BufReader::new(&mut file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                self.repaired += read as u64;
                break;
            }
            self.known.insert(hash(&line));
            bytes += read as u64;
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        self.current = Some(Current {
            number,
            file,
            bytes,
            since,
        });
        Ok(())
    }

    /// The file to write to.
    fn current(&mut self) -> io::Result<&mut Current> {
        let (bytes_max, age_max) = (self.config.bytes_max, self.config.age_max);
        let is_over = |current: &Current| {
            let age = current.since.elapsed().unwrap_or_default();
            current.bytes > 0 && (current.bytes >= bytes_max || age >= age_max)
        };
        let last = self.current.as_ref().map_or(0, |current| current.number);
        if self.current.as_ref().is_none_or(is_over) {
            let number = last + 1;
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(self.path(number))?;
            self.known = HashSet::new();
            self.current = Some(Current {
                number,
                file,
                bytes: 0,
                since: SystemTime::now(),
            });
            if self.config.sync == Sync::Always {
                File::open(&self.config.directory)?.sync_all()?;
            }
            self.retire()?;
        }
        self.current
            .as_mut()
            .ok_or_else(|| io::Error::other("no file is open"))
    }

    fn retire(&self) -> io::Result<()> {
        let numbers = self.numbers()?;
        let surplus = match self.config.keep {
            0 => 0,
            keep => numbers.len().saturating_sub(keep),
        };
        for number in &numbers[..surplus] {
            fs::remove_file(self.path(*number))?;
        }
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let sync = self.config.sync;
        let current = self.current()?;
        let before = current.bytes;
        let written = current.file.write_all(lines).and_then(|()| match sync {
            Sync::Always => current.file.sync_data(),
            Sync::Never => Ok(()),
        });
        if written.is_err() {
            // What was written of it comes again: it must not stand there twice.
            current.file.set_len(before)?;
            current.file.seek(SeekFrom::Start(before))?;
            return written;
        }
        current.bytes += lines.len() as u64;
        Ok(())
    }
}

impl Sink for FileSink {
    fn store(
        &mut self,
        batch: &[Item],
        _limit: Duration,
        outcomes: &mut Vec<Outcome>,
    ) -> io::Result<()> {
        let mut lines = Vec::new();
        let known = std::mem::take(&mut self.known);
        let seen = |item: &Item| !known.is_empty() && known.contains(&hash(&item.envelope));
        let (mut found, mut any) = (Vec::with_capacity(batch.len()), false);
        for item in batch {
            if seen(item) {
                found.push(Outcome::Duplicate);
                continue;
            }
            any = true;
            lines.extend_from_slice(&item.envelope);
            lines.push(b'\n');
            found.push(Outcome::Stored);
        }
        let number = self.current.as_ref().map(|current| current.number);
        self.known = known;
        if any {
            self.write(&lines)?;
        }
        if self.current.as_ref().map(|current| current.number) != number {
            self.known = HashSet::new();
        }
        outcomes.append(&mut found);
        Ok(())
    }

    fn idle(&mut self, wait: Duration) -> io::Result<()> {
        // Nothing to keep alive; the caller counts on the time to pass.
        std::thread::park_timeout(wait);
        Ok(())
    }
}

/// Enough of a hash to tell lines apart.
fn hash(line: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest(&SHA256, line).as_ref()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::MessageId;

    fn config(directory: &std::path::Path) -> FileConfig {
        FileConfig {
            directory: directory.to_owned(),
            name: "reg".into(),
            bytes_max: 100,
            age_max: Duration::from_secs(3600),
            keep: 3,
            sync: Sync::Always,
        }
    }

    fn items(range: std::ops::Range<u32>) -> Vec<Item> {
        let item = |number: u32| Item {
            id: MessageId::from_bytes([0; 16]),
            subject: "s".into(),
            sender: "n".into(),
            envelope: format!("{{\"number\":{number:04}}}").into(),
        };
        range.map(item).collect()
    }

    fn store(sink: &mut FileSink, batch: &[Item]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        sink.store(batch, Duration::ZERO, &mut outcomes).unwrap();
        outcomes
    }

    fn all(folder: &std::path::Path) -> String {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect()
    }

    #[test]
    fn files_rotate_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::open(config(folder.path())).unwrap();
        for number in 0..40 {
            store(&mut sink, &items(number..number + 1));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        // 7 lines of 16 bytes end a file: 40 are five files and five lines, of which the last three files are left.
        assert!(all(folder.path()).starts_with("{\"number\":0021}\n"));
        assert_eq!(all(folder.path()).lines().count(), 19);
    }

    #[test]
    fn a_torn_line_is_taken_off_at_every_byte_and_comes_again_once() {
        let whole = "{\"number\":0000}\n{\"number\":0001}\n{\"number\":0002}\n";
        for cut in 1..=whole.len() {
            let folder = tempfile::tempdir().unwrap();
            store(
                &mut FileSink::open(config(folder.path())).unwrap(),
                &items(0..3),
            );
            let path = folder.path().join("reg-00000000000000000001.jsonl");
            OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(cut as u64)
                .unwrap();
            let mut sink = FileSink::open(config(folder.path())).unwrap();
            assert_eq!(sink.repaired(), (cut % 16) as u64);
            let outcomes = store(&mut sink, &items(0..3));
            let again = outcomes
                .iter()
                .filter(|outcome| **outcome == Outcome::Duplicate);
            assert_eq!(again.count(), cut / 16);
            assert_eq!(all(folder.path()), whole);
        }
    }
}
