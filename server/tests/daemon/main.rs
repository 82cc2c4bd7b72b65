//! A whole daemon, from its settings to its answers, at a broker that speaks just enough.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod agents;
mod files;
mod pages;
mod peer;
mod reload;
#[path = "../support/mod.rs"]
mod support;
mod tokens;
