//! How many nodes gave which value.

use std::collections::BTreeMap;

use serde_json::Value;

/// Counts of the distinct values of one output. Texts count as they are, everything else by its JSON text as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    counts: BTreeMap<String, u64>,
}

impl Summary {
    /// Counts one value.
    pub fn add(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.add_text(text),
            other => self.add_text(&other.to_string()),
        }
    }

    /// Counts one text. Only its first time costs memory.
    pub fn add_text(&mut self, text: &str) {
        match self.counts.get_mut(text) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(text.to_owned(), 1);
            }
        }
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Values and their counts, the most frequent first, equal ones by text.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, u64)> {
        let mut entries: Vec<_> = self
            .counts
            .iter()
            .map(|(text, count)| (text.as_str(), *count))
            .collect();
        entries.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_as_a_whole() {
        let mut summary = Summary::default();
        for value in [
            serde_json::json!("b"),
            serde_json::json!("a"),
            serde_json::json!(["a", "b"]),
            serde_json::json!(["a", "b"]),
            serde_json::json!(1),
        ] {
            summary.add(&value);
        }
        assert_eq!(
            summary.entries(),
            [("[\"a\",\"b\"]", 2), ("1", 1), ("a", 1), ("b", 1)]
        );
    }
}
