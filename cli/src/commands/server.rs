//! `muster server`.

mod start;

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use muster_reactor::process::use_small_pages;
use muster_reactor::signal::{Signal, Signals};
use muster_server::config::{ENVIRONMENT, LogTarget};
use muster_server::daemon::{Stop, facts_domain, host_identity};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

pub(crate) use self::start::Provisioning;
use self::start::Start;
use super::daemon::{RunWord, block_signals};
use crate::exit::{Exit, Failure};
use crate::files::{self, PidFile};
use crate::{host, log, site, systemd};

/// Signals wake their thread; there is nothing to do in between.
const IDLE: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    #[arg(hide = true)]
    run: Option<RunWord>,
    /// Configuration file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/choria/server.conf"
    )]
    config: PathBuf,
    /// File for the process id.
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
    /// DANGEROUS: connect in clear.
    #[arg(long)]
    disable_tls: bool,
    /// DANGEROUS: connect in clear and believe every request, whoever sent it.
    #[arg(long)]
    insecure: bool,
}

pub(crate) fn run(args: &ServerArgs) -> Result<Exit, Failure> {
    // A node shares its machine with what the machine is for.
    use_small_pages();
    // Found now: a release that takes its place would be hidden behind the running one.
    let program = std::env::current_exe().map_err(Failure::new)?;
    let start = Start::look(args)?;
    let (log_level, log_target) = start.log();
    log::start(log_level, &target(log_target))?;
    let signals = block_signals()?;
    let stop = Stop::new().map_err(Failure::new)?;
    let pid = args.pid.as_deref().map(PidFile::write).transpose()?;
    // The node has the main thread, so that its end, whatever the cause, is the end of the process.
    let request = stop.clone();
    let listener = std::thread::Builder::new().name("signals".to_owned());
    let listener = listener.spawn(move || listen(&signals, &request));
    listener.map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    let result = match start.daemon(args, &program, &stop)? {
        Some(daemon) => daemon
            .with_observer(systemd::alive_every(), systemd::phase)
            .run(&stop),
        // Ended before the brokers were found.
        None => Ok(()),
    };
    drop(pid);
    result.map_err(Failure::new)?;
    if stop.is_restart() {
        return Err(restart(&program));
    }
    Ok(Exit::Success)
}

/// Puts a new process of the program in place of this one: the same process id, arguments and environment. Returns only
/// if that fails.
fn restart(program: &Path) -> Failure {
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).exec();
    Failure::new(format!("cannot start {} again: {error}", program.display()))
}

/// Hands signals to the node until one of them ends it.
fn listen(signals: &Signals, stop: &Stop) {
    loop {
        match signals.wait(IDLE) {
            Ok(Some(Signal::Interrupt | Signal::Terminate)) => return stop.request(),
            Ok(Some(Signal::Hangup)) => {
                log::reopen();
                stop.request_reload();
            }
            Ok(Some(Signal::User1 | Signal::User2) | None) => {}
            Err(error) => {
                tracing::error!(%error, "signals cannot be waited for");
                return stop.request();
            }
        }
    }
}

/// What the command line and the host say beside the settings.
fn flags(args: &ServerArgs, settings: &Settings) -> NodeFlags {
    NodeFlags {
        disable_tls: !site::TLS || args.disable_tls || args.insecure,
        insecure: args.insecure,
        is_root: host::user().is_root,
        hostname: host_identity(
            settings,
            host::kernel_name().as_deref(),
            host::hostname().as_deref(),
        ),
        domain: facts_domain(settings),
        environment: ENVIRONMENT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect(),
        config_file: args.config.to_string_lossy().into_owned(),
    }
}

/// The configuration, and the settings it was read from.
fn read(args: &ServerArgs) -> Result<(NodeConfig, Settings), Failure> {
    let settings = files::load(&args.config)?;
    let flags = flags(args, &settings);
    let config = NodeConfig::from_settings(&settings, &flags).map_err(Failure::new)?;
    Ok((config, settings))
}

fn target(target: &LogTarget) -> log::Target {
    match target {
        LogTarget::Discard => log::Target::Discard,
        LogTarget::Stdout => log::Target::Stdout,
        LogTarget::Stderr => log::Target::Stderr,
        LogTarget::File(path) => log::Target::File(path.clone()),
    }
}
