//! Bytes that wait to be written to the socket.
//!
//! An empty buffer holds no memory: most cores of a fleet are silent most of the time, and one kept block each would outweigh the core itself.

/// Bytes to write, in order.
#[derive(Debug, Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    /// How many of `bytes` are written already; less than `bytes.len()` unless both are zero.
    written: usize,
}

impl OutBuf {
    /// What is still to be written.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// How many bytes are still to be written.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Tells that the first `count` bytes were written; more than there are counts as all.
    pub fn advance(&mut self, count: usize) {
        self.written = self.written.saturating_add(count);
        if self.written >= self.bytes.len() {
            self.clear();
        }
    }

    /// Moves everything to the end of `into`; says whether there was anything.
    pub fn take(&mut self, into: &mut Vec<u8>) -> bool {
        let any = !self.is_empty();
        into.extend_from_slice(self.as_slice());
        self.clear();
        any
    }

    /// Where encoders append.
    pub(super) fn encoder(&mut self) -> &mut Vec<u8> {
        // Moving the rest to the front only when at least half is written keeps the cost constant per byte.
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        &mut self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_across_partial_writes() {
        let mut buf = OutBuf::default();
        buf.encoder().extend_from_slice(b"0123456789");
        buf.advance(3);
        assert_eq!(buf.as_slice(), b"3456789");
        buf.encoder().extend_from_slice(b"ab");
        assert_eq!(buf.as_slice(), b"3456789ab");
        buf.advance(7);
        buf.encoder().extend_from_slice(b"cd");
        assert_eq!((buf.as_slice(), buf.len()), (&b"abcd"[..], 4));
        let mut out = b"x".to_vec();
        assert!(buf.take(&mut out));
        assert_eq!(out, b"xabcd");
        assert!(!buf.take(&mut out));
    }

    #[test]
    fn holds_no_memory_when_empty() {
        let mut buf = OutBuf::default();
        buf.encoder().extend_from_slice(&[0; 100]);
        buf.advance(100);
        assert!(buf.is_empty());
        assert_eq!(buf.bytes.capacity(), 0);
        buf.encoder().extend_from_slice(&[0; 100]);
        buf.take(&mut Vec::new());
        assert_eq!(buf.bytes.capacity(), 0);
        buf.advance(5);
        assert_eq!((buf.len(), buf.as_slice()), (0, &b""[..]));
    }
}
