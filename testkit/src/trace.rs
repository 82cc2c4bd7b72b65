//! What happened in a run, as one number.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Adds up everything that happened, in its order. Two runs with the same number took the same way.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    hasher: DefaultHasher,
    noted: u64,
}

impl Trace {
    /// Notes that something happened.
    pub fn note(&mut self, what: impl Hash) {
        what.hash(&mut self.hasher);
        self.noted += 1;
    }

    /// The number for everything noted so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many times something was noted.
    #[must_use]
    pub fn noted(&self) -> u64 {
        self.noted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_counts() {
        let trace = |items: [u32; 2]| {
            let mut trace = Trace::default();
            items.iter().for_each(|item| trace.note(item));
            (trace.hash(), trace.noted())
        };
        assert_eq!(trace([1, 2]), trace([1, 2]));
        assert_ne!(trace([1, 2]), trace([2, 1]));
    }
}
