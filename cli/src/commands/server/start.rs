//! How a node starts: configured, or waiting for a provisioner.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use muster_client::nats::{Backoff, ServerAddr};
use muster_reactor::clock::{random_seed, unix_now};
use muster_server::config::LogTarget;
use muster_server::daemon::{Daemon, Stop};
use muster_server::provision::{
    BuildResolver, BuildSettings, ConfigCheck, ConfigFile, HostCalls, Mode, ModeFacts, ModeSources,
    ProvisionOptions, ServerToken, TargetResolver, decide, node_config, provision_agent,
    server_token,
};
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;
use tracing::{info, warn};

use super::{ServerArgs, flags, read};
use crate::exit::Failure;
use crate::{files, log};

/// How often a wait looks whether the process is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Settings that outlive a return to provisioning.
const KEPT: [&str; 3] = [
    "identity",
    "logfile",
    "plugin.choria.registration.file_content.data",
];

/// What was found when the process started.
pub(super) struct Start {
    settings: Settings,
    flags: NodeFlags,
    provisioning: Provisioning,
    /// Of a configured node as its file has it; of one in the mode without brokers yet.
    config: NodeConfig,
    mode: Mode,
}

/// What is known of provisioning, whether or not the mode is on.
pub(crate) struct Provisioning {
    /// What is compiled in, or said by the token.
    pub(crate) build: BuildSettings,
    /// The token's file.
    pub(crate) jwt_file: PathBuf,
    /// The token.
    pub(crate) jwt: Option<String>,
}

impl Provisioning {
    /// Looks for the token of a node with this configuration file. One that cannot be used is a warning, and as good as
    /// none.
    pub(crate) fn look(config_file: &Path) -> Self {
        let mut build = BuildSettings::compiled();
        let jwt_file = build.jwt_path(config_file);
        let jwt = match files::read(&jwt_file) {
            Ok(text) => match build.apply_token(&text, &jwt_file) {
                Ok(()) => Some(text),
                Err(error) => {
                    eprintln!("warning: {error}");
                    None
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                eprintln!("warning: cannot read {}: {error}", jwt_file.display());
                None
            }
        };
        Self {
            build,
            jwt_file,
            jwt,
        }
    }

    /// Finds the brokers.
    pub(crate) fn resolver(&self) -> BuildResolver {
        let jwt = self.jwt.as_ref().map(|_| &self.jwt_file);
        BuildResolver::new(&self.build, jwt)
    }
}

impl Start {
    /// Reads what there is and decides.
    pub(super) fn look(args: &ServerArgs) -> Result<Self, Failure> {
        let provisioning = Provisioning::look(&args.config);
        let is_there = args.config.exists();
        let settings = if is_there {
            files::load(&args.config)?
        } else {
            Settings::parse("", &args.config.to_string_lossy())
        };
        let flags = flags(args, &settings);
        let parsed = NodeConfig::from_settings(&settings, &flags);
        let config = if is_there {
            ConfigFile::Present {
                provision: asks(&settings),
            }
        } else {
            ConfigFile::Missing
        };
        let mode = decide(&ModeFacts {
            build: &provisioning.build,
            jwt_exists: provisioning.jwt.is_some(),
            config,
            token: match &parsed {
                Ok(config) => server_token(config, unix_now().as_secs()),
                Err(_) => ServerToken::NotUsed,
            },
        });
        let config = match mode {
            // With the words of the system where there is a file that is none.
            Mode::Impossible => return Err(no_configuration(args)),
            Mode::Configured => parsed.map_err(Failure::new)?,
            Mode::Provisioning(_) => mode_config(&provisioning, &settings, &flags, Vec::new())?,
        };
        if mode == Mode::Configured {
            files::warn(&settings);
        }
        Ok(Self {
            settings,
            flags,
            provisioning,
            config,
            mode,
        })
    }

    /// How much is logged, and where to.
    pub(super) fn log(&self) -> (&'static str, &LogTarget) {
        (self.config.log_level, &self.config.log_target)
    }

    /// The node; none if it is to end before it has found a broker.
    pub(super) fn daemon(
        mut self,
        args: &ServerArgs,
        program: &Path,
        stop: &Stop,
    ) -> Result<Option<Daemon>, Failure> {
        let reason = match self.mode {
            Mode::Provisioning(reason) => Some(reason),
            Mode::Configured | Mode::Impossible => None,
        };
        if let Some(reason) = reason {
            warn!(%reason, "this node waits for a provisioner");
            let Some(targets) = find_targets(&mut self.provisioning.resolver(), stop)? else {
                return Ok(None);
            };
            self.config = mode_config(&self.provisioning, &self.settings, &self.flags, targets)?;
        }
        let build = &self.provisioning.build;
        let has_agent = build.agent && (reason.is_some() || build.supports_provisioning());
        let options = has_agent.then(|| self.agent(program, reason.is_some()));
        let mut daemon = Daemon::new(self.config);
        if let Some(options) = options {
            daemon = daemon
                .with_host_calls(&options.calls)
                .with_agent(Arc::new(provision_agent(options)));
        }
        if reason.is_none() {
            let again = args.clone();
            let read_again = move || {
                let (mut config, settings) = read(&again).map_err(|failure| failure.to_string())?;
                config.warnings.extend(files::warnings(&settings));
                Ok(config)
            };
            daemon = daemon.with_reload(read_again, log::set_level);
        }
        Ok(Some(daemon))
    }

    fn agent(&self, program: &Path, in_mode: bool) -> ProvisionOptions {
        let kept: BTreeMap<_, _> = KEPT
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), self.settings.option(key)?.to_owned())))
            .collect();
        let check = ConfigCheck {
            build: self.provisioning.build.clone(),
            jwt_exists: self.provisioning.jwt.is_some(),
            flags: self.flags.clone(),
            identity: self.config.identity.clone(),
        };
        ProvisionOptions {
            in_mode,
            config_file: PathBuf::from(&self.flags.config_file),
            jwt_file: self.provisioning.jwt_file.clone(),
            program: program.to_owned(),
            check,
            kept,
            calls: HostCalls::default(),
            seed: random_seed(),
        }
    }
}

/// What the settings say of provisioning, also where they are no configuration otherwise.
fn asks(settings: &Settings) -> Option<bool> {
    const KEY: &str = "plugin.choria.server.provision";
    let mut reader = settings.reader();
    let is_there = reader.has(KEY);
    let value = reader.bool(KEY, false);
    // Whoever reads the whole configuration reports its problems.
    let _ = reader.finish();
    is_there.then_some(value)
}

fn no_configuration(args: &ServerArgs) -> Failure {
    Failure::new(format!(
        "the configuration file {} was not found and provisioning is disabled",
        args.config.display()
    ))
}

fn mode_config(
    provisioning: &Provisioning,
    settings: &Settings,
    flags: &NodeFlags,
    targets: Vec<ServerAddr>,
) -> Result<NodeConfig, Failure> {
    node_config(&ModeSources {
        build: &provisioning.build,
        jwt: provisioning.jwt.as_deref(),
        targets,
        settings,
        flags,
    })
    .map_err(Failure::new)
}

/// Asks until there are brokers; none if the process is to end before.
fn find_targets(
    resolver: &mut dyn TargetResolver,
    stop: &Stop,
) -> Result<Option<Vec<ServerAddr>>, Failure> {
    let backoff = Backoff::twenty_sec();
    let mut rng = Rng::with_seed(random_seed());
    for round in 0.. {
        match resolver.targets() {
            Ok(targets) => {
                let resolver = resolver.name();
                info!(resolver, ?targets, "provisioning brokers");
                return Ok(Some(targets));
            }
            Err(error) if error.is_temporary() => {
                let resolver = resolver.name();
                warn!(resolver, %error, round, "no provisioning brokers yet");
            }
            Err(error) => return Err(Failure::new(error)),
        }
        let mut left = backoff.delay(round, &mut rng);
        while !left.is_zero() {
            if stop.is_requested() {
                return Ok(None);
            }
            let nap = left.min(LOOK_EVERY);
            std::thread::sleep(nap);
            left -= nap;
        }
    }
    Ok(None)
}
