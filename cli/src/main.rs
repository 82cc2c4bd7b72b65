//! The `muster` command: one binary for broker, node and client.
//!
//! A command's module holds its arguments and what it runs; `render` turns results into text; the rest is what commands share.
//! Exit codes are those that people script against today; see [`exit`].

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "talking to a terminal is its work"
)]

mod args;
mod commands;
mod connection;
mod ddl;
mod exit;
mod files;
mod host;
mod log;
mod output;
mod progress;
mod render;
mod selection;
mod site;
mod systemd;
mod timestamp;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let started = muster_reactor::clock::Clock::start();
    match args::parse(std::env::args_os()) {
        Ok(cli) => {
            let form = cli.command.form();
            exit::report(commands::run(cli, started), form)
        }
        Err(exit) => exit.into(),
    }
}
