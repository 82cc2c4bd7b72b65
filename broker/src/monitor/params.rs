//! Parameters of a request, read as nats-server reads them, with its words for what is wrong.
//!
//! A parameter that is absent or empty has its default. Of several of one name the first counts.

use std::fmt;
use std::num::IntErrorKind;

/// A parameter that cannot be used; the request gets status 400 and this text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ParamError {
    /// Not of the type it must have: type, parameter, the parser's words.
    Decode(&'static str, &'static str, String),
    /// Not one of the connection states.
    State(String),
    /// Not one of the sort keys.
    Sort(String),
    /// A sort key that open connections have no value for.
    ClosedOnly(&'static str),
    /// A test subject that nothing can be published to.
    TestSubject(String),
}

impl fmt::Display for ParamError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(kind, name, why) => {
                write!(formatter, "Error decoding {kind} for '{name}': {why}")
            }
            Self::State(state) => write!(formatter, "Error decoding state for {state}"),
            Self::Sort(sort) => write!(formatter, "invalid sorting option: {sort}"),
            Self::ClosedOnly(sort) => {
                write!(formatter, "sort by {sort} only valid on closed connections")
            }
            Self::TestSubject(subject) => {
                write!(
                    formatter,
                    "invalid test subject, must be valid publish subject: {subject}"
                )
            }
        }
    }
}

/// How much of the subscriptions is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subs {
    Omit,
    Subjects,
    Detail,
}

/// The decoded pairs of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Params<'a>(&'a [(String, String)]);

impl<'a> Params<'a> {
    pub(super) fn new(query: &'a [(String, String)]) -> Self {
        Self(query)
    }

    pub(super) fn text(self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn bool(self, name: &'static str) -> Result<bool, ParamError> {
        match self.text(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(text) => {
                let why = format!("strconv.ParseBool: parsing {text:?}: invalid syntax");
                Err(ParamError::Decode("boolean", name, why))
            }
        }
    }

    pub(super) fn int(self, name: &'static str) -> Result<i64, ParamError> {
        let parse = |text: &str| {
            text.parse::<i64>().map_err(|error| {
                ParamError::Decode("int", name, go_error("Atoi", text, error.kind()))
            })
        };
        self.text(name).map_or(Ok(0), parse)
    }

    pub(super) fn uint(self, name: &'static str) -> Result<u64, ParamError> {
        let parse = |text: &str| {
            // A sign is an error there, even a plus.
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let parsed = text.parse::<u64>().map_err(|error| *error.kind());
            parsed
                .and_then(|number| {
                    if digits {
                        Ok(number)
                    } else {
                        Err(IntErrorKind::InvalidDigit)
                    }
                })
                .map_err(|kind| {
                    ParamError::Decode("uint64", name, go_error("ParseUint", text, &kind))
                })
        };
        self.text(name).map_or(Ok(0), parse)
    }

    pub(super) fn subs(self) -> Result<Subs, ParamError> {
        if self
            .text("subs")
            .is_some_and(|text| text.eq_ignore_ascii_case("detail"))
        {
            return Ok(Subs::Detail);
        }
        Ok(if self.bool("subs")? {
            Subs::Subjects
        } else {
            Subs::Omit
        })
    }

    /// Offset and limit; a limit that is not positive is the default one.
    pub(super) fn page(self) -> Result<Page, ParamError> {
        let offset = usize::try_from(self.int("offset")?).unwrap_or(0);
        let limit = usize::try_from(self.int("limit")?)
            .ok()
            .filter(|limit| *limit > 0);
        Ok(Page {
            offset,
            limit: limit.unwrap_or(LIMIT),
        })
    }
}

/// Entries of one answer unless the request says another number.
const LIMIT: usize = 1024;

/// The part of a list that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    /// How many of the best a part of the list must give so that the whole page can be made.
    pub(super) fn end(self) -> usize {
        self.offset.saturating_add(self.limit)
    }
}

fn go_error(function: &str, text: &str, kind: &IntErrorKind) -> String {
    let what = match kind {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    format!("strconv.{function}: parsing {text:?}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(
        value: &str,
        read: impl Fn(Params<'_>) -> Result<T, ParamError>,
    ) -> Result<T, String> {
        let query = [
            ("other".to_owned(), "x".to_owned()),
            ("a".to_owned(), value.to_owned()),
        ];
        read(Params::new(&query)).map_err(|error| error.to_string())
    }

    #[test]
    fn booleans() {
        for (text, expected) in [("", false), ("1", true), ("True", true), ("F", false)] {
            assert_eq!(
                with(text, |params| params.bool("a")),
                Ok(expected),
                "{text}"
            );
        }
        assert_eq!(
            with("xx", |params| params.bool("a")).unwrap_err(),
            "Error decoding boolean for 'a': strconv.ParseBool: parsing \"xx\": invalid syntax"
        );
    }

    #[test]
    fn numbers() {
        assert_eq!(with("-3", |params| params.int("a")), Ok(-3));
        assert_eq!(
            with("18446744073709551615", |params| params.uint("a")),
            Ok(u64::MAX)
        );
        assert_eq!(
            with("99999999999999999999", |params| params.int("a")).unwrap_err(),
            "Error decoding int for 'a': strconv.Atoi: parsing \"99999999999999999999\": value out of range"
        );
        for text in ["-1", "+1", "x", "1 "] {
            let expected = format!(
                "Error decoding uint64 for 'a': strconv.ParseUint: parsing {text:?}: invalid syntax"
            );
            assert_eq!(with(text, |params| params.uint("a")).unwrap_err(), expected);
        }
    }

    #[test]
    fn pages() {
        let page = |offset: &str, limit: &str| {
            let query = [
                ("offset".to_owned(), offset.to_owned()),
                ("limit".to_owned(), limit.to_owned()),
            ];
            let page = Params::new(&query).page().unwrap();
            (page.offset, page.limit)
        };
        assert_eq!(page("", ""), (0, LIMIT));
        assert_eq!(page("-1", "-1"), (0, LIMIT));
        assert_eq!(page("2", "3"), (2, 3));
    }
}
