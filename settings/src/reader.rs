//! Typed reading of a configuration, with all its problems at the end.
//!
//! Every getter gives a value at once: that of the file, or the default where the key is missing or its
//! value is wrong. In the latter case the problem is kept and [`Reader::finish`] fails, so a daemon reads
//! everything first, asks `finish`, and only then uses any of it.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::store::Entry;
use crate::value::{parse_bool, parse_whole, split_list};
use crate::{Settings, SettingsError, SettingsErrors, parse_duration};

/// What separates the items of path lists.
const PATH_SEPARATOR: char = ':';

/// Reads typed values and collects problems.
#[derive(Debug)]
#[must_use = "problems are reported by finish"]
pub struct Reader<'a> {
    settings: &'a Settings,
    errors: Vec<SettingsError>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        Self {
            settings,
            errors: Vec::new(),
        }
    }

    fn find(&self, key: &str) -> Option<&'a Entry> {
        self.settings.note(key);
        self.settings.find(key)
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.find(key).map(Entry::value)
    }

    fn occurrences<'k>(&self, key: &'k str) -> impl Iterator<Item = &'a Entry> + use<'a, 'k> {
        self.settings.note(key);
        self.settings.occurrences(key)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems found, in the order the keys were asked for.
    pub fn finish(self) -> Result<(), SettingsErrors> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(SettingsErrors(self.errors))
        }
    }

    /// The settings being read, for keys that carry names.
    #[must_use]
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Whether the key is there, with whatever value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Adds a problem the caller found in the value of a key, such as a contradiction between two keys. It
    /// gets the key's file and line. `problem` reads on from the value: `is not a host name`.
    pub fn problem(&mut self, key: &str, problem: impl Into<String>) {
        let error = problem_of(key, self.find(key), problem.into());
        self.errors.push(error);
    }

    /// As [`Self::problem`], of a value that may hold a secret and is not repeated.
    pub fn hidden_problem(&mut self, key: &str, problem: impl Into<String>) {
        let mut error = problem_of(key, self.find(key), problem.into());
        error.value = None;
        self.errors.push(error);
    }

    /// A value by a reading of the caller's own.
    pub fn parsed<T, E: Into<String>>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let entry = self.find(key)?;
        match parse(entry.value()) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.errors
                    .push(problem_of(key, Some(entry), problem.into()));
                None
            }
        }
    }

    /// A boolean.
    pub fn bool(&mut self, key: &str, default: bool) -> bool {
        self.parsed(key, parse_bool).unwrap_or(default)
    }

    /// A whole number, such as a port.
    pub fn u16(&mut self, key: &str, default: u16) -> u16 {
        self.whole(key, default, 0..=u16::MAX)
    }

    /// A whole number.
    pub fn u32(&mut self, key: &str, default: u32) -> u32 {
        self.whole(key, default, 0..=u32::MAX)
    }

    /// A whole number.
    pub fn u64(&mut self, key: &str, default: u64) -> u64 {
        self.whole(key, default, 0..=u64::MAX)
    }

    /// A whole number that may be negative.
    pub fn i64(&mut self, key: &str, default: i64) -> i64 {
        self.whole(key, default, i64::MIN..=i64::MAX)
    }

    /// A count of things in memory.
    pub fn usize(&mut self, key: &str, default: usize) -> usize {
        self.whole(key, default, 0..=usize::MAX)
    }

    /// A whole number within a range.
    pub fn u64_in(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.whole(key, default, range)
    }

    /// A whole number of any type within a range.
    pub fn whole<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display,
    {
        self.parsed(key, |text| parse_whole(text, &range))
            .unwrap_or(default)
    }

    /// A duration.
    pub fn duration(&mut self, key: &str, default: Duration) -> Duration {
        self.parsed(key, |text| parse_duration(text).map_err(|e| e.to_string()))
            .unwrap_or(default)
    }

    /// A duration within a range.
    pub fn duration_in(
        &mut self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let parse = |text: &str| match parse_duration(text) {
            Ok(duration) if range.contains(&duration) => Ok(duration),
            Ok(_) => Err(format!(
                "is not from {:?} to {:?}",
                range.start(),
                range.end()
            )),
            Err(e) => Err(e.to_string()),
        };
        self.parsed(key, parse).unwrap_or(default)
    }

    /// A text; an empty one is a text too.
    pub fn string(&mut self, key: &str, default: &str) -> String {
        self.option(key).unwrap_or(default).to_owned()
    }

    /// A text, none where the key is missing or empty.
    pub fn opt_string(&mut self, key: &str) -> Option<String> {
        self.option(key)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    }

    /// A text without which nothing can be done: a missing or empty one is a problem, and empty here.
    pub fn required_string(&mut self, key: &str) -> String {
        self.opt_string(key).unwrap_or_else(|| {
            self.problem(key, "is needed and not set");
            String::new()
        })
    }

    /// One word of a few. The choices are compared exactly.
    pub fn one_of(
        &mut self,
        key: &str,
        default: &'static str,
        choices: &[&'static str],
    ) -> &'static str {
        let parse = |text: &str| {
            let found = choices.iter().copied().find(|choice| *choice == text);
            found.ok_or_else(|| format!("is not one of {}", choices.join(", ")))
        };
        self.parsed(key, parse).unwrap_or(default)
    }

    /// A comma list; of several lines with the key the last counts. An empty value is an empty list.
    pub fn list(&mut self, key: &str, default: &[&str]) -> Vec<String> {
        match self.option(key) {
            Some(value) => split_list(value, ','),
            None => default.iter().map(|item| (*item).to_owned()).collect(),
        }
    }

    /// A list of texts, one a line: each line with the key adds one.
    pub fn strings(&mut self, key: &str) -> Vec<String> {
        self.occurrences(key)
            .map(Entry::value)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A path; `~` in front is the home directory.
    pub fn path(&mut self, key: &str, default: &str) -> PathBuf {
        self.opt_path(key).unwrap_or_else(|| PathBuf::from(default))
    }

    /// A path, none where the key is missing or empty.
    pub fn opt_path(&mut self, key: &str) -> Option<PathBuf> {
        let settings = self.settings;
        let parse = |text: &str| {
            if text.is_empty() {
                Ok(None)
            } else {
                expand_home(settings, text).map(Some)
            }
        };
        self.parsed(key, parse).flatten()
    }

    /// Paths separated by `:`; each line with the key adds to them.
    pub fn path_list(&mut self, key: &str) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for entry in self.occurrences(key) {
            for item in split_list(entry.value(), PATH_SEPARATOR) {
                match expand_home(self.settings, &item) {
                    Ok(path) => paths.push(path),
                    Err(problem) => self.errors.push(problem_of(key, Some(entry), problem)),
                }
            }
        }
        paths
    }
}

fn problem_of(key: &str, entry: Option<&Entry>, problem: String) -> SettingsError {
    SettingsError {
        key: key.to_owned(),
        value: entry.map(|entry| entry.value().to_owned()),
        place: entry.map(|entry| (entry.shared_file(), entry.line())),
        problem,
    }
}

/// `~` and `~/x`; other users' homes are not looked up.
fn expand_home(settings: &Settings, text: &str) -> Result<PathBuf, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(PathBuf::from(text));
    };
    if !rest.is_empty() && !rest.starts_with('/') {
        return Err("names another user's home, which is not looked up".to_owned());
    }
    match settings.home() {
        Some(home) => Ok(home.join(rest.trim_start_matches('/'))),
        None => Err("needs a home directory, and none is known".to_owned()),
    }
}
