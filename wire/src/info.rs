//! INFO: what a server says of itself, and of the connection.
//!
//! Only what a client may see is here; the keys of routes, gateways and leaf nodes are not, and are
//! ignored when read. Keys are written in the order of the fields, and an optional one is left out
//! when it is empty, false or zero, so that the line equals other servers' byte for byte.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The argument of INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// A public nkey starting with `N`, new at every start.
    pub server_id: String,
    /// The configured name; the id if there is none.
    pub server_name: String,
    /// Clients decide by it what they may use.
    pub version: String,
    /// 1: may send INFO at any time.
    pub proto: u32,
    /// Build.
    #[serde(skip_serializing_if = "is_blank")]
    pub git_commit: Option<Box<str>>,
    /// The language runtime; any text.
    pub go: String,
    /// Where clients connect to.
    pub host: String,
    /// Where clients connect to.
    pub port: u16,
    /// Whether headers are offered.
    pub headers: bool,
    /// Whether CONNECT must carry credentials.
    #[serde(skip_serializing_if = "is_false")]
    pub auth_required: bool,
    /// Whether TLS must begin right after this INFO.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_required: bool,
    /// Whether the client must show a certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_verify: bool,
    /// Whether TLS may begin right after this INFO.
    #[serde(skip_serializing_if = "is_false")]
    pub tls_available: bool,
    /// Most bytes of headers and body; −1 for no limit.
    pub max_payload: i64,
    /// Whether JetStream is there.
    #[serde(skip_serializing_if = "is_false")]
    pub jetstream: bool,
    /// Of routes, in practice.
    #[serde(skip_serializing_if = "is_blank")]
    pub ip: Option<Box<str>>,
    /// The connection's number, unique in one run of the server.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub client_id: u64,
    /// The address the server sees, without the port.
    #[serde(skip_serializing_if = "is_blank")]
    pub client_ip: Option<Box<str>>,
    /// What a client with an nkey has to sign.
    #[serde(skip_serializing_if = "is_blank")]
    pub nonce: Option<Box<str>>,
    /// The cluster's name.
    #[serde(skip_serializing_if = "is_blank")]
    pub cluster: Option<Box<str>>,
    /// Whether that name was made up.
    #[serde(skip_serializing_if = "is_false")]
    pub cluster_dynamic: bool,
    /// The JetStream domain.
    #[serde(skip_serializing_if = "is_blank")]
    pub domain: Option<Box<str>>,
    /// `host:port` of each server of the cluster, own first; empty for a server on its own.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub connect_urls: Vec<String>,
    /// The same for WebSocket.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub ws_connect_urls: Vec<String>,
    /// Lame duck: going down, connect elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub lame_duck: bool,
    /// Of routes and leaf nodes.
    #[serde(skip_serializing_if = "is_blank")]
    pub compression: Option<Box<str>>,
    /// Set in the INFO that follows the first PONG.
    #[serde(skip_serializing_if = "is_false")]
    pub connect_info: bool,
    /// The account the connection is in (same INFO).
    #[serde(skip_serializing_if = "is_blank")]
    pub remote_account: Option<Box<str>>,
    /// Whether that is the system account.
    #[serde(rename = "acc_is_sys", skip_serializing_if = "is_false")]
    pub account_is_system: bool,
    /// The JetStream API's level.
    #[serde(rename = "api_lvl", skip_serializing_if = "is_zero_u32")]
    pub api_level: u32,
    /// An x25519 key for authorisation callouts.
    #[serde(skip_serializing_if = "is_blank")]
    pub xkey: Option<Box<str>>,
}

impl Info {
    /// Reads the argument of an INFO line. Missing keys are empty, unknown ones ignored.
    ///
    /// # Errors
    ///
    /// Not a JSON object, or a value of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, InfoError> {
        serde_json::from_slice(json).map_err(|error| InfoError {
            column: error.column(),
        })
    }
}

/// An INFO that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoError {
    /// Where in its last line reading stopped, from 1.
    pub column: usize,
}

impl fmt::Display for InfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "info is not readable at column {}", self.column)
    }
}

impl std::error::Error for InfoError {}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Empty text is left out like none.
fn is_blank(text: &Option<Box<str>>) -> bool {
    text.as_deref().is_none_or(str::is_empty)
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::put_info;

    fn line(info: &Info) -> String {
        let mut out = Vec::new();
        put_info(&mut out, info);
        String::from_utf8(out).unwrap()
    }

    fn full() -> Info {
        let text = |text: &str| Some(text.into());
        Info {
            server_id: "NA".into(),
            server_name: "b1".into(),
            version: "2.14.0".into(),
            proto: 1,
            git_commit: text("c"),
            go: "none".into(),
            host: "0.0.0.0".into(),
            port: 4222,
            headers: true,
            auth_required: true,
            tls_required: true,
            tls_verify: true,
            tls_available: true,
            max_payload: 1_048_576,
            jetstream: true,
            ip: text("i"),
            client_id: 5,
            client_ip: text("127.0.0.1"),
            nonce: text("n"),
            cluster: text("C"),
            cluster_dynamic: true,
            domain: text("d"),
            connect_urls: vec!["a:1".into(), "b:2".into()],
            ws_connect_urls: vec!["w:1".into()],
            lame_duck: true,
            compression: text("s2"),
            connect_info: true,
            remote_account: text("$G"),
            account_is_system: true,
            api_level: 3,
            xkey: text("x"),
        }
    }

    #[test]
    fn an_idle_server_shows_the_keys_that_are_always_there() {
        let expected = r#"INFO {"server_id":"","server_name":"","version":"","proto":0,"go":"","host":"","port":0,"headers":false,"max_payload":0} "#;
        assert_eq!(line(&Info::default()), format!("{expected}\r\n"));
        let empty = Info {
            nonce: Some("".into()),
            ..Info::default()
        };
        assert_eq!(line(&empty), line(&Info::default()));
    }

    #[test]
    fn keys_stand_in_the_order_of_the_dialect() {
        let expected = concat!(
            r#"INFO {"server_id":"NA","server_name":"b1","version":"2.14.0","proto":1,"#,
            r#""git_commit":"c","go":"none","host":"0.0.0.0","port":4222,"headers":true,"#,
            r#""auth_required":true,"tls_required":true,"tls_verify":true,"tls_available":true,"#,
            r#""max_payload":1048576,"jetstream":true,"ip":"i","client_id":5,"#,
            r#""client_ip":"127.0.0.1","nonce":"n","cluster":"C","cluster_dynamic":true,"#,
            r#""domain":"d","connect_urls":["a:1","b:2"],"ws_connect_urls":["w:1"],"ldm":true,"#,
            r#""compression":"s2","connect_info":true,"remote_account":"$G","acc_is_sys":true,"#,
            r#""api_lvl":3,"xkey":"x"} "#,
            "\r\n",
        );
        assert_eq!(line(&full()), expected);
    }

    #[test]
    fn what_is_written_reads_back() {
        for info in [full(), Info::default()] {
            let line = line(&info);
            let json = line.strip_prefix("INFO ").unwrap();
            assert_eq!(Info::parse(json.as_bytes()), Ok(info));
        }
    }

    #[test]
    fn other_servers_may_leave_out_and_add_keys() {
        let json = br#"{"server_id":"N","connect_urls":null,"lnoc":true,"max_payload":-1,"gateway_urls":["x"]}"#;
        let expected = Info {
            server_id: "N".into(),
            max_payload: -1,
            ..Info::default()
        };
        assert_eq!(Info::parse(json), Ok(expected));
        for bad in ["", "{", "[1]x", r#"{"port":"4222"}"#, r#"{"port":65536}"#] {
            assert!(Info::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
