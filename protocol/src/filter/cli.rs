//! Filters as people type them: `os.name=debian`, `mem.gb>=8`, `host=/^web/`, and `-W` words.

use std::fmt;

use super::{FactFilter, FactOperator, Filter};

/// What scanning looks for, in order of preference at one place, and what it means.
const OPERATORS: [(&str, FactOperator); 10] = [
    ("<=", FactOperator::AtMost),
    (">=", FactOperator::AtLeast),
    ("=>", FactOperator::AtLeast),
    ("=<", FactOperator::AtMost),
    ("<", FactOperator::Less),
    (">", FactOperator::Greater),
    ("!=", FactOperator::NotEqual),
    ("=~", FactOperator::Regex),
    ("==", FactOperator::Equal),
    ("=", FactOperator::Equal),
];

/// A text is not a fact filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FactFilterError {
    /// No operator in it.
    NoOperator(Box<str>),
    /// Nothing stands on one side of the operator.
    EmptySide(Box<str>),
    /// An operator character stands at the outer end of a side.
    StrayOperator(Box<str>),
}

/// Parses `fact<operator>value`.
///
/// The right-most operator splits, so a value can't hold one but a GJSON path can; spaces around both sides are dropped;
/// `=` means `==`, `=<` and `=>` are `<=` and `>=`; a value between slashes makes it a regex whatever the operator was,
/// and keeps its slashes.
pub fn parse_fact_filter(text: &str) -> Result<FactFilter, FactFilterError> {
    let (start, end, operator) =
        last_operator(text).ok_or_else(|| FactFilterError::NoOperator(text.into()))?;
    let fact = text[..start].trim();
    let value = text[end..].trim();
    if fact.is_empty() || value.is_empty() {
        return Err(FactFilterError::EmptySide(text.into()));
    }
    if fact.starts_with(['<', '>', '=']) || value.ends_with(['<', '>', '=']) {
        return Err(FactFilterError::StrayOperator(text.into()));
    }
    let is_regex = value.starts_with('/') && value.ends_with('/');
    Ok(FactFilter {
        fact: fact.to_owned(),
        operator: if is_regex {
            FactOperator::Regex
        } else {
            operator
        },
        value: value.to_owned(),
    })
}

/// Adds the words of a `-W` option to `filter`: each is a fact filter if it parses as one, else a class.
pub fn parse_with(filter: &mut Filter, words: &str) {
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        match parse_fact_filter(word) {
            Ok(fact) => filter.fact.push(fact),
            Err(_) => filter.class.push(word.to_owned()),
        }
    }
}

/// Span and meaning of the last operator when the text is scanned from the left without overlap.
fn last_operator(text: &str) -> Option<(usize, usize, FactOperator)> {
    let mut last = None;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        let found = OPERATORS
            .iter()
            .find(|(spelling, _)| rest.starts_with(spelling.as_bytes()));
        match found {
            Some((spelling, operator)) => {
                last = Some((at, at + spelling.len(), *operator));
                at += spelling.len();
            }
            None => at += 1,
        }
    }
    last
}

impl fmt::Display for FactFilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOperator(text) => {
                write!(
                    f,
                    "fact filter {text:?} has none of <= >= => =< < > != =~ == ="
                )
            }
            Self::EmptySide(text) => {
                write!(
                    f,
                    "fact filter {text:?} needs a fact and a value around its operator"
                )
            }
            Self::StrayOperator(text) => {
                write!(f, "fact filter {text:?} starts or ends with an operator")
            }
        }
    }
}

impl std::error::Error for FactFilterError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fact: &str, operator: FactOperator, value: &str) {
        let expected = FactFilter {
            fact: fact.to_owned(),
            operator,
            value: value.to_owned(),
        };
        assert_eq!(parse_fact_filter(text), Ok(expected), "{text}");
    }

    #[test]
    fn operators_split_at_the_right_most() {
        use FactOperator::{AtLeast, AtMost, Equal, Greater, Less, NotEqual, Regex};
        check("country=de", "country", Equal, "de");
        check("country==de", "country", Equal, "de");
        check(" country = de ", "country", Equal, "de");
        check("a!=b", "a", NotEqual, "b");
        check("a=~b", "a", Regex, "b");
        check("a<b", "a", Less, "b");
        check("a>b", "a", Greater, "b");
        check("a<=1", "a", AtMost, "1");
        check("a=<1", "a", AtMost, "1");
        check("a>=1", "a", AtLeast, "1");
        check("a=>1", "a", AtLeast, "1");
        check(
            "if.#(name==\"eth0\").ip=10.0.0.1",
            "if.#(name==\"eth0\").ip",
            Equal,
            "10.0.0.1",
        );
        check("a===b", "a==", Equal, "b");
        check("größe>ß", "größe", Greater, "ß");
    }

    #[test]
    fn slashes_make_a_regex() {
        check("a=/^x/", "a", FactOperator::Regex, "/^x/");
        check("a>/x/", "a", FactOperator::Regex, "/x/");
        check("a=/", "a", FactOperator::Regex, "/");
        check("a=/x", "a", FactOperator::Equal, "/x");
    }

    #[test]
    fn broken_filters_are_refused() {
        for text in ["apache", "", "a!b", "a~b"] {
            assert!(matches!(
                parse_fact_filter(text),
                Err(FactFilterError::NoOperator(_))
            ));
        }
        for text in ["=", "a=", "=b", "a= ", " <b"] {
            assert!(matches!(
                parse_fact_filter(text),
                Err(FactFilterError::EmptySide(_))
            ));
        }
        for text in ["<a=b", "==a=b"] {
            assert!(matches!(
                parse_fact_filter(text),
                Err(FactFilterError::StrayOperator(_))
            ));
        }
    }

    #[test]
    fn with_sorts_words_into_facts_and_classes() {
        let mut filter = Filter::default();
        parse_with(&mut filter, "role::web  country=de /^db/ a=");
        assert_eq!(filter.class, ["role::web", "/^db/", "a="]);
        assert_eq!(filter.fact, [parse_fact_filter("country=de").unwrap()]);
    }
}
