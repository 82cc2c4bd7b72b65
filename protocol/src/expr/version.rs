//! Versions and constraints on them, in the grammar of the Go library the servers of today use.
//!
//! ```text
//! >= 1.0, < 2      both (a blank does as well)      1.2.x  1.2  *     any with that beginning
//! ~1.2.3           >= 1.2.3, < 1.3                  ^1.2.3            >= 1.2.3, < 2
//! 1.2 - 1.4.5      >= 1.2, <= 1.4.5                 != 1.2            anything else
//! < 1 || >= 2      either
//! ```
//!
//! Versions may be short (`1.2`) and start with a `v`. One with a pre-release satisfies only a group of constraints one
//! of which names a pre-release. Order and pre-releases are the `semver` crate's; its own constraints differ in what a
//! bare version means and know no `!=`, `||` and ranges.

use semver::{BuildMetadata, Prerelease, Version};

/// Alternatives, each of constraints that must all hold.
#[derive(Debug, Clone)]
pub(super) struct Constraints {
    alternatives: Vec<Vec<Constraint>>,
}

#[derive(Debug, Clone)]
struct Constraint {
    operator: Operator,
    version: Version,
    precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

/// How much of a version is given; the rest is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precision {
    Nothing,
    Major,
    Minor,
    Full,
}

/// Spellings, longer ones before their beginnings.
const OPERATORS: [(&str, Operator); 12] = [
    ("!=", Operator::NotEqual),
    (">=", Operator::AtLeast),
    ("=>", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("=<", Operator::AtMost),
    ("~>", Operator::Tilde),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("~", Operator::Tilde),
    ("^", Operator::Caret),
    ("", Operator::Equal),
];

/// A version, short or with a `v` before it.
pub(super) fn parse_version(text: &str) -> Option<Version> {
    match take_version(text, Wildcards::Refused)? {
        (version, _, "") => Some(version),
        _ => None,
    }
}

/// Whether `x` and `*` may stand for numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcards {
    Allowed,
    Refused,
}

impl Constraints {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let alternatives = text.split("||").map(parse_group).collect::<Option<_>>()?;
        Some(Self { alternatives })
    }

    pub(super) fn hold(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|group| {
            let names_pre = group.iter().any(|one| !one.version.pre.is_empty());
            (version.pre.is_empty() || names_pre) && group.iter().all(|one| one.holds(version))
        })
    }
}

/// Constraints between commas or blanks.
fn parse_group(text: &str) -> Option<Vec<Constraint>> {
    let mut rest = text.trim_start();
    let mut group = Vec::new();
    loop {
        let (spelling, operator) = OPERATORS
            .into_iter()
            .find(|(spelling, _)| rest.starts_with(spelling))?;
        let (version, precision, after) = {
            let text = rest[spelling.len()..].trim_start();
            take_version(text, Wildcards::Allowed)?
        };
        rest = after.trim_start();
        let blank = rest.len() < after.len();
        let upper = rest.strip_prefix('-').filter(|_| blank);
        if let Some(upper) = upper.filter(|upper| upper.starts_with(char::is_whitespace)) {
            let (to, to_precision, after) = take_version(upper.trim_start(), Wildcards::Allowed)?;
            group.push(Constraint::new(Operator::AtLeast, version, precision));
            group.push(Constraint::new(Operator::AtMost, to, to_precision));
            rest = after.trim_start();
        } else {
            group.push(Constraint::new(operator, version, precision));
        }
        if rest.is_empty() {
            return Some(group);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if blank => {}
            None => return None,
        }
    }
}

/// A version that may end early or in wildcards, and what stands behind it.
fn take_version(text: &str, wildcards: Wildcards) -> Option<(Version, Precision, &str)> {
    let mut rest = text.strip_prefix('v').unwrap_or(text);
    let mut numbers = [0_u64; 3];
    let mut precision = Precision::Nothing;
    let levels = [Precision::Major, Precision::Minor, Precision::Full];
    for (index, level) in levels.into_iter().enumerate() {
        if index > 0 {
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None => break,
            }
        }
        if let Some(after) = rest.strip_prefix(['x', 'X', '*'])
            && wildcards == Wildcards::Allowed
        {
            rest = after;
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = rest[..end].parse().ok()?;
        rest = &rest[end..];
        // A number after a wildcard counts for nothing.
        if index == 0 || precision == levels[index - 1] {
            numbers[index] = number;
            precision = level;
        }
    }
    let (pre, rest) = take_identifiers(rest, '-');
    let (_, rest) = take_identifiers(rest, '+');
    let version = Version {
        major: numbers[0],
        minor: numbers[1],
        patch: numbers[2],
        pre: Prerelease::new(pre).ok()?,
        build: BuildMetadata::EMPTY,
    };
    Some((version, precision, rest))
}

/// Identifiers between dots after a mark.
fn take_identifiers(text: &str, mark: char) -> (&str, &str) {
    let Some(rest) = text.strip_prefix(mark) else {
        return ("", text);
    };
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
        .unwrap_or(rest.len());
    // A mark alone is none.
    if end == 0 {
        return ("", text);
    }
    rest.split_at(end)
}

impl Constraint {
    const fn new(operator: Operator, version: Version, precision: Precision) -> Self {
        Self {
            operator,
            version,
            precision,
        }
    }

    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        match self.operator {
            Operator::Equal if self.precision == Precision::Full => order.is_eq(),
            Operator::Equal | Operator::Tilde => self.is_about(version),
            Operator::NotEqual if self.is_exact() => order.is_ne(),
            Operator::NotEqual => {
                let is_other_pre = version.pre != self.version.pre;
                !self.begins(version) || (self.precision == Precision::Minor && is_other_pre)
            }
            Operator::Greater => match self.precision {
                Precision::Full | Precision::Nothing => order.is_gt(),
                Precision::Minor => {
                    (version.major, version.minor) > (self.version.major, self.version.minor)
                }
                Precision::Major => version.major > self.version.major,
            },
            Operator::Less => order.is_lt(),
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => match self.precision {
                Precision::Full => order.is_le(),
                Precision::Minor | Precision::Nothing => {
                    (version.major, version.minor) <= (self.version.major, self.version.minor)
                }
                Precision::Major => version.major <= self.version.major,
            },
            Operator::Caret => order.is_ge() && self.is_compatible(version),
        }
    }

    /// A wildcard alone is 0.0.0 to most operators: the servers of today have it so.
    const fn is_exact(&self) -> bool {
        matches!(self.precision, Precision::Nothing | Precision::Full)
    }

    /// Does the version begin with what is given, up to the minor number?
    fn begins(&self, version: &Version) -> bool {
        let major = self.precision < Precision::Major || version.major == self.version.major;
        let minor = self.precision < Precision::Minor || version.minor == self.version.minor;
        major && minor
    }

    fn is_about(&self, version: &Version) -> bool {
        if version.cmp_precedence(&self.version).is_lt() {
            return false;
        }
        let given = &self.version;
        // Everything is about 0.0.0: the servers of today have it so.
        let is_zero = (given.major, given.minor, given.patch) == (0, 0, 0);
        (is_zero && self.is_exact()) || self.begins(version)
    }

    /// Are the numbers up to the first that is not zero the same?
    fn is_compatible(&self, version: &Version) -> bool {
        let given = &self.version;
        match self.precision {
            _ if given.major > 0 => version.major == given.major,
            Precision::Major => version.major == 0,
            _ if version.major > 0 => false,
            _ if given.minor > 0 => version.minor == given.minor,
            Precision::Minor => version.minor == 0,
            Precision::Full | Precision::Nothing => {
                version.minor == 0 && version.patch == given.patch
            }
        }
    }
}
