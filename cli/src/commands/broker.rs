//! `muster broker`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use muster_broker::{Broker, BrokerConfig, RouteUrl, TlsPaths, TlsWatch, monitor};
use muster_broker_core::auth::Authenticator;
use muster_broker_core::config::{Credentials, TlsOffer};
use muster_client::resolve::Resolver;
use muster_reactor::signal::{Signal, Signals};
use muster_settings::Settings;

use super::daemon::{RunWord, block_signals, wait_until};
use super::hosted::Hosted;
use crate::exit::{Exit, Failure};
use crate::files::{self, PidFile};
use crate::log;
use crate::systemd::Heartbeat;

/// How often the shards' lines for the log are fetched.
const LOG_EVERY: Duration = Duration::from_millis(200);

/// How long DNS is asked for the peers of the cluster.
const SRV_MAX: Duration = Duration::from_secs(10);

/// How long clients of a lame duck have to go by themselves, and over what time the others are sent away; as nats-server has it.
const LAME_DUCK_GRACE: Duration = Duration::from_secs(10);
const LAME_DUCK_DURATION: Duration = Duration::from_secs(120);

/// Flags go before the file.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    #[arg(hide = true)]
    run: Option<RunWord>,
    /// Configuration file.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Port for clients; 0 takes a free one.
    #[arg(short, long)]
    port: Option<u16>,
    /// Address for clients.
    #[arg(short, long)]
    addr: Option<IpAddr>,
    /// Shards, one thread each; default is what this host needs.
    #[arg(long)]
    shards: Option<u16>,
    /// Connections of clients at most.
    #[arg(long, value_name = "N")]
    max_connections: Option<u64>,
    /// Port for monitoring over HTTP; 0 takes a free one.
    #[arg(short, long, value_name = "PORT")]
    monitor: Option<u16>,
    /// Speak TLS with clients.
    #[arg(long, requires_all = ["tlscert", "tlskey"])]
    tls: bool,
    /// The broker's certificate.
    #[arg(long, value_name = "FILE", requires = "tlskey")]
    tlscert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "tlscert")]
    tlskey: Option<PathBuf>,
    /// The authorities of clients' certificates.
    #[arg(long, value_name = "FILE", requires = "tlscert")]
    tlscacert: Option<PathBuf>,
    /// The authorities' revocation lists.
    #[arg(long, value_name = "FILE", requires = "tlsverify")]
    tlscrl: Option<PathBuf>,
    /// Every client must show a certificate.
    #[arg(long, requires = "tlscacert")]
    tlsverify: bool,
    /// The user clients log in as.
    #[arg(long, requires = "pass")]
    user: Option<String>,
    /// The user's password.
    #[arg(long, requires = "user")]
    pass: Option<String>,
    /// The token clients log in with.
    #[arg(long, value_name = "TOKEN", conflicts_with = "user")]
    auth: Option<String>,
    /// File for the process id.
    #[arg(long, value_name = "FILE")]
    pid: Option<PathBuf>,
}

pub(crate) fn run(args: &BrokerArgs) -> Result<Exit, Failure> {
    let (mut config, hosted) = args.config()?;
    find_peers(&mut config);
    let signals = block_signals()?;
    if !hosted.network {
        return hosted.run_alone(&signals, config.monitor, args.pid.as_deref());
    }
    let monitor_address = config.monitor;
    for rule in &config.rules {
        tracing::info!("logins: {rule}");
    }
    let mut tls = config
        .tls_paths
        .clone()
        .map(|paths| TlsWatch::new(paths, &config.tls));
    let broker = Arc::new(Broker::start(config).map_err(Failure::new)?);
    let running = hosted.start(Some(broker.address()))?;
    let monitor = monitor_address.map(|address| {
        monitor::serve_with(Arc::clone(&broker), address, running.guests())
            .map_err(|error| Failure::new(format!("cannot serve monitoring on {address}: {error}")))
    });
    let monitor = monitor.transpose()?;
    let pid = args.pid.as_deref().map(PidFile::write).transpose()?;
    eprintln!("Listening for client connections on {}", broker.address());
    if let Some(peers) = broker.peer_address() {
        eprintln!("Listening for route connections on {peers}");
    }
    if let Some(monitor) = &monitor {
        eprintln!("Serving monitoring on http://{}", monitor.address());
    }
    eprintln!("This host {}", broker.capacity());
    eprintln!("Server is ready");
    let mut heartbeat = Heartbeat::new();
    serve(&broker, &signals, || {
        heartbeat.beat(|| sign_of_life(&broker));
        if let Some(tls) = &mut tls {
            tls.look(&broker, files::read);
        }
        running.look_after();
    })?;
    // The monitor holds the broker and its guests, whose last handles stop them; guests before the broker they are connected to.
    drop(monitor);
    drop(running);
    drop(broker);
    drop(pid);
    Ok(Exit::Success)
}

/// A broker lives while every shard answers from its own loop.
fn sign_of_life(broker: &Broker) -> Result<String, String> {
    let answers = broker.ask(|_, _| ());
    let shards = answers.iter().enumerate();
    let silent: Vec<String> = shards
        .filter(|(_, answer)| answer.is_none())
        .map(|(shard, _)| shard.to_string())
        .collect();
    if silent.is_empty() {
        let connections = broker.core().counters().connections;
        Ok(format!("{connections} connections, all shards answer"))
    } else {
        Err(format!("shard {} does not answer", silent.join(", ")))
    }
}

/// Until a signal ends it, or a lame duck has no client left.
fn serve(broker: &Broker, signals: &Signals, mut meanwhile: impl FnMut()) -> Result<(), Failure> {
    let mut is_lame = false;
    wait_until(signals, LOG_EVERY, |signal| {
        if signal == Some(Signal::User2) && !is_lame {
            is_lame = true;
            tracing::info!("lame duck: clients are told to connect elsewhere");
            broker.start_lame_duck(LAME_DUCK_GRACE, LAME_DUCK_DURATION);
        }
        broker.log_events();
        meanwhile();
        if is_lame && broker.is_drained() {
            tracing::info!("lame duck: no client is left");
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })
}

/// Asks DNS for the peers of the cluster, where it is to be asked.
fn find_peers(config: &mut BrokerConfig) {
    let Some(cluster) = config.cluster.take() else {
        return;
    };
    let found = cluster.srv_name().map(|name| {
        let mut resolver = Resolver::system();
        resolver.begin_search(SRV_MAX);
        match resolver.srv(&name) {
            Ok(records) => {
                let servers = records.into_iter().map(|record| record.server);
                servers
                    .map(|server| RouteUrl::new(&server.host, server.port))
                    .collect()
            }
            Err(error) => {
                tracing::warn!("cannot look up {name}: {error}");
                Vec::new()
            }
        }
    });
    config.cluster = cluster.with_found(found.unwrap_or_default());
}

impl BrokerArgs {
    /// The file's settings with the flags over them; starts logging as they say.
    fn config(&self) -> Result<(BrokerConfig, Hosted), Failure> {
        let (mut config, hosted) = match &self.config {
            Some(path) => from_file(&files::load(path)?)?,
            None => {
                log::start("info", &log::Target::Stderr)?;
                (BrokerConfig::default(), Hosted::default())
            }
        };
        let address = self.addr.unwrap_or_else(|| config.listen.ip());
        let port = self.port.unwrap_or_else(|| config.listen.port());
        config.listen = SocketAddr::new(address, port);
        if let Some(port) = self.monitor {
            // Monitoring tells names and addresses: it is for this host unless a flag or the file says more.
            let configured = config.monitor.map(|address| address.ip());
            let address = configured
                .or(self.addr)
                .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            config.monitor = Some(SocketAddr::new(address, port));
        }
        config.shards = self.shards.or(config.shards);
        config.core.connections_max = self.max_connections.unwrap_or(config.core.connections_max);
        if let Some(credentials) = self.credentials() {
            config.core.authenticator = Some(Arc::new(credentials) as Arc<dyn Authenticator>);
        }
        if let Some(paths) = self.tls_paths() {
            config.tls = paths.load(files::read).map_err(Failure::new)?;
            config.tls_paths = Some(paths);
        }
        Ok((config, hosted))
    }

    fn credentials(&self) -> Option<Credentials> {
        match (&self.user, &self.pass, &self.auth) {
            (Some(user), Some(pass), _) => Some(Credentials::User {
                user: user.as_str().into(),
                password: pass.as_str().into(),
            }),
            (_, _, Some(token)) => Some(Credentials::Token(token.as_str().into())),
            _ => None,
        }
    }

    fn tls_paths(&self) -> Option<TlsPaths> {
        Some(TlsPaths {
            cert: self.tlscert.clone()?,
            key: self.tlskey.clone()?,
            ca: self.tlscacert.clone(),
            crl: self.tlscrl.clone(),
            offer: if self.tlsverify {
                TlsOffer::Mutual
            } else {
                TlsOffer::Server
            },
        })
    }
}

fn from_file(settings: &Settings) -> Result<(BrokerConfig, Hosted), Failure> {
    let config = BrokerConfig::from_settings(settings, files::read).map_err(Failure::new);
    let hosted = Hosted::read(settings);
    let mut reader = settings.reader();
    let (level, target) = log::read(&mut reader);
    let log = reader.finish().map_err(Failure::new);
    let (config, hosted, ()) = (config?, hosted?, log?);
    files::warn(settings);
    log::start(level, &target)?;
    Ok((config, hosted))
}
