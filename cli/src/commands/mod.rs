//! One module a sub-command: its arguments, what it runs, its exit code.

pub(crate) mod broker;
