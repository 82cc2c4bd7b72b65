//! The servers the scripts run against.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig};
use muster_broker_core::config::{CoreConfig, Credentials};

/// A kind of server.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Muster { shards: u16 },
    NatsServer(PathBuf),
}

/// A running server; it ends when dropped.
pub(crate) enum Server {
    Muster(Broker),
    NatsServer {
        child: Child,
        address: SocketAddr,
        _folder: tempfile::TempDir,
    },
}

type Settings = [(String, String)];

/// The real one, if there is one here.
pub(crate) fn nats_server() -> Option<PathBuf> {
    let given = std::env::var_os("MUSTER_NATS_SERVER").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/nats-server");
    given.or(Some(usual)).filter(|path| path.is_file())
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Muster { shards } => write!(formatter, "muster_{shards}"),
            Self::NatsServer(_) => formatter.write_str("nats_server"),
        }
    }
}

impl Target {
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Self::Muster { .. } => "muster",
            Self::NatsServer(_) => "nats-server",
        }
    }

    pub(crate) fn start(&self, settings: &Settings) -> Result<Server, String> {
        match self {
            Self::Muster { shards } => {
                let core = CoreConfig {
                    connections_max: 1000,
                    ..CoreConfig::default()
                };
                let config = BrokerConfig {
                    listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                    shards: Some(*shards),
                    core: core_config(core, settings),
                    ..BrokerConfig::default()
                };
                Broker::start(config)
                    .map(Server::Muster)
                    .map_err(|error| error.to_string())
            }
            Self::NatsServer(path) => start_nats_server(path, settings),
        }
    }
}

fn core_config(mut core: CoreConfig, settings: &Settings) -> CoreConfig {
    for (key, value) in settings {
        match key.as_str() {
            "token" => {
                core.authenticator = Some(Arc::new(Credentials::Token(value.as_str().into())));
            }
            "user" => {
                let (user, password) = value.split_once(' ').expect("a user and a password");
                let (user, password) = (user.into(), password.into());
                core.authenticator = Some(Arc::new(Credentials::User { user, password }));
            }
            "auth_timeout_ms" => core.auth_timeout = Duration::from_millis(value.parse().unwrap()),
            "ping_interval_ms" => {
                core.ping_interval = Duration::from_millis(value.parse().unwrap());
            }
            "ping_max" => core.pings_out_max = value.parse().unwrap(),
            "max_payload" => core.limits.payload_max = value.parse().unwrap(),
            "max_control_line" => core.limits.control_line_max = value.parse().unwrap(),
            "max_connections" => core.connections_max = value.parse().unwrap(),
            "max_subscriptions" => core.subscriptions_max = value.parse().unwrap(),
            "no_headers" => core.limits.headers = false,
            other => panic!("no such setting: {other}"),
        }
    }
    core
}

fn nats_config(settings: &Settings) -> String {
    let mut text = String::from("listen: 127.0.0.1:-1\n");
    let mut authorization = String::new();
    for (key, value) in settings {
        let done = match key.as_str() {
            "token" => writeln!(authorization, "  token: {value}"),
            "user" => {
                let (user, password) = value.split_once(' ').expect("a user and a password");
                writeln!(authorization, "  user: {user}\n  password: {password}")
            }
            "auth_timeout_ms" => {
                let milliseconds: u32 = value.parse().unwrap();
                writeln!(
                    authorization,
                    "  timeout: {}",
                    f64::from(milliseconds) / 1000.0
                )
            }
            "ping_interval_ms" => writeln!(text, "ping_interval: \"{value}ms\""),
            "ping_max" | "max_payload" | "max_control_line" | "max_connections"
            | "max_subscriptions" => {
                writeln!(text, "{key}: {value}")
            }
            "no_headers" => writeln!(text, "no_header_support: true"),
            other => panic!("no such setting: {other}"),
        };
        done.expect("a string takes everything");
    }
    if !authorization.is_empty() {
        text = format!("{text}authorization {{\n{authorization}}}\n");
    }
    text
}

fn start_nats_server(path: &Path, settings: &Settings) -> Result<Server, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config = folder.path().join("server.conf");
    std::fs::write(&config, nats_config(settings)).map_err(|error| error.to_string())?;
    let mut child = Command::new(path)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut said = String::new();
    let mut address = None;
    loop {
        let before = said.len();
        if log
            .read_line(&mut said)
            .map_err(|error| error.to_string())?
            == 0
        {
            return Err(format!("nats-server did not start: {said}"));
        }
        let line = &said[before..];
        if let Some((_, found)) = line.split_once("Listening for client connections on ") {
            address = found.trim().parse().ok();
        } else if line.contains("Server is ready") {
            break;
        }
    }
    // The log goes on; a full pipe would stop the server.
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    let address = address.ok_or("nats-server did not say where it listens")?;
    Ok(Server::NatsServer {
        child,
        address,
        _folder: folder,
    })
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Muster(broker) => broker.address(),
            Self::NatsServer { address, .. } => *address,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::NatsServer { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
