//! What waits to be written to one connection.
//!
//! Small pieces are copied into the tail block; a piece that many connections get, or a large one, is appended by reference.
//! An empty queue holds no memory.

use std::collections::VecDeque;

use bytes::Bytes;

/// The first block of a queue; an answer to a cold receiver fits.
const BLOCK_MIN: usize = 256;

/// No block grows past this by appending; a new one is begun.
const BLOCK_MAX: usize = 32 * 1024;

/// A run of bytes to be written.
#[derive(Debug)]
pub enum Segment {
    /// Bytes of this connection alone.
    Block(Vec<u8>),
    /// Bytes shared with other connections.
    Shared(Bytes),
}

impl AsRef<[u8]> for Segment {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Block(block) => block,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// Segments in the order they are to be written. 56 bytes while empty.
#[derive(Debug, Default)]
pub struct OutQueue {
    closed: VecDeque<Segment>,
    tail: Vec<u8>,
}

impl OutQueue {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.tail.is_empty()
    }

    /// Room for `size` more bytes at the end of the queue, to append to.
    pub fn tail(&mut self, size: usize) -> &mut Vec<u8> {
        let room = self.tail.capacity() - self.tail.len();
        if room < size {
            self.make_room(size);
        }
        &mut self.tail
    }

    /// Appends `bytes` by reference.
    pub fn push_shared(&mut self, bytes: Bytes) {
        self.close_tail();
        self.closed.push_back(Segment::Shared(bytes));
    }

    /// Moves everything to the end of `into`.
    pub fn take_into(&mut self, into: &mut VecDeque<Segment>) {
        self.close_tail();
        if into.is_empty() {
            std::mem::swap(into, &mut self.closed);
            self.closed = VecDeque::new();
        } else {
            into.append(&mut self.closed);
            self.closed = VecDeque::new();
        }
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn make_room(&mut self, size: usize) {
        let capacity = self.tail.capacity();
        if self.tail.is_empty() {
            self.tail = Vec::with_capacity(size.max(BLOCK_MIN));
        } else if self.tail.len() + size <= BLOCK_MAX {
            let wanted = (self.tail.len() + size).max(capacity * 2).min(BLOCK_MAX);
            self.tail.reserve_exact(wanted - self.tail.len());
        } else {
            self.close_tail();
            self.tail = Vec::with_capacity(size.max(BLOCK_MAX));
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.closed
                .push_back(Segment::Block(std::mem::take(&mut self.tail)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &mut OutQueue) -> String {
        let mut segments = VecDeque::new();
        queue.take_into(&mut segments);
        let bytes: Vec<u8> = segments
            .iter()
            .flat_map(|segment| segment.as_ref().to_vec())
            .collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn copied_and_shared_pieces_keep_their_order() {
        let mut queue = OutQueue::default();
        queue.tail(3).extend_from_slice(b"one");
        queue.push_shared(Bytes::from_static(b"two"));
        queue.tail(5).extend_from_slice(b"three");
        assert!(!queue.is_empty());
        assert_eq!(text(&mut queue), "onetwothree");
        assert!(queue.is_empty());
        assert_eq!(queue.tail.capacity(), 0, "an empty queue holds no memory");
    }

    #[test]
    fn blocks_are_bounded_and_nothing_is_lost() {
        let mut queue = OutQueue::default();
        let mut expected = String::new();
        for number in 0..20_000 {
            let piece = format!("{number},");
            queue.tail(piece.len()).extend_from_slice(piece.as_bytes());
            expected.push_str(&piece);
        }
        assert!(queue.tail.capacity() <= BLOCK_MAX);
        assert_eq!(text(&mut queue), expected);
    }

    #[test]
    fn taking_twice_appends() {
        let mut queue = OutQueue::default();
        let mut segments = VecDeque::new();
        queue.tail(1).push(b'a');
        queue.take_into(&mut segments);
        queue.tail(1).push(b'b');
        queue.take_into(&mut segments);
        assert_eq!(segments.len(), 2);
    }
}
