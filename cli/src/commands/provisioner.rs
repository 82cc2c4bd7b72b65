//! `muster provisioner`.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use muster_provisioner::config::ProvisionerConfig;
use muster_provisioner::daemon::{Parts, Provisioner, load_flow};
use muster_provisioner::helper::process::ProcessHelper;

use super::daemon::{RunWord, block_signals, wait_until};
use crate::connection::ConnectionArgs;
use crate::exit::{Exit, Failure};
use crate::files::{self, PidFile};
use crate::log;

/// How often the provisioner is looked after between signals.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct ProvisionerArgs {
    #[arg(hide = true)]
    run: Option<RunWord>,
    /// The provisioner's configuration, in YAML.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The client's configuration: brokers and keys; the usual places are searched without it.
    #[arg(long, value_name = "FILE")]
    choria_config: Option<PathBuf>,
    /// File for the process id.
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
}

pub(crate) fn run(args: &ProvisionerArgs) -> Result<Exit, Failure> {
    let text = files::need(&args.config)?;
    let cpus = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let config = ProvisionerConfig::from_yaml(&text, &args.config.to_string_lossy(), cpus)
        .map_err(Failure::new)?;
    for warning in &config.warnings {
        eprintln!("warning: {warning}");
    }
    log::start(config.log_level, &target(&config))?;
    let connection = ConnectionArgs::of_daemon(args.choria_config.clone(), config.is_insecure);
    let fleet = connection.client()?.fleet;
    let flow = load_flow(&config, files::read).map_err(Failure::new)?;
    let directory = std::env::current_dir()
        .map_err(|error| Failure::new(format!("there is no working directory: {error}")))?;
    let helper = ProcessHelper::new(&config.helper, std::env::vars_os().collect(), directory);
    let signals = block_signals()?;
    let pid = args.pid.as_deref().map(PidFile::write).transpose()?;
    let provisioner = Provisioner::start(Parts {
        config,
        fleet,
        flow,
        helper: Arc::new(helper),
    })
    .map_err(Failure::new)?;
    if let Some(address) = provisioner.metrics_address() {
        eprintln!("Serving metrics on http://{address}/metrics");
    }
    eprintln!("Provisioner is ready");
    // The breaker can end it too.
    wait_until(&signals, LOOK_EVERY, |_| match provisioner.is_over() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })?;
    provisioner.stop();
    drop(pid);
    Ok(Exit::Success)
}

fn target(config: &ProvisionerConfig) -> log::Target {
    match config.log_file.as_deref() {
        None | Some("stdout") => log::Target::Stdout,
        Some("stderr") => log::Target::Stderr,
        Some("discard") => log::Target::Discard,
        Some(path) => log::Target::File(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packaged_configuration_is_one() {
        let text = include_str!("../../../packaging/etc/provisioner.yaml");
        let config = ProvisionerConfig::from_yaml(text, "provisioner.yaml", NonZeroUsize::MIN);
        let config = config.unwrap();
        assert_eq!(config.warnings, Vec::<String>::new());
        assert_eq!(target(&config), log::Target::Stdout);
    }
}
