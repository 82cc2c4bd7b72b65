//! The servers the scripts run against.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use muster_broker::{Broker, BrokerConfig, ClusterSetting};
use muster_broker_core::config::{CoreConfig, Credentials};

use crate::members::Members;
use crate::script::Case;

/// A kind of server.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Muster {
        shards: u16,
    },
    NatsServer(PathBuf),
    /// Three members: of ours, or the last one a real one.
    Cluster(Option<PathBuf>),
}

/// What a script runs against; it ends when dropped.
pub(crate) enum Server {
    One(One),
    Cluster { servers: Vec<One>, members: Members },
}

/// A running server.
pub(crate) enum One {
    Muster(Box<Broker>),
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
            Self::Cluster(None) => formatter.write_str("cluster"),
            Self::Cluster(Some(_)) => formatter.write_str("mixed_cluster"),
        }
    }
}

impl Target {
    /// Whether the case is for servers of this kind.
    pub(crate) fn plays(&self, case: &Case) -> bool {
        // Probes and the members' own limits would be counted.
        let counts = case
            .settings
            .iter()
            .any(|(key, _)| key == "max_connections");
        match (self, case.only.as_deref()) {
            (Self::Cluster(_), _) if counts => false,
            (Self::Muster { .. } | Self::NatsServer(_), Some("one-broker")) => true,
            (_, None) | (Self::Muster { .. } | Self::Cluster(None), Some("muster")) => true,
            (Self::NatsServer(_), Some(only)) => only == "nats-server",
            (Self::Muster { .. } | Self::Cluster(_), Some(_)) => false,
        }
    }

    pub(crate) fn start(&self, settings: &Settings) -> Result<Server, String> {
        match self {
            Self::Muster { shards } => start_muster(*shards, settings, None).map(Server::One),
            Self::NatsServer(path) => start_nats_server(path, settings, None).map(Server::One),
            Self::Cluster(real) => start_cluster(real.as_deref(), settings),
        }
    }
}

fn start_muster(
    shards: u16,
    settings: &Settings,
    cluster: Option<ClusterSetting>,
) -> Result<One, String> {
    let core = CoreConfig {
        connections_max: 1000,
        ..CoreConfig::default()
    };
    let config = BrokerConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        shards: Some(shards),
        core: core_config(core, settings),
        cluster,
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).map_err(|error| error.to_string())?;
    Ok(One::Muster(Box::new(broker)))
}

fn start_cluster(real: Option<&Path>, settings: &Settings) -> Result<Server, String> {
    let mut servers = Vec::new();
    let mut routes: Vec<SocketAddr> = Vec::new();
    for place in 0_u16..3 {
        if let Some(path) = real.filter(|_| place == 2) {
            servers.push(start_nats_server(path, settings, Some(&routes))?);
            continue;
        }
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cluster = ClusterSetting::new("C", listen).with_routes(routes.iter().copied());
        let one = start_muster(1 + 2 * (place % 2), settings, Some(cluster))?;
        routes.extend(one.broker().and_then(Broker::peer_address));
        servers.push(one);
    }
    let addresses = servers.iter().map(One::address).collect();
    let members = Members::gather(addresses, &login(settings))?;
    Ok(Server::Cluster { servers, members })
}

/// What a probe must show.
fn login(settings: &Settings) -> String {
    let mut login = String::new();
    for (key, value) in settings {
        match (key.as_str(), value.split_once(' ')) {
            ("token", _) => login += &format!(",\"auth_token\":\"{value}\""),
            ("user", Some((user, password))) => {
                login += &format!(",\"user\":\"{user}\",\"pass\":\"{password}\"");
            }
            _ => {}
        }
    }
    login
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

fn start_nats_server(
    path: &Path,
    settings: &Settings,
    routes: Option<&[SocketAddr]>,
) -> Result<One, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config = folder.path().join("server.conf");
    let mut text = nats_config(settings);
    if let Some(routes) = routes {
        let routes: Vec<String> = routes
            .iter()
            .map(|route| format!("\"nats://{route}\""))
            .collect();
        let routes = routes.join(", ");
        text += &format!(
            "cluster {{\n  name: C\n  listen: \"127.0.0.1:-1\"\n  routes: [{routes}]\n}}\n"
        );
    }
    std::fs::write(&config, text).map_err(|error| error.to_string())?;
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
    Ok(One::NatsServer {
        child,
        address,
        _folder: folder,
    })
}

impl Server {
    /// Where a connection of the script goes.
    pub(crate) fn address(&self, conn: char) -> SocketAddr {
        match self {
            Self::One(one) => one.address(),
            Self::Cluster { members, .. } => members.address(conn),
        }
    }

    /// Lets what one connection said be known to all.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        match self {
            Self::One(_) => Ok(()),
            Self::Cluster { servers, members } => {
                let ours: Vec<&Broker> = servers.iter().filter_map(One::broker).collect();
                members.settle(&ours)
            }
        }
    }
}

impl One {
    fn address(&self) -> SocketAddr {
        match self {
            Self::Muster(broker) => broker.address(),
            Self::NatsServer { address, .. } => *address,
        }
    }

    fn broker(&self) -> Option<&Broker> {
        match self {
            Self::Muster(broker) => Some(broker),
            Self::NatsServer { .. } => None,
        }
    }
}

impl Drop for One {
    fn drop(&mut self) {
        if let Self::NatsServer { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
