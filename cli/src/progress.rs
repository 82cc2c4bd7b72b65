//! How far a request is, on a terminal's standard error only.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The widest a bar becomes.
const TEMPLATE: &str = "{pos} / {len} {elapsed:>5} [{bar:48}] {percent:>3}%";

/// A bar, or none.
#[derive(Debug)]
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar over so many nodes, where it is wanted and there is a terminal.
    pub(crate) fn start(wanted: bool, total: usize) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(total as u64);
        let style = ProgressStyle::with_template(TEMPLATE);
        bar.set_style(
            style
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=>-"),
        );
        Self(Some(bar))
    }

    /// No bar.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn show(&self, done: usize) {
        if let Some(bar) = &self.0 {
            bar.set_position(done as u64);
        }
    }

    /// Leaves the bar as it is and gives the terminal back.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.0 {
            bar.abandon();
            eprintln!();
        }
    }
}
