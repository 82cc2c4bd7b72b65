//! What tokens say. Members are written in the order and with the escapes of the fleet's tools, so a token made here of
//! the same claims is the same token.

use std::collections::BTreeMap;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};

use super::{PublicKey, TokenError};

/// The organisation of tokens that name none.
pub const DEFAULT_ORGANIZATION: &str = "choria";

/// `purpose` of a client's token.
pub(super) const CLIENT_PURPOSE: &str = "choria_client_id";
/// `purpose` of a server's token.
pub(super) const SERVER_PURPOSE: &str = "choria_server";

/// What a token says, by its purpose.
#[derive(Debug, Clone, PartialEq)]
pub enum Claims {
    /// Somebody who may ask.
    Client(Box<ClientClaims>),
    /// A node.
    Server(Box<ServerClaims>),
}

/// What a client's token says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientClaims {
    /// Who calls, such as `up=ginger`.
    #[serde(rename = "callerid", default)]
    pub caller_id: String,
    /// What may be called, for signing services to heed: `*`, `agent.*` or `agent.action`.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub agents: Vec<String>,
    /// The organisation, which picks the issuer.
    #[serde(rename = "ou", default, skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Properties of the user.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub user_properties: BTreeMap<String, String>,
    /// An Open Policy Agent document, for signing services to heed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub opa_policy: String,
    /// What the client may beside connecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ClientPermissions>,
    /// Further subjects it may publish to.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pub_subjects: Vec<String>,
    /// Further subjects it may subscribe to.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub sub_subjects: Vec<String>,
    /// What every token says.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

/// What a server's token says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerClaims {
    /// The node's name.
    #[serde(default)]
    pub identity: String,
    /// The collectives it is in.
    #[serde(default, deserialize_with = "or_default")]
    pub collectives: Vec<String>,
    /// What the server may beside answering.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<ServerPermissions>,
    /// The organisation, which picks the issuer.
    #[serde(rename = "ou", default, skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Further subjects it may publish to.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub pub_subjects: Vec<String>,
    /// What every token says.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

/// What every token says. Times are unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StandardClaims {
    /// What the token is for; [`TokenIssuer`](super::TokenIssuer) sets it.
    #[serde(default)]
    pub purpose: String,
    /// The signatures of a chain of trust.
    #[serde(rename = "tcs", default, skip_serializing_if = "String::is_empty")]
    pub trust_chain_signature: String,
    /// The holder's key, in hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub public_key: String,
    /// When the issuer's own token ends.
    #[serde(
        rename = "issexp",
        default,
        deserialize_with = "date",
        skip_serializing_if = "Option::is_none"
    )]
    pub issuer_expires_at: Option<i64>,
    /// Who issued the token: free text, or a link of a chain of trust.
    #[serde(rename = "iss", default, skip_serializing_if = "String::is_empty")]
    pub issuer: String,
    /// Whom the token is about; used by old tokens only.
    #[serde(rename = "sub", default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// When the token ends.
    #[serde(
        rename = "exp",
        default,
        deserialize_with = "date",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<i64>,
    /// When the token begins.
    #[serde(
        rename = "nbf",
        default,
        deserialize_with = "date",
        skip_serializing_if = "Option::is_none"
    )]
    pub not_before: Option<i64>,
    /// When the token was made.
    #[serde(
        rename = "iat",
        default,
        deserialize_with = "date",
        skip_serializing_if = "Option::is_none"
    )]
    pub issued_at: Option<i64>,
    /// The token's id, by custom a KSUID.
    #[serde(rename = "jti", default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// What a client may beside connecting; all off unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientPermissions {
    /// All of the broker's streams.
    #[serde(skip_serializing_if = "is_false")]
    pub streams_admin: bool,
    /// The broker's streams as a user.
    #[serde(skip_serializing_if = "is_false")]
    pub streams_user: bool,
    /// Life-cycle events and those of autonomous agents.
    #[serde(skip_serializing_if = "is_false")]
    pub events_viewer: bool,
    /// Leader elections.
    #[serde(skip_serializing_if = "is_false")]
    pub election_user: bool,
    /// The broker's system account.
    #[serde(skip_serializing_if = "is_false")]
    pub system_user: bool,
    /// Governors.
    #[serde(skip_serializing_if = "is_false")]
    pub governor: bool,
    /// Every subject.
    #[serde(skip_serializing_if = "is_false")]
    pub org_admin: bool,
    /// Requests to nodes.
    #[serde(skip_serializing_if = "is_false")]
    pub fleet_management: bool,
    /// Requests to nodes, but only where a signing service signed them.
    #[serde(skip_serializing_if = "is_false")]
    pub signed_fleet_management: bool,
    /// A longer life than that of users' tokens.
    #[serde(rename = "service", skip_serializing_if = "is_false")]
    pub extended_lifetime: bool,
    /// Signing requests for others.
    #[serde(skip_serializing_if = "is_false")]
    pub authentication_delegator: bool,
    /// Provisioning nodes.
    #[serde(rename = "provisioner", skip_serializing_if = "is_false")]
    pub provisioner: bool,
}

/// What a server may beside answering; all off unless said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerPermissions {
    /// Submitting messages to streams.
    #[serde(skip_serializing_if = "is_false")]
    pub submission: bool,
    /// Reading streams.
    #[serde(skip_serializing_if = "is_false")]
    pub streams: bool,
    /// Governors.
    #[serde(skip_serializing_if = "is_false")]
    pub governor: bool,
    /// Serving service agents.
    #[serde(skip_serializing_if = "is_false")]
    pub service_host: bool,
}

impl Claims {
    /// What every token says.
    #[must_use]
    pub const fn standard(&self) -> &StandardClaims {
        match self {
            Self::Client(claims) => &claims.standard,
            Self::Server(claims) => &claims.standard,
        }
    }

    /// The organisation it states; empty if none.
    #[must_use]
    pub fn organization(&self) -> &str {
        match self {
            Self::Client(claims) => &claims.organization,
            Self::Server(claims) => &claims.organization,
        }
    }

    /// Who holds it: a client's caller id or a server's identity.
    #[must_use]
    pub fn holder(&self) -> &str {
        match self {
            Self::Client(claims) => &claims.caller_id,
            Self::Server(claims) => &claims.identity,
        }
    }

    /// The holder's key.
    ///
    /// # Errors
    /// There is none, or it is no key.
    pub fn public_key(&self) -> Result<PublicKey, TokenError> {
        PublicKey::from_hex(&self.standard().public_key).map_err(TokenError::PublicKey)
    }

    /// The permissions of a client; none for servers and clients that state none.
    #[must_use]
    pub fn client_permissions(&self) -> ClientPermissions {
        match self {
            Self::Client(claims) => claims.permissions.unwrap_or_default(),
            Self::Server(_) => ClientPermissions::default(),
        }
    }
}

impl StandardClaims {
    /// The first unix second in which the token is no longer valid: its own end or its issuer's, whichever comes first.
    #[must_use]
    pub fn effective_expiry(&self) -> Option<i64> {
        match (self.expires_at, self.issuer_expires_at) {
            (Some(own), Some(issuer)) => Some(own.min(issuer)),
            (own, issuer) => own.or(issuer),
        }
    }

    /// Whether the time is between begin and end.
    ///
    /// # Errors
    /// It is not.
    pub fn check_time(&self, now: u64) -> Result<(), TokenError> {
        let seconds = i64::try_from(now).unwrap_or(i64::MAX);
        if let Some(expires_at) = self.effective_expiry().filter(|end| seconds >= *end) {
            return Err(TokenError::Expired { expires_at, now });
        }
        match self.not_before.filter(|begin| seconds < *begin) {
            Some(not_before) => Err(TokenError::NotYetValid { not_before, now }),
            None => Ok(()),
        }
    }
}

/// `null` stands for nothing, as in the fleet's tools.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A date is a number of seconds, whole or not; fractions are cut off.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "dates beyond the range are as good as its ends"
        )]
        Some(float.floor() as i64)
    });
    Ok(whole)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's to choose"
)]
const fn is_false(value: &bool) -> bool {
    !*value
}
