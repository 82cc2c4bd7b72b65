//! One item on disk: length, checksum, and what is needed to send it.
//!
//! ```text
//! u32 length | u32 crc32 | u64 sequence | 16 bytes id | u16 subject | u16 sender | subject, sender, envelope
//!              └────────── the length counts, and the checksum covers, all that follows it ──────────┘
//! ```
//!
//! All numbers are little-endian. Pure: bytes in, items out.

use bytes::Bytes;

use crate::item::{Item, MessageId};

/// Length and checksum.
pub(super) const HEAD: usize = 8;
/// What stands before the texts.
const FIXED: usize = 8 + 16 + 2 + 2;
/// A longer record is none: no message of a fleet is as long.
pub(super) const RECORD_MAX: usize = 128 << 20;

/// Appends a record; `false`, and nothing appended, where a name is too long for one.
pub(super) fn put(out: &mut Vec<u8>, sequence: u64, item: &Item) -> bool {
    let names = (
        u16::try_from(item.subject.len()),
        u16::try_from(item.sender.len()),
    );
    let (Ok(subject), Ok(sender)) = names else {
        return false;
    };
    let length = FIXED + item.subject.len() + item.sender.len() + item.envelope.len();
    let Some(length) = u32::try_from(length).ok().filter(|_| length <= RECORD_MAX) else {
        return false;
    };
    let start = out.len();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(item.id.as_bytes());
    out.extend_from_slice(&subject.to_le_bytes());
    out.extend_from_slice(&sender.to_le_bytes());
    out.extend_from_slice(item.subject.as_bytes());
    out.extend_from_slice(item.sender.as_bytes());
    out.extend_from_slice(&item.envelope);
    let sum = checksum(&out[start + HEAD..]);
    out[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    true
}

/// The length and the checksum of a head.
pub(super) fn head(bytes: &[u8; HEAD]) -> (usize, u32) {
    let [a, b, c, d, e, f, g, h] = *bytes;
    let length = u32::from_le_bytes([a, b, c, d]);
    (
        usize::try_from(length).unwrap_or(usize::MAX),
        u32::from_le_bytes([e, f, g, h]),
    )
}

/// What follows a head, if it is whole.
pub(super) fn body(bytes: &Bytes, sum: u32) -> Option<(u64, Item)> {
    if checksum(bytes) != sum {
        return None;
    }
    let sequence = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let id = MessageId::from_bytes(bytes.get(8..24)?.try_into().ok()?);
    let subject = usize::from(u16::from_le_bytes(bytes.get(24..26)?.try_into().ok()?));
    let sender = usize::from(u16::from_le_bytes(bytes.get(26..FIXED)?.try_into().ok()?));
    let text = |from: usize, len: usize| {
        let text = bytes.get(from..from + len)?;
        Some(std::str::from_utf8(text).ok()?.into())
    };
    let item = Item {
        id,
        subject: text(FIXED, subject)?,
        sender: text(FIXED + subject, sender)?,
        envelope: bytes.slice(FIXED + subject + sender..),
    };
    Some((sequence, item))
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
