//! Colours, and text that others wrote.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether there is colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) color: bool,
}

/// The colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Red,
    Green,
    Yellow,
}

impl Style {
    pub(crate) fn paint<'t>(self, paint: Paint, text: &'t str) -> Cow<'t, str> {
        if !self.color || text.is_empty() {
            return Cow::Borrowed(text);
        }
        let code = match paint {
            Paint::Red => 31,
            Paint::Green => 32,
            Paint::Yellow => 33,
        };
        Cow::Owned(format!("\u{1b}[{code}m{text}\u{1b}[0m"))
    }
}

/// Makes control characters visible, but for line ends and tabs.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    visible(text, |c| c.is_control() && c != '\n' && c != '\t')
}

/// As [`printable`], on one line.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    visible(text, char::is_control)
}

fn visible(text: &str, hidden: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let shown = text
        .chars()
        .fold(String::with_capacity(text.len() + 8), |mut shown, c| {
            match c {
                '\n' if hidden(c) => shown.push_str("\\n"),
                '\t' if hidden(c) => shown.push_str("\\t"),
                '\r' if hidden(c) => shown.push_str("\\r"),
                c if hidden(c) => {
                    let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
                }
                c => shown.push(c),
            }
            shown
        });
    Cow::Owned(shown)
}

/// How many columns a text takes, as far as the number of its characters says.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Names in three columns behind four blanks.
pub(super) fn name_columns<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<_> = names.iter().map(|name| one_line(name.as_ref())).collect();
    let width = shown.iter().map(|name| columns(name)).max().unwrap_or(0);
    let mut out = String::new();
    for row in shown.chunks(3) {
        let mut line = String::from("   ");
        for name in row {
            let _ = write!(line, " {name:<width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_do_not_command_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\td\r"), "a\\u{1b}[2Jb\nc\td\\r");
        assert_eq!(one_line("a\nb\u{9b}c"), "a\\nb\\u{9b}c");
        assert!(matches!(printable("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn names_stand_in_three_columns() {
        let names = ["n1", "node2", "n3", "n4"];
        assert_eq!(name_columns(&names), "    n1      node2   n3\n    n4\n");
        assert_eq!(name_columns::<&str>(&[]), "");
    }

    #[test]
    fn colour_is_only_where_it_is_wanted() {
        assert_eq!(Style { color: false }.paint(Paint::Red, "x"), "x");
        assert_eq!(
            Style { color: true }.paint(Paint::Green, "x"),
            "\u{1b}[32mx\u{1b}[0m"
        );
    }
}
