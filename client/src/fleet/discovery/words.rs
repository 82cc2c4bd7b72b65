//! A command line taken apart as a shell would, and nothing expanded: no variables, no patterns, no substitution.
//!
//! Single quotes keep everything, double quotes and a backslash keep what they would in a POSIX shell.

use std::iter::Peekable;
use std::str::Chars;

/// The words; none where a quote is open, or a backslash ends the text.
pub(super) fn split_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
        if chars.peek().is_none() {
            return Some(words);
        }
        words.push(word(&mut chars)?);
    }
}

fn word(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    while let Some(c) = chars.next_if(|c| !c.is_ascii_whitespace()) {
        match c {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    c => word.push(c),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    // Between double quotes a backslash means itself before most characters.
                    '\\' => match chars.next()? {
                        c @ ('"' | '\\' | '$' | '`') => word.push(c),
                        c => word.extend(['\\', c]),
                    },
                    c => word.push(c),
                }
            },
            '\\' => word.push(chars.next()?),
            c => word.push(c),
        }
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, expected) in [
            ("", &[][..]),
            (" \t ", &[]),
            ("a  b\tc ", &["a", "b", "c"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            (r"a\ b \'c", &["a b", "'c"]),
            (r#""a\"b\n" '\'"#, &[r#"a"b\n"#, r"\"]),
            ("a''b \"\" ''", &["ab", "", ""]),
            ("$HOME *.x", &["$HOME", "*.x"]),
        ] {
            assert_eq!(split_words(text).unwrap(), expected, "{text}");
        }
        for open in ["'a", "\"a", "a\\", "a 'b' \"c\\\""] {
            assert_eq!(split_words(open), None, "{open}");
        }
    }
}
