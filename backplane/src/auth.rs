//! Who may do what: lists of regular expressions on the caller's id.
//!
//! Patterns match anywhere in the id unless they anchor themselves: `sre.choria` matches `choria=sre.choria`, and
//! `choria=sreXchoria.evil` too. Nobody may do anything who is on no list.
//!
//! The node has verified the caller before this is asked, unless the application runs without TLS; then an id is a claim.

use regex::RegexSet;

/// What a caller who may not is told, with status 1.
pub const DENIED: &str = "You are not authorized to call this agent or action.";

/// What an action needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To see: `info`, `ping` and `health`.
    ReadOnly,
    /// To change: everything else.
    Full,
}

/// The callers and their rights. The default lets nobody do anything.
#[derive(Debug, Clone)]
pub struct Authorization {
    insecure: bool,
    full: RegexSet,
    read_only: RegexSet,
}

/// A pattern that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    /// Its list: `full` or `read_only`.
    pub list: &'static str,
    /// Its place in the list, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub why: String,
}

impl Authorization {
    /// Rights by lists of patterns.
    ///
    /// # Errors
    /// Every pattern that is no regular expression.
    pub fn new<S: AsRef<str>>(full: &[S], read_only: &[S]) -> Result<Self, Vec<BadPattern>> {
        let mut bad = Vec::new();
        let mut compile = |list, patterns: &[S]| {
            for (index, pattern) in patterns.iter().enumerate() {
                if let Err(error) = regex::Regex::new(pattern.as_ref()) {
                    let why = error.to_string();
                    // The text is a drawing of several lines; the last says what is wrong.
                    let why = why.lines().last().unwrap_or_default();
                    bad.push(BadPattern {
                        list,
                        index,
                        why: why.trim_start_matches("error: ").to_owned(),
                    });
                }
            }
            RegexSet::new(patterns)
        };
        let sets = (compile("full", full), compile("read_only", read_only));
        match sets {
            (Ok(full), Ok(read_only)) => Ok(Self {
                insecure: false,
                full,
                read_only,
            }),
            (full, read_only) => {
                // Each pattern is fine by itself, and all of one list are too much.
                if bad.is_empty() {
                    let failed = [("full", full.err()), ("read_only", read_only.err())];
                    bad.extend(failed.into_iter().filter_map(|(list, error)| {
                        let why = error?.to_string();
                        Some(BadPattern {
                            list,
                            index: 0,
                            why,
                        })
                    }));
                }
                Err(bad)
            }
        }
    }

    /// **Dangerous**: everybody may do everything.
    #[must_use]
    pub fn insecure() -> Self {
        Self {
            insecure: true,
            full: RegexSet::empty(),
            read_only: RegexSet::empty(),
        }
    }

    /// Whether everybody may do everything.
    #[must_use]
    pub const fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// Whether a caller has a right. Whoever may change may see.
    #[must_use]
    pub fn allows(&self, caller_id: &str, right: Right) -> bool {
        self.insecure
            || self.full.is_match(caller_id)
            || (right == Right::ReadOnly && self.read_only.is_match(caller_id))
    }
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            insecure: false,
            full: RegexSet::empty(),
            read_only: RegexSet::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANAGER: &str = "choria=manager.mcollective";
    const GUEST: &str = "choria=guest.mcollective";

    #[track_caller]
    fn check(auth: &Authorization, caller: &str, sees: bool, changes: bool) {
        assert_eq!(auth.allows(caller, Right::ReadOnly), sees, "{caller} sees");
        assert_eq!(
            auth.allows(caller, Right::Full),
            changes,
            "{caller} changes"
        );
    }

    #[test]
    fn rights_go_by_the_lists() {
        let auth = Authorization::new(&["manager.mcollective"], &["^choria=guest"]).unwrap();
        check(&auth, MANAGER, true, true);
        check(&auth, GUEST, true, false);
        check(&auth, "choria=other.mcollective", false, false);
        check(&auth, "choria=managerXmcollective.evil", true, true);
        check(&auth, "x=choria=guest", false, false);
        check(&auth, "", false, false);
    }

    #[test]
    fn nobody_may_by_default_and_everybody_where_it_is_insecure() {
        check(&Authorization::default(), MANAGER, false, false);
        let none: [&str; 0] = [];
        check(&Authorization::new(&none, &none).unwrap(), "", false, false);
        check(&Authorization::insecure(), GUEST, true, true);
        check(&Authorization::insecure(), "", true, true);
    }

    #[test]
    fn every_bad_pattern_is_named() {
        let bad = Authorization::new(&["ok", "("], &["[", "ok"]).unwrap_err();
        let places: Vec<_> = bad.iter().map(|bad| (bad.list, bad.index)).collect();
        assert_eq!(places, [("full", 1), ("read_only", 0)]);
        assert!(bad.iter().all(|bad| !bad.why.contains('\n')), "{bad:?}");
    }
}
