//! Items on disk between ingest and sink, so that neither a sink that is down nor the end of this process loses one.
//!
//! Everything goes through it, also while the sink is well: what a queue in memory held at a `kill -9` would be gone.
//! One thread appends in batches, each made durable before it counts as taken; any number of threads read, in order, and
//! say of each item when it is done. Done for good is a segment whose items all are; it is deleted.
//!
//! ```text
//!  <directory>/00000000000000000001.spill   records 1…812, see `record`
//!              00000000000000000813.spill   records 813…, written now
//!              done                         all below this number are done
//!              lock                         one process at a time
//! ```
//!
//! After a crash the last segment's torn end is cut off: it was never taken. Items done after `done` was written last are
//! read again; the sink tells by their ids. The bound counts the bytes of all segments, those items that are done included.

mod record;
mod recover;

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use crate::item::Item;
use recover::{Recovered, segment_path};

/// The least a bound may be, in bytes.
pub const SPILL_MIN: u64 = 1 << 20;
/// Segments a spill is divided into, at least: what is done is given back in pieces of this size.
const SEGMENTS: u64 = 8;
/// The largest segment.
const SEGMENT_MAX: u64 = 16 << 20;

/// Where and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpillConfig {
    /// The folder; it is made.
    pub directory: PathBuf,
    /// Bytes on disk at most.
    pub bytes_max: u64,
    /// Whether each batch is on the disk, not only with the kernel, before it counts as taken.
    pub sync: bool,
}

/// What an append took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Items taken: the first ones.
    pub taken: usize,
    /// Items refused for the bound.
    pub refused: usize,
}

/// The side that appends.
#[derive(Debug)]
pub struct SpillWriter {
    config: SpillConfig,
    file: Option<File>,
    written: u64,
    next: u64,
    spill: Arc<Spill>,
    buffer: Vec<u8>,
    _lock: File,
}

/// The side that reads, for any number of threads.
#[derive(Debug)]
pub struct Spill {
    directory: PathBuf,
    state: Mutex<State>,
    grown: Condvar,
    reader: Mutex<Reader>,
    /// Items that could not be read because of damage in the middle.
    damaged: crate::counters::Count,
}

#[derive(Debug)]
struct State {
    segments: VecDeque<Segment>,
    /// All items below may be read.
    visible: u64,
    /// All items below are done.
    done: u64,
    done_above: BTreeSet<u64>,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Reader {
    next: u64,
    open: Option<(u64, BufReader<File>)>,
}

/// An item and its number in the spill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub sequence: u64,
    /// The item.
    pub item: Item,
}

/// Opens a spill, with what an earlier process left in it.
///
/// # Errors
/// The folder can not be used, or another process uses it.
pub fn open(config: SpillConfig) -> io::Result<(SpillWriter, Arc<Spill>)> {
    fs::create_dir_all(&config.directory)?;
    let lock = File::create(config.directory.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => io::Error::other("another process uses it"),
        fs::TryLockError::Error(error) => error,
    })?;
    let Recovered {
        segments,
        done,
        next,
    } = recover::recover(&config.directory)?;
    let spill = Arc::new(Spill {
        directory: config.directory.clone(),
        state: Mutex::new(State {
            segments: segments.into(),
            visible: next,
            done,
            done_above: BTreeSet::new(),
            closed: false,
        }),
        grown: Condvar::new(),
        reader: Mutex::new(Reader {
            next: done,
            open: None,
        }),
        damaged: crate::counters::Count::default(),
    });
    spill.give_back(&mut spill.state.lock())?;
    let writer = SpillWriter {
        config,
        file: None,
        written: 0,
        next,
        spill: Arc::clone(&spill),
        buffer: Vec::new(),
        _lock: lock,
    };
    Ok((writer, spill))
}

impl SpillWriter {
    /// Appends items, as many as the bound allows, and makes them durable.
    ///
    /// # Errors
    /// The disk refuses; none of the items is taken.
    pub fn append(&mut self, items: &[Item]) -> io::Result<Appended> {
        let room = self.config.bytes_max.saturating_sub(self.spill.bytes());
        self.buffer.clear();
        let mut taken = 0;
        for item in items {
            let start = self.buffer.len();
            let number = self.next + taken as u64;
            if !record::put(&mut self.buffer, number, item) || self.buffer.len() as u64 > room {
                self.buffer.truncate(start);
                break;
            }
            taken += 1;
        }
        if taken > 0 {
            let written = self.write();
            if written.is_err() {
                // What is in the file now is not known: the next batch begins another one.
                self.file = None;
                written?;
            }
            self.next += taken as u64;
            let mut state = self.spill.state.lock();
            state.visible = self.next;
            if let Some(segment) = state.segments.back_mut() {
                segment.bytes = self.written;
            }
            drop(state);
            self.spill.grown.notify_all();
        }
        Ok(Appended {
            taken,
            refused: items.len() - taken,
        })
    }

    fn write(&mut self) -> io::Result<()> {
        let segment_max = (self.config.bytes_max / SEGMENTS).clamp(1, SEGMENT_MAX);
        if self.file.is_none() || self.written >= segment_max {
            let path = segment_path(&self.config.directory, self.next);
            // A file of this name is what a failed batch left, of which nothing was taken.
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .open(path)?;
            if self.config.sync {
                File::open(&self.config.directory)?.sync_all()?;
            }
            self.file = Some(file);
            self.written = 0;
            let mut state = self.spill.state.lock();
            let first = self.next;
            if state.segments.back().is_none_or(|last| last.first != first) {
                state.segments.push_back(Segment { first, bytes: 0 });
            }
        }
        if let Some(file) = &mut self.file {
            file.write_all(&self.buffer)?;
            if self.config.sync {
                file.sync_data()?;
            }
            self.written += self.buffer.len() as u64;
        }
        Ok(())
    }
}

impl Drop for SpillWriter {
    fn drop(&mut self) {
        self.spill.state.lock().closed = true;
        self.spill.grown.notify_all();
    }
}

impl Spill {
    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let state = self.state.lock();
        state.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Items that are not done.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let state = self.state.lock();
        state.visible - state.done - state.done_above.len() as u64
    }

    /// Items lost to damage, since this was last asked.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.get()
    }

    /// Reads the next items, at most `max`; where there are none, waits for some, at most `wait`. Nobody else gets them.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn read(&self, max: usize, wait: Duration, into: &mut Vec<Numbered>) -> io::Result<()> {
        let mut reader = self.reader.lock();
        let visible = {
            let mut state = self.state.lock();
            if state.visible == reader.next && !state.closed {
                self.grown.wait_for(&mut state, wait);
            }
            state.visible
        };
        for _ in 0..max {
            if reader.next >= visible {
                break;
            }
            match self.read_one(&mut reader, visible)? {
                Some(numbered) => into.push(numbered),
                None => break,
            }
        }
        Ok(())
    }

    fn read_one(&self, reader: &mut Reader, visible: u64) -> io::Result<Option<Numbered>> {
        loop {
            let (first, after) = self.segment_of(reader.next);
            if first.is_none_or(|first| first > reader.next) {
                // The segment is gone: whatever was in it can not be sent.
                let next = first.unwrap_or(visible).min(visible);
                self.lose(reader, next);
                if reader.next >= visible {
                    return Ok(None);
                }
                continue;
            }
            let first = first.unwrap_or(reader.next);
            if reader.open.as_ref().is_none_or(|(open, _)| *open != first) {
                let file = File::open(segment_path(&self.directory, first))?;
                reader.open = Some((first, BufReader::with_capacity(256 << 10, file)));
            }
            let Some((_, file)) = &mut reader.open else {
                return Ok(None);
            };
            match read_record(file)? {
                Some((sequence, _)) if sequence < reader.next => {}
                Some((sequence, item)) => {
                    self.lose(reader, sequence);
                    reader.next = sequence + 1;
                    return Ok(Some(Numbered { sequence, item }));
                }
                None => {
                    self.lose(reader, after.unwrap_or(visible).min(visible));
                    if reader.next >= visible {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Passes over items that can not be read; they are done with.
    fn lose(&self, reader: &mut Reader, next: u64) {
        if next > reader.next {
            self.damaged.add(next - reader.next);
            let mut state = self.state.lock();
            state.done_above.extend(reader.next..next);
            reader.next = next;
        }
    }

    /// The first number of the segment an item is in, or of the one after where there is none; and that of the segment behind.
    fn segment_of(&self, sequence: u64) -> (Option<u64>, Option<u64>) {
        let state = self.state.lock();
        let after = state
            .segments
            .partition_point(|segment| segment.first <= sequence);
        let at = after.saturating_sub(1);
        let first = |place: usize| state.segments.get(place).map(|segment| segment.first);
        (first(at), first(at + 1))
    }

    /// Notes that items are done, and gives back what is.
    ///
    /// # Errors
    /// The disk refuses to note it: they will be read again after a restart.
    pub fn done(&self, sequences: impl IntoIterator<Item = u64>) -> io::Result<()> {
        let mut state = self.state.lock();
        state.done_above.extend(sequences);
        let before = state.done;
        while let Some(first) = state.done_above.first().copied() {
            if first != state.done {
                break;
            }
            state.done_above.pop_first();
            state.done += 1;
        }
        if state.done == before {
            return Ok(());
        }
        self.give_back(&mut state)
    }

    fn give_back(&self, state: &mut State) -> io::Result<()> {
        let new = self.directory.join("done.new");
        fs::write(&new, format!("{}\n", state.done))?;
        fs::rename(&new, self.directory.join("done"))?;
        while let [first, second, ..] = *state.segments.make_contiguous()
            && second.first <= state.done
        {
            fs::remove_file(segment_path(&self.directory, first.first))?;
            state.segments.pop_front();
        }
        Ok(())
    }
}

/// The next record; none at the end, or at a damaged one.
fn read_record(file: &mut impl Read) -> io::Result<Option<(u64, Item)>> {
    let mut head = [0; record::HEAD];
    if !fill(file, &mut head)? {
        return Ok(None);
    }
    let (length, sum) = record::head(&head);
    if length > record::RECORD_MAX {
        return Ok(None);
    }
    let mut body = vec![0; length];
    if !fill(file, &mut body)? {
        return Ok(None);
    }
    Ok(record::body(&Bytes::from(body), sum))
}

/// Fills the buffer; `false` where the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The folder of an adapter's spill.
#[must_use]
pub fn folder(directory: &Path, adapter: &str) -> PathBuf {
    directory.join(adapter)
}

#[cfg(test)]
mod tests;
