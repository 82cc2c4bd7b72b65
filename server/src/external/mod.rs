//! Agents in other languages: a DDL file, and a program beside it that is run for each call.
//!
//! * [`contract`]: what is said to a program and what it may answer; pure.
//! * [`catalogue`]: which files are to be looked at, loaded and forgotten; pure.
//! * [`scan`]: the files of the library folders.
//! * [`call`]: one run of a program.
//! * [`agent`]: the agents.
//! * [`loader`], [`watcher`]: from files to agents, again and again.
//!
//! Two kinds share all of this. *External* agents speak by files named in their environment. *Ruby* agents, written for
//! `mcollectived`, are run by a shim that speaks on its standard streams. A node hosts none unless its configuration
//! names library folders. How to write an agent stands in `docs/agents.md`.
//!
//! A program that fails in whatever way gives its caller a reply with status 1 that names agent and action; it never
//! holds up the node, and leaves no file behind.

pub mod agent;
pub mod call;
pub mod catalogue;
pub mod contract;
pub mod loader;
mod options;
pub mod scan;
pub mod watcher;

pub use self::options::{ExternalOptions, Shim};
