//! Agents from files: what a caller gets from a real node, whose work a real pool carries out by real programs.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod calls;
mod files;
mod lab;
#[path = "../support/mod.rs"]
mod support;
