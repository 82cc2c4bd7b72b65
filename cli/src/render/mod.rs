//! Results as text: pure functions, no terminal and no clock.
//!
//! What nodes say is shown with its control characters made visible, so that no node can command the terminal.

pub(crate) mod backplane;
pub(crate) mod config;
pub(crate) mod duration;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod find;
pub(crate) mod footer;
pub(crate) mod inventory;
pub(crate) mod ping;
pub(crate) mod plot;
pub(crate) mod plugin;
pub(crate) mod rpc;
pub(crate) mod rpc_json;
pub(crate) mod rpc_lines;
pub(crate) mod rpc_table;
pub(crate) mod table;
mod text;
mod value;

#[cfg(test)]
pub(crate) mod samples;

use std::io::{self, Write};

use crate::exit::Failure;

pub(crate) use self::text::{Paint, Style};

/// Writes to the standard output. That whoever reads it goes away ends the command without a word.
pub(crate) fn put(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(),
        _ => Failure::new(format!("cannot write the output: {error}")),
    })
}
