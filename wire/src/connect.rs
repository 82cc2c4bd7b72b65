//! CONNECT: who a client is and what it wants.
//!
//! Reading follows the dialect's loose rules: keys in any case, unknown ones ignored, the last of
//! equal keys wins, `null` leaves a value as it was, but a wrong type is an error.
//! A key that is missing has the value of a connection without any CONNECT, and there `verbose`,
//! `pedantic` and `echo` are on.
//! Keys that only routes and leaf nodes send (`import`, `export`, `remote_account`, …) are unknown
//! here. What the values lead to (authentication, refusals) is the broker's affair.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The argument of CONNECT.
///
/// Text that is empty is `None`. `Debug` shows of a secret only that it is there.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Connect {
    /// Wants `+OK` for each accepted operation.
    pub verbose: bool,
    /// Wants its publish subjects checked.
    pub pedantic: bool,
    /// Wants its own messages delivered to its own subscriptions.
    pub echo: bool,
    /// Servers ignore it.
    pub tls_required: bool,
    /// The public user nkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey: Option<Box<str>>,
    /// The nonce of INFO, signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sig: Option<Box<str>>,
    /// The user's JWT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Box<str>>,
    /// The token, where authentication is by token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Box<str>>,
    /// The user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass: Option<Box<str>>,
    /// The connection's name, for monitoring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The client library's language.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lang: Option<Box<str>>,
    /// The client library's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// 1: understands an INFO at any time. Servers refuse anything but 0 and 1.
    pub protocol: i64,
    /// Legacy; refused where not empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<Box<str>>,
    /// Legacy; refused where set.
    #[serde(skip_serializing_if = "is_false")]
    pub new_account: bool,
    /// Understands message headers.
    pub headers: bool,
    /// Wants a 503 where nobody listens; needs `headers`.
    pub no_responders: bool,
    /// A trusted proxy's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_sig: Option<Box<str>>,
}

impl Default for Connect {
    /// The state of a connection that sent no CONNECT.
    fn default() -> Self {
        Self {
            verbose: true,
            pedantic: true,
            echo: true,
            tls_required: false,
            nkey: None,
            sig: None,
            jwt: None,
            auth_token: None,
            user: None,
            pass: None,
            name: None,
            lang: None,
            version: None,
            protocol: 0,
            account: None,
            new_account: false,
            headers: false,
            no_responders: false,
            proxy_sig: None,
        }
    }
}

impl Connect {
    /// Reads the argument of a CONNECT line.
    ///
    /// Bytes that are no UTF-8 are replaced rather than refused, as the dialect does: a client's
    /// name in an old encoding is no reason to keep it out.
    ///
    /// # Errors
    ///
    /// Not a JSON object, or a known key with a value of the wrong type.
    pub fn parse(json: &[u8]) -> Result<Self, ConnectError> {
        Self::parse_over(Self::default(), json)
    }

    /// Reads a further CONNECT of a connection: a key that is missing keeps its value of `before`.
    ///
    /// # Errors
    ///
    /// As for [`Connect::parse`].
    pub fn parse_over(before: Self, json: &[u8]) -> Result<Self, ConnectError> {
        let text = String::from_utf8_lossy(json);
        let mut from = serde_json::Deserializer::from_str(&text);
        let connect = from.deserialize_any(Fields(before));
        let connect = connect.and_then(|connect| from.end().map(|()| connect));
        connect.map_err(|error| ConnectError::of(&error))
    }
}

/// A CONNECT that cannot be read. The broker closes without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// Not JSON, up to this column of its last line, from 1.
    Syntax {
        /// Where reading stopped.
        column: usize,
    },
    /// Not an object, or a value of the wrong type.
    WrongType {
        /// Where reading stopped.
        column: usize,
    },
}

impl ConnectError {
    fn of(error: &serde_json::Error) -> Self {
        let column = error.column();
        if error.is_data() {
            Self::WrongType { column }
        } else {
            Self::Syntax { column }
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { column } => write!(f, "connect is not json at column {column}"),
            Self::WrongType { column } => {
                write!(
                    f,
                    "connect has a value of the wrong type at column {column}"
                )
            }
        }
    }
}

impl std::error::Error for ConnectError {}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = |text: &Option<Box<str>>| text.as_ref().map(|_| "…");
        f.debug_struct("Connect")
            .field("verbose", &self.verbose)
            .field("pedantic", &self.pedantic)
            .field("echo", &self.echo)
            .field("tls_required", &self.tls_required)
            .field("nkey", &self.nkey)
            .field("sig", &secret(&self.sig))
            .field("jwt", &secret(&self.jwt))
            .field("auth_token", &secret(&self.auth_token))
            .field("user", &self.user)
            .field("pass", &secret(&self.pass))
            .field("name", &self.name)
            .field("lang", &self.lang)
            .field("version", &self.version)
            .field("protocol", &self.protocol)
            .field("account", &self.account)
            .field("new_account", &self.new_account)
            .field("headers", &self.headers)
            .field("no_responders", &self.no_responders)
            .field("proxy_sig", &secret(&self.proxy_sig))
            .finish()
    }
}

/// Takes the keys one by one, since derived code compares them by case.
struct Fields(Connect);

impl<'de> Visitor<'de> for Fields {
    type Value = Connect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Connect, E> {
        Ok(self.0)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Connect, M::Error> {
        let mut connect = self.0;
        while let Some(mut key) = map.next_key::<String>()? {
            key.make_ascii_lowercase();
            let c = &mut connect;
            match key.as_str() {
                "verbose" => value(&mut map, &mut c.verbose)?,
                "pedantic" => value(&mut map, &mut c.pedantic)?,
                "echo" => value(&mut map, &mut c.echo)?,
                "tls_required" => value(&mut map, &mut c.tls_required)?,
                "nkey" => text(&mut map, &mut c.nkey)?,
                "sig" => text(&mut map, &mut c.sig)?,
                "jwt" => text(&mut map, &mut c.jwt)?,
                "auth_token" => text(&mut map, &mut c.auth_token)?,
                "user" => text(&mut map, &mut c.user)?,
                "pass" => text(&mut map, &mut c.pass)?,
                "name" => text(&mut map, &mut c.name)?,
                "lang" => text(&mut map, &mut c.lang)?,
                "version" => text(&mut map, &mut c.version)?,
                "protocol" => value(&mut map, &mut c.protocol)?,
                "account" => text(&mut map, &mut c.account)?,
                "new_account" => value(&mut map, &mut c.new_account)?,
                "headers" => value(&mut map, &mut c.headers)?,
                "no_responders" => value(&mut map, &mut c.no_responders)?,
                "proxy_sig" => text(&mut map, &mut c.proxy_sig)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(connect)
    }
}

fn value<'de, M: MapAccess<'de>, T: Deserialize<'de>>(
    map: &mut M,
    field: &mut T,
) -> Result<(), M::Error> {
    if let Some(value) = map.next_value::<Option<T>>()? {
        *field = value;
    }
    Ok(())
}

fn text<'de, M: MapAccess<'de>>(map: &mut M, field: &mut Option<Box<str>>) -> Result<(), M::Error> {
    if let Some(text) = map.next_value::<Option<Box<str>>>()? {
        *field = Some(text).filter(|text| !text.is_empty());
    }
    Ok(())
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::put_connect;

    fn quiet() -> Connect {
        Connect {
            verbose: false,
            pedantic: false,
            ..Connect::default()
        }
    }

    #[track_caller]
    fn check(json: &str, expected: Connect) {
        assert_eq!(Connect::parse(json.as_bytes()), Ok(expected), "{json}");
    }

    #[test]
    fn missing_keys_have_the_values_from_before_connect() {
        check("{}", Connect::default());
        check("null", Connect::default());
        check(r#" {"verbose":false,"pedantic":false} "#, quiet());
        let unmuted = Connect::default();
        assert!(unmuted.verbose && unmuted.pedantic && unmuted.echo && !unmuted.headers);
    }

    #[test]
    fn every_key_is_read() {
        let text = |text: &str| Some(text.into());
        let json = r#"{"verbose":false,"pedantic":false,"echo":false,"tls_required":true,
            "nkey":"n","sig":"s","jwt":"j","auth_token":"t","user":"u","pass":"p","name":"me",
            "lang":"go","version":"1.2.3","protocol":1,"account":"a","new_account":true,
            "headers":true,"no_responders":true,"proxy_sig":"x"}"#;
        let expected = Connect {
            verbose: false,
            pedantic: false,
            echo: false,
            tls_required: true,
            nkey: text("n"),
            sig: text("s"),
            jwt: text("j"),
            auth_token: text("t"),
            user: text("u"),
            pass: text("p"),
            name: text("me"),
            lang: text("go"),
            version: text("1.2.3"),
            protocol: 1,
            account: text("a"),
            new_account: true,
            headers: true,
            no_responders: true,
            proxy_sig: text("x"),
        };
        check(json, expected.clone());
        check(
            &json.replace("\"lang\"", "\"LanG\"").replace("echo", "ECHO"),
            expected.clone(),
        );
        let mut out = Vec::new();
        put_connect(&mut out, &expected);
        let json = out.strip_prefix(b"CONNECT ").unwrap();
        assert_eq!(Connect::parse(json), Ok(expected));
    }

    #[test]
    fn loose_where_the_dialect_is() {
        check(
            r#"{"verbose":false,"x":{"y":[1,null]},"import":{},"pedantic":false}"#,
            quiet(),
        );
        check(
            r#"{"verbose":null,"user":null,"protocol":null}"#,
            Connect::default(),
        );
        check(r#"{"user":""}"#, Connect::default());
        let user = |user: &str| Connect {
            user: Some(user.into()),
            ..Connect::default()
        };
        check(r#"{"user":"a","USER":"b"}"#, user("b"));
        assert_eq!(Connect::parse(b"{\"user\":\"\xff\"}"), Ok(user("\u{fffd}")));
        check(
            r#"{"protocol":7}"#,
            Connect {
                protocol: 7,
                ..Connect::default()
            },
        );
    }

    #[test]
    fn wrong_types_and_broken_json() {
        for bad in [
            r#"{"verbose":1}"#,
            r#"{"verbose":"true"}"#,
            r#"{"user":5}"#,
            r#"{"pass":["x"]}"#,
            r#"{"protocol":1.5}"#,
            r#"{"protocol":"1"}"#,
            "[]",
            "3",
            "\"x\"",
        ] {
            let found = Connect::parse(bad.as_bytes());
            assert!(
                matches!(found, Err(ConnectError::WrongType { .. })),
                "{bad} {found:?}"
            );
        }
        for bad in ["", "{", "{}x", "nul", "{\"verbose\":tru}", "{verbose:true}"] {
            let found = Connect::parse(bad.as_bytes());
            assert!(
                matches!(found, Err(ConnectError::Syntax { .. })),
                "{bad} {found:?}"
            );
        }
    }

    #[test]
    fn our_client_leaves_nothing_to_defaults() {
        let mut out = Vec::new();
        put_connect(
            &mut out,
            &Connect {
                name: Some("n".into()),
                ..quiet()
            },
        );
        let expected = r#"CONNECT {"verbose":false,"pedantic":false,"echo":true,"tls_required":false,"name":"n","protocol":0,"headers":false,"no_responders":false}"#;
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\r\n"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let text = || Some(Box::from("hunter2"));
        let connect = Connect {
            pass: text(),
            auth_token: text(),
            jwt: text(),
            sig: text(),
            proxy_sig: text(),
            ..Connect::default()
        };
        let shown = format!("{connect:?}");
        assert!(
            shown.contains("pass: Some") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
