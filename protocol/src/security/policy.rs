//! Whom a node trusts: roots, and the names that may call.
//!
//! Patterns are regular expressions and match anywhere in a name unless they anchor themselves: `bob`
//! matches `notbobby`. A pattern may be wrapped in slashes, as configuration files of old do.

use regex::RegexSet;

use super::SecurityError;

/// Names that may call when nothing is configured.
pub const DEFAULT_ALLOW: [&str; 2] = [r"\.mcollective$", r"\.choria$"];

/// Names that may call on behalf of any caller when nothing is configured.
pub const DEFAULT_PRIVILEGED: [&str; 2] = [r"\.privileged.mcollective$", r"\.privileged.choria$"];

/// The trust of a node as configured, not yet checked; [`super::Verifier::new`] does that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    /// The certificates of the trusted authorities, a PEM bundle.
    pub roots_pem: String,
    /// Patterns of the certificate names that may call. An empty list lets nobody call but the privileged.
    pub allow: Vec<String>,
    /// Patterns of the certificate names that may claim any caller id, such as signing services.
    pub privileged: Vec<String>,
}

impl TrustPolicy {
    /// Trust in these roots with the default patterns.
    pub fn new(roots_pem: impl Into<String>) -> Self {
        Self {
            roots_pem: roots_pem.into(),
            allow: DEFAULT_ALLOW.map(str::to_owned).to_vec(),
            privileged: DEFAULT_PRIVILEGED.map(str::to_owned).to_vec(),
        }
    }
}

/// Compiles patterns, naming the first that is none.
pub(super) fn compile(patterns: &[String]) -> Result<RegexSet, SecurityError> {
    let bare: Vec<&str> = patterns
        .iter()
        .map(|pattern| unwrap_slashes(pattern))
        .collect();
    for pattern in &bare {
        if let Err(e) = regex::Regex::new(pattern) {
            return Err(SecurityError::BadPattern {
                pattern: (*pattern).to_owned(),
                why: last_line(&e),
            });
        }
    }
    RegexSet::new(&bare).map_err(|e| SecurityError::BadPattern {
        pattern: bare.join(", "),
        why: last_line(&e),
    })
}

/// `/pattern/` is `pattern`.
fn unwrap_slashes(pattern: &str) -> &str {
    pattern
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'))
        .unwrap_or(pattern)
}

/// Syntax errors come with a drawing of several lines; the last one says what is wrong.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_unanchored_and_may_wear_slashes() {
        let check =
            |pattern: &str, name: &str| compile(&[pattern.to_owned()]).unwrap().is_match(name);
        assert!(check("bob", "notbobby"));
        assert!(check("/^bob$/", "bob"));
        assert!(!check("/^bob$/", "notbobby"));
        assert!(check("/", "a/b"), "a lone slash is a pattern of its own");
        assert!(!check(DEFAULT_ALLOW[0], "rip.mcollective.evil"));
        assert!(!check(DEFAULT_ALLOW[0], "ripXmcollective"));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        let error = compile(&["ok".to_owned(), "/(/".to_owned()]).unwrap_err();
        assert!(
            matches!(&error, SecurityError::BadPattern { pattern, .. } if pattern == "("),
            "{error}"
        );
        assert!(!error.to_string().contains('\n'), "{error}");
    }

    #[test]
    fn nobody_matches_an_empty_list() {
        assert!(!compile(&[]).unwrap().is_match("rip.mcollective"));
    }
}
