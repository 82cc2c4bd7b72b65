//! The validation of a text input: a validator by name, or a regex.
//!
//! A rule is compiled at its first use and kept: an agent that is asked thousands of times compiles nothing twice, and one that is never asked nothing at all.
//! A word in lower case that names no validator passes everything, as with peers; a regex that does not compile passes nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Memory one validation regex may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A validator's name or a regex, as the DDL has it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Validation {
    text: String,
    rule: OnceLock<Rule>,
}

#[derive(Clone)]
enum Rule {
    Anything,
    ShellSafe,
    Ipv4,
    Ipv6,
    Ip,
    /// A name that is no validator's.
    UnknownName,
    Regex(Regex),
    /// A regex that does not compile, and why.
    Broken(String),
}

impl Validation {
    /// The rule as the DDL has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a text satisfies the rule.
    #[must_use]
    pub fn admits(&self, text: &str) -> bool {
        match self.rule() {
            Rule::Anything | Rule::UnknownName => true,
            Rule::ShellSafe => is_shellsafe(text),
            Rule::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Rule::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Rule::Ip => text.parse::<IpAddr>().is_ok(),
            Rule::Regex(regex) => regex.is_match(text),
            Rule::Broken(_) => false,
        }
    }

    /// What is wrong with the rule itself, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match self.rule() {
            Rule::UnknownName => Some(format!(
                "validation {:?} names no validator, so that everything passes",
                self.text
            )),
            Rule::Broken(why) => Some(format!("validation {:?} is no regex: {why}", self.text)),
            _ => None,
        }
    }

    fn rule(&self) -> &Rule {
        self.rule.get_or_init(|| Rule::of(&self.text))
    }
}

impl Rule {
    fn of(text: &str) -> Self {
        match text {
            "" => Self::Anything,
            "shellsafe" => Self::ShellSafe,
            "ipv4address" => Self::Ipv4,
            "ipv6address" => Self::Ipv6,
            "ipaddress" => Self::Ip,
            name if name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_') =>
            {
                Self::UnknownName
            }
            pattern => match RegexBuilder::new(pattern)
                .size_limit(REGEX_BYTES_MAX)
                .dfa_size_limit(REGEX_BYTES_MAX)
                .build()
            {
                Ok(regex) => Self::Regex(regex),
                Err(error) => Self::Broken(last_line(&error.to_string())),
            },
        }
    }
}

/// A regex error draws a picture; its last line says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text).trim();
    line.trim_start_matches("error: ").to_owned()
}

fn is_shellsafe(text: &str) -> bool {
    !text.contains(['`', '$', ';', '|', '>', '<']) && !text.contains("&&")
}

impl From<String> for Validation {
    fn from(text: String) -> Self {
        Self {
            text,
            rule: OnceLock::new(),
        }
    }
}

impl From<Validation> for String {
    fn from(validation: Validation) -> Self {
        validation.text
    }
}

impl Deref for Validation {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// What was compiled of a rule does not make it another one.
impl PartialEq for Validation {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Validation {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_say_what_is_wrong_with_them() {
        let problem = |text: &str| Validation::from(text.to_owned()).problem();
        for good in ["", "shellsafe", "ipaddress", "^[a-z]+$", ".+"] {
            assert_eq!(problem(good), None, "{good}");
        }
        let unknown = problem("puppet_name").unwrap();
        assert!(unknown.contains("names no validator"), "{unknown}");
        let broken = problem("(").unwrap();
        assert_eq!(broken, "validation \"(\" is no regex: unclosed group");
        let huge = problem(r"\w{1000}{1000}").unwrap();
        assert!(huge.contains("is no regex"), "{huge}");
    }

    #[test]
    fn a_rule_is_compiled_once_and_only_when_it_is_used() {
        let rule = Validation::from("^a+$".to_owned());
        assert!(rule.rule.get().is_none());
        assert!(rule.admits("aa") && !rule.admits("b"));
        assert!(matches!(rule.rule.get(), Some(Rule::Regex(_))));
        assert_eq!(rule, Validation::from("^a+$".to_owned()));
    }
}
