//! INFO and CONNECT between brokers: who a peer is, where others reach it, what it can do.
//!
//! Reading is loose, as for clients: keys in any case, unknown ones ignored, the last of equal keys
//! wins, `null` is no value, but a known key of the wrong type is an error that names the key.
//! Writing gives only what is set, so that a peer of any version sees the keys it knows.
//! A CONNECT of ours never carries `lang`: brokers of the dialect take it for a lost client.
//!
//! What a value leads to (refusals, duplicates, whom to dial) is decided in `broker-core`.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a server may tell others of subjects it lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectLists {
    /// Subjects let through; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Subjects held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny: Option<Vec<String>>,
}

/// How far news of a server is to be spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GossipMode {
    /// Whoever was dialled because of it does not tell others.
    #[default]
    Usual,
    /// Not further.
    Disabled,
    /// Further, even by those who know of it by gossip only.
    Override,
}

impl GossipMode {
    fn of(number: u64) -> Self {
        match number {
            1 => Self::Disabled,
            2 => Self::Override,
            _ => Self::Usual,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Usual => 0,
            Self::Disabled => 1,
            Self::Override => 2,
        }
    }
}

impl Serialize for GossipMode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.number())
    }
}

/// The argument of INFO on a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RouteInfo {
    /// The peer's id, new at each of its starts; what it is known by.
    pub server_id: String,
    /// Its name.
    pub server_name: String,
    /// Its version; of no consequence.
    pub version: String,
    /// 2: accounts; 3 would promise message tracing.
    pub proto: u32,
    /// The language runtime; any text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub go: String,
    /// Where it listens for routes.
    pub host: String,
    /// Where it listens for routes; 0 if it does not say.
    pub port: u16,
    /// Whether it takes messages with headers.
    pub headers: bool,
    /// Whether a CONNECT to it must carry the cluster's user.
    #[serde(skip_serializing_if = "is_default")]
    pub auth_required: bool,
    /// Whether its routes speak TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_required: bool,
    /// Whether it asks for a certificate.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_verify: bool,
    /// Most bytes of headers and body of its clients; not a bound of routes.
    pub max_payload: i64,
    /// Whether it takes part in `JetStream`.
    #[serde(skip_serializing_if = "is_default")]
    pub jetstream: bool,
    /// How to dial it, `nats-route://host:port/`: its advertised address, or filled in by who spreads its INFO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// Random; of no use on a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Whether that name was made up.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// The `JetStream` domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// `host:port` of its clients' listener, for the clients of others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The same for WebSocket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ws_connect_urls: Vec<String>,
    /// Lame duck: its clients are to go elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_default")]
    pub lame_duck: bool,
    /// How it would compress; none where it can not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<String>,
    /// What it takes from others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<SubjectLists>,
    /// What it gives to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<SubjectLists>,
    /// Whether it takes `LS+` and `LMSG`.
    #[serde(skip_serializing_if = "is_default")]
    pub lnoc: bool,
    /// Whether it takes an origin in `LS-`.
    #[serde(skip_serializing_if = "is_default")]
    pub lnocu: bool,
    /// How many connections it wants to a peer; 0 is one.
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_size: i64,
    /// Which of them this is.
    #[serde(skip_serializing_if = "is_default")]
    pub route_pool_idx: i64,
    /// The one account this connection would be for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_account: Option<String>,
    /// Set when a peer moves an account to a connection of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route_acc_add_reqid: Option<String>,
    /// How far this INFO is to be spread.
    #[serde(skip_serializing_if = "is_default")]
    pub gossip_mode: GossipMode,
    /// Set in an INFO about gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Its gateway's address, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_url: Option<String>,
    /// The version of muster, where it is one: two of ours settle which of two connections stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muster: Option<String>,
}

impl RouteInfo {
    /// Reads the argument of an INFO line on a route.
    ///
    /// # Errors
    /// Not a JSON object, or a known key of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, RouteJsonError> {
        let mut keys = Keys::parse(json)?;
        Ok(Self {
            server_id: keys.take("server_id")?,
            server_name: keys.take("server_name")?,
            version: keys.take("version")?,
            proto: keys.take("proto")?,
            go: keys.take("go")?,
            host: keys.take("host")?,
            port: keys.take("port")?,
            headers: keys.take("headers")?,
            auth_required: keys.take("auth_required")?,
            tls_required: keys.take("tls_required")?,
            tls_verify: keys.take("tls_verify")?,
            max_payload: keys.take("max_payload")?,
            jetstream: keys.take("jetstream")?,
            ip: keys.text("ip")?,
            nonce: keys.text("nonce")?,
            cluster: keys.text("cluster")?,
            cluster_dynamic: keys.take("cluster_dynamic")?,
            domain: keys.text("domain")?,
            connect_urls: keys.take("connect_urls")?,
            ws_connect_urls: keys.take("ws_connect_urls")?,
            lame_duck: keys.take("ldm")?,
            compression: keys.text("compression")?,
            import: keys.take("import")?,
            export: keys.take("export")?,
            lnoc: keys.take("lnoc")?,
            lnocu: keys.take("lnocu")?,
            route_pool_size: keys.take("route_pool_size")?,
            route_pool_idx: keys.take("route_pool_idx")?,
            route_account: keys.text("route_account")?,
            route_acc_add_reqid: keys.text("route_acc_add_reqid")?,
            gossip_mode: GossipMode::of(keys.take("gossip_mode")?),
            gateway: keys.text("gateway")?,
            gateway_url: keys.text("gateway_url")?,
            muster: keys.text("muster")?,
        })
    }
}

/// The argument of CONNECT on a route; only who dialled sends it. `Debug` hides the password.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct RouteConnect {
    /// Whether a queue message that found nobody may come back.
    pub echo: bool,
    /// Wants `+OK` for each operation; never ours.
    pub verbose: bool,
    /// Of no consequence.
    pub pedantic: bool,
    /// The cluster's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The cluster's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<Box<str>>,
    /// Whether this cluster's routes speak TLS; of no consequence.
    pub tls_required: bool,
    /// Whether headers are taken; the INFO that follows decides.
    pub headers: bool,
    /// The dialling server's id.
    pub name: Box<str>,
    /// The cluster's name, which must be the receiver's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Box<str>>,
    /// Whether that name was made up.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster_dynamic: bool,
    /// Set by gateways that came to the wrong port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Box<str>>,
    /// Set by clients that came to the wrong port.
    #[serde(skip_serializing)]
    pub lang: Option<Box<str>>,
}

impl Default for RouteConnect {
    /// What stands where a peer is silent: bare minimum peers still want what nobody took back.
    fn default() -> Self {
        Self {
            echo: true,
            verbose: false,
            pedantic: false,
            user: None,
            pass: None,
            tls_required: false,
            headers: false,
            name: "".into(),
            cluster: None,
            cluster_dynamic: false,
            gateway: None,
            lang: None,
        }
    }
}

impl RouteConnect {
    /// Reads the argument of a CONNECT line on a route.
    ///
    /// # Errors
    /// Not a JSON object, or a known key of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, RouteJsonError> {
        let mut keys = Keys::parse(json)?;
        let boxed = |text: Option<String>| text.map(String::into_boxed_str);
        Ok(Self {
            echo: keys.optional("echo")?.unwrap_or(true),
            verbose: keys.take("verbose")?,
            pedantic: keys.take("pedantic")?,
            user: boxed(keys.text("user")?),
            pass: boxed(keys.text("pass")?),
            tls_required: keys.take("tls_required")?,
            headers: keys.take("headers")?,
            name: keys.take::<String>("name")?.into(),
            cluster: boxed(keys.text("cluster")?),
            cluster_dynamic: keys.take("cluster_dynamic")?,
            gateway: boxed(keys.text("gateway")?),
            lang: boxed(keys.text("lang")?),
        })
    }
}

impl fmt::Debug for RouteConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteConnect")
            .field("name", &self.name)
            .field("cluster", &self.cluster)
            .field("user", &self.user)
            .field("pass", &self.pass.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// `INFO {json} ` on a route.
pub fn put_route_info(out: &mut Vec<u8>, info: &RouteInfo) {
    out.extend_from_slice(b"INFO ");
    serde_json::to_writer(&mut *out, info).expect("strings and numbers, written to memory");
    out.extend_from_slice(b" \r\n");
}

/// `CONNECT {json}` on a route.
pub fn put_route_connect(out: &mut Vec<u8>, connect: &RouteConnect) {
    out.extend_from_slice(b"CONNECT ");
    serde_json::to_writer(&mut *out, connect).expect("strings and numbers, written to memory");
    out.extend_from_slice(b"\r\n");
}

/// An INFO or CONNECT of a route that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteJsonError {
    /// Not JSON, up to this column of its last line, from 1.
    Syntax {
        /// Where reading stopped.
        column: usize,
    },
    /// JSON, but no object.
    NotAnObject,
    /// A known key with a value of the wrong type or out of range.
    WrongType {
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for RouteJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { column } => write!(f, "not json at column {column}"),
            Self::NotAnObject => f.write_str("no json object"),
            Self::WrongType { key } => write!(f, "{key} has a value of the wrong type"),
        }
    }
}

impl std::error::Error for RouteJsonError {}

/// The keys of an object, in lower case, without nulls.
struct Keys(Map<String, Value>);

impl Keys {
    fn parse(json: &[u8]) -> Result<Self, RouteJsonError> {
        let text = String::from_utf8_lossy(json);
        let value: Value = serde_json::from_str(&text).map_err(|error| RouteJsonError::Syntax {
            column: error.column(),
        })?;
        let Value::Object(object) = value else {
            return Err(RouteJsonError::NotAnObject);
        };
        let keys = object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.to_ascii_lowercase(), value));
        Ok(Self(keys.collect()))
    }

    fn optional<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Result<Option<T>, RouteJsonError> {
        let value = self.0.remove(key).map(T::deserialize);
        value
            .transpose()
            .map_err(|_| RouteJsonError::WrongType { key })
    }

    fn take<T: DeserializeOwned + Default>(
        &mut self,
        key: &'static str,
    ) -> Result<T, RouteJsonError> {
        self.optional(key).map(Option::unwrap_or_default)
    }

    /// Empty text is like none.
    fn text(&mut self, key: &'static str) -> Result<Option<String>, RouteJsonError> {
        let text: Option<String> = self.optional(key)?;
        Ok(text.filter(|text| !text.is_empty()))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
