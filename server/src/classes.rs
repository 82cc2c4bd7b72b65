//! A node's classes: the file that configuration management leaves, one class a line.

use std::sync::Arc;

/// Reads the text of a classes file: trimmed lines, empty ones left out, sorted, each class once.
#[must_use]
pub fn parse_classes(text: &str) -> Arc<[String]> {
    let mut classes: Vec<String> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    classes.sort();
    classes.dedup();
    classes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_class_a_line() {
        let classes = parse_classes("role::web\r\n\n  base \nrole::web\n");
        assert_eq!(*classes, ["base".to_owned(), "role::web".to_owned()]);
        assert!(parse_classes("\n").is_empty());
    }
}
