//! Writes JSON objects member by member, in the order they are added and with the escapes of the fleet's encoder.
//!
//! Replies must have the keys of the servers of today in their order: people's eyes and scripts are used to it, and
//! recorded replies compare byte by byte.

use muster_protocol::json::{write_integer, write_string};

/// An object under construction.
#[derive(Debug)]
pub(crate) struct Members {
    out: Vec<u8>,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self { out: vec![b'{'] }
    }

    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        write_string(&mut self.out, value);
        self
    }

    pub(crate) fn integer(mut self, key: &str, value: i64) -> Self {
        self.key(key);
        write_integer(&mut self.out, value);
        self
    }

    /// A counter; one beyond 2^63 stays there.
    pub(crate) fn count(self, key: &str, value: u64) -> Self {
        self.integer(key, i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn boolean(self, key: &str, value: bool) -> Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    pub(crate) fn texts<S: AsRef<str>>(mut self, key: &str, values: &[S]) -> Self {
        self.key(key);
        self.out.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write_string(&mut self.out, value.as_ref());
        }
        self.out.push(b']');
        self
    }

    /// A member whose value is JSON text already.
    pub(crate) fn raw(mut self, key: &str, json: &str) -> Self {
        self.key(key);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push(b'}');
        String::from_utf8(self.out).expect("only strings and ascii were written")
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        write_string(&mut self.out, key);
        self.out.push(b':');
    }
}
