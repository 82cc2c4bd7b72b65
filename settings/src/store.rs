//! The lines of a configuration, in order, and which of them somebody asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Reader;

/// One `key = value` line.
pub struct Entry {
    key: String,
    value: String,
    file: Arc<str>,
    line: u32,
    /// Whether the key was asked for. A flag for warnings only, so no ordering with anything is needed.
    used: AtomicBool,
}

impl Entry {
    /// The key; for a file of `plugin.d`, with its `plugin.<name>.` in front.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value, verbatim but for the space around it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The file it stands in.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line it stands on, from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    pub(crate) fn shared_file(&self) -> Arc<str> {
        Arc::clone(&self.file)
    }

    pub(crate) fn mark_used(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the value: some are passwords.
        write!(f, "{}:{}: {}", self.file, self.line, self.key)
    }
}

/// A line that is neither a setting nor a comment nor blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrayLine {
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line it stands on, from 1.
    pub line: u32,
}

/// All lines of a configuration. Shared by reference among threads.
#[derive(Debug, Default)]
pub struct Settings {
    /// In the order they were read; of two entries with one key the later one counts.
    entries: Vec<Entry>,
    stray: Vec<StrayLine>,
    home: Option<PathBuf>,
    /// Keys that somebody asked for, whether they are there or not.
    asked: Mutex<BTreeSet<String>>,
}

impl Settings {
    /// The keys that were asked for so far, whether they are there or not. For tests of lists of keys.
    #[must_use]
    pub fn asked(&self) -> BTreeSet<String> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, key: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.contains(key) {
            asked.insert(key.to_owned());
        }
    }

    /// Reads the text of one file. Nothing in it is an error yet: types are the readers' matter.
    #[must_use]
    pub fn parse(text: &str, file_name: &str) -> Self {
        let mut settings = Self::default();
        settings.merge(text, file_name);
        settings
    }

    /// Reads the text of a further file, whose settings replace earlier ones of the same key.
    pub fn merge(&mut self, text: &str, file_name: &str) {
        self.merge_under("", text, file_name);
    }

    /// As [`Self::merge`], with `prefix` in front of each key.
    pub(crate) fn merge_under(&mut self, prefix: &str, text: &str, file_name: &str) {
        let file: Arc<str> = Arc::from(file_name);
        // Editors of another system put this mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let file = Arc::clone(&file);
            match content
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
            {
                Some((key, value)) if !key.is_empty() => self.entries.push(Entry {
                    key: format!("{prefix}{key}"),
                    value: value.to_owned(),
                    file,
                    line,
                    used: AtomicBool::new(false),
                }),
                _ => self.stray.push(StrayLine { file, line }),
            }
        }
    }

    /// Names the home directory that `~` stands for in paths.
    #[must_use]
    pub fn with_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// The home directory that `~` stands for.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Begins a reading of typed values.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    /// The value of a key as it stands, for agents and plugins that read options of their own.
    #[must_use]
    pub fn option(&self, key: &str) -> Option<&str> {
        self.find(key).map(Entry::value)
    }

    /// The entry of a key that counts, which is the last one. Asking marks the key as used.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Entry> {
        // From the front, so that the entries it replaces are marked too.
        self.occurrences(key).fold(None, |_, entry| Some(entry))
    }

    /// All entries of a key in order, for values that add up. Asking marks the key as used.
    pub fn occurrences<'a>(&'a self, key: &str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.key == key)
            .inspect(|entry| entry.mark_used())
    }

    /// The entries whose keys begin with `prefix`, in order, for keys that carry names chosen by the user.
    /// Looking does not mark them as used; reading them does.
    pub fn with_prefix<'a>(&'a self, prefix: &str) -> impl Iterator<Item = &'a Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.key.starts_with(prefix))
    }

    /// All entries in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries whose key nobody asked for, in order. Meaningful once all readers are done.
    pub fn unused(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|entry| !entry.used.load(Ordering::Relaxed))
    }

    /// The lines that are neither settings nor comments, in order.
    #[must_use]
    pub fn stray_lines(&self) -> &[StrayLine] {
        &self.stray
    }
}
