//! What an earlier process left: which segments, up to where they are whole, and what of them is done.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::{Segment, read_record, record};

/// The state of a folder.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Segments that hold items.
    pub(super) segments: Vec<Segment>,
    /// All items below are done.
    pub(super) done: u64,
    /// The number of the next item.
    pub(super) next: u64,
}

pub(super) fn segment_path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}.spill"))
}

pub(super) fn recover(directory: &Path) -> io::Result<Recovered> {
    let noted = fs::read_to_string(directory.join("done")).ok();
    let done = noted.and_then(|text| text.trim().parse::<u64>().ok());
    let mut firsts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if let Some(first) = name
            .strip_suffix(".spill")
            .and_then(|text| text.parse().ok())
        {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    let mut segments = Vec::new();
    let mut next = done.unwrap_or(1).max(1);
    let last = firsts.last().copied();
    for first in firsts {
        let path = segment_path(directory, first);
        let (bytes, last_number) = whole(&path)?;
        let Some(number) = last_number else {
            // Nothing in it was ever taken, or nothing of it can be read.
            if last == Some(first) {
                fs::remove_file(path)?;
                continue;
            }
            segments.push(Segment { first, bytes });
            continue;
        };
        if last == Some(first) {
            OpenOptions::new().write(true).open(&path)?.set_len(bytes)?;
        }
        next = next.max(number + 1);
        segments.push(Segment { first, bytes });
    }
    let oldest = segments.first().map_or(next, |segment| segment.first);
    Ok(Recovered {
        done: done.unwrap_or(oldest).max(oldest).min(next),
        segments,
        next,
    })
}

/// Bytes up to which a segment is whole, and the number of its last whole item.
fn whole(path: &Path) -> io::Result<(u64, Option<u64>)> {
    let mut file = BufReader::with_capacity(256 << 10, File::open(path)?);
    let (mut bytes, mut last) = (0, None);
    while let Some((sequence, item)) = read_record(&mut file)? {
        let mut again = Vec::new();
        record::put(&mut again, sequence, &item);
        bytes += again.len() as u64;
        last = Some(sequence);
    }
    Ok((bytes, last))
}
