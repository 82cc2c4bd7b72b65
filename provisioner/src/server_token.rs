//! Tokens for nodes that go by version 2 of the protocol: what they say, and who signs them.

use std::fmt;
use std::time::Duration;

use muster_protocol::ksuid::Ksuid;
use muster_protocol::security::tokens::{
    Claims, DEFAULT_ORGANIZATION, PublicKey, ServerClaims, ServerPermissions, SigningKey,
    StandardClaims, TokenError, TokenIssuer, UnverifiedToken,
};
use serde_json::{Map, Value};

use crate::config::SERVER_TOKEN_VALIDITY_MIN;
use crate::helper::Setup;

/// Who says so, where no chain issuer does.
const ISSUER: &str = "Choria Provisioner";

/// Signs tokens for nodes.
#[derive(Debug)]
pub struct ServerIssuer {
    issuer: TokenIssuer,
    validity: Duration,
}

/// Why a node gets no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTokenError {
    /// A claim of the helper's has a form it must not have.
    Claim(&'static str),
    /// It cannot be signed.
    Token(TokenError),
}

impl ServerIssuer {
    /// An issuer by its seed in hex and, where it is a chain issuer, its own token.
    ///
    /// # Errors
    /// The seed is none, or the token is not that of its chain issuer.
    pub fn new(seed: &str, token: Option<&str>, validity: Duration) -> Result<Self, TokenError> {
        let key = SigningKey::from_seed_hex(seed).map_err(TokenError::PublicKey)?;
        let issuer = match token {
            None => TokenIssuer::new(key),
            Some(token) => {
                let own = UnverifiedToken::parse(token.trim())?;
                TokenIssuer::chained(&own.claims, key)?
            }
        };
        Ok(Self { issuer, validity })
    }

    /// The issuer's public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.issuer.public()
    }

    /// A token for this node and its key.
    ///
    /// # Errors
    /// The helper's claims are malformed, or the library refuses.
    pub fn sign(
        &self,
        identity: &str,
        public_key: &str,
        setup: &Setup,
        unix: Duration,
        random: [u8; 16],
    ) -> Result<String, ServerTokenError> {
        let now = i64::try_from(unix.as_secs()).unwrap_or(i64::MAX);
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let empty = Map::new();
        let wishes = setup.server_claims.as_ref().unwrap_or(&empty);
        let expires = now.saturating_add(seconds(self.validity));
        let earliest = now.saturating_add(seconds(SERVER_TOKEN_VALIDITY_MIN));
        let wished = match wishes.get("exp") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_i64().ok_or(ServerTokenError::Claim("exp"))?),
        };
        let claims = ServerClaims {
            identity: identity.to_owned(),
            collectives: texts(wishes, "collectives")?
                .unwrap_or_else(|| default_collectives(setup)),
            permissions: permissions(wishes)?,
            organization: text(wishes, "ou")?.unwrap_or_else(|| DEFAULT_ORGANIZATION.to_owned()),
            pub_subjects: texts(wishes, "pub_subjects")?.unwrap_or_default(),
            standard: StandardClaims {
                public_key: public_key.to_owned(),
                issuer: ISSUER.to_owned(),
                // An end that is as good as past is one that somebody forgot to set.
                expires_at: Some(wished.filter(|end| *end > earliest).unwrap_or(expires)),
                not_before: Some(now),
                issued_at: Some(now),
                id: Ksuid::from_parts(unix.as_secs(), random)
                    .as_str()
                    .to_owned(),
                ..StandardClaims::default()
            },
        };
        self.issuer
            .sign(Claims::Server(Box::new(claims)))
            .map_err(ServerTokenError::Token)
    }
}

fn default_collectives(setup: &Setup) -> Vec<String> {
    let of_key = setup.configuration.get("collectives");
    let names = of_key.map_or("", String::as_str).split(',').map(str::trim);
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    if !names.is_empty() {
        return names.into_iter().map(str::to_owned).collect();
    }
    let provider = setup.configuration.get("plugin.security.provider");
    let is_choria = provider.is_some_and(|provider| provider == "choria");
    vec![if is_choria { "choria" } else { "mcollective" }.to_owned()]
}

fn texts(
    wishes: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<Vec<String>>, ServerTokenError> {
    let value = wishes.get(key).cloned().unwrap_or_default();
    let texts: Option<Vec<String>> =
        serde_json::from_value(value).map_err(|_| ServerTokenError::Claim(key))?;
    Ok(texts.filter(|texts| !texts.is_empty()))
}

fn text(
    wishes: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<String>, ServerTokenError> {
    let value = wishes.get(key).cloned().unwrap_or_default();
    let text: Option<String> =
        serde_json::from_value(value).map_err(|_| ServerTokenError::Claim(key))?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn permissions(wishes: &Map<String, Value>) -> Result<Option<ServerPermissions>, ServerTokenError> {
    let value = wishes.get("permissions").cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|_| ServerTokenError::Claim("permissions"))
}

impl fmt::Display for ServerTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(key) => write!(
                f,
                "helper's answer has a server_claims.{key} of a wrong form"
            ),
            Self::Token(error) => write!(f, "server token cannot be signed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_protocol::security::tokens::TokenTrust;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const YEAR: i64 = 365 * 86_400;

    fn issuer() -> ServerIssuer {
        let seed = "11".repeat(32);
        ServerIssuer::new(&seed, None, Duration::from_secs(31_536_000)).unwrap()
    }

    fn sign(setup: &Setup) -> Result<ServerClaims, ServerTokenError> {
        let issuer = issuer();
        let key = SigningKey::from_seed(&[5; 32])
            .unwrap()
            .public()
            .to_string();
        let token = issuer.sign("n1", &key, setup, NOW, [3; 16])?;
        let trust = TokenTrust::Signers(vec![issuer.public()]);
        trust
            .verify(&token, NOW.as_secs())
            .expect("our own token is good");
        match UnverifiedToken::parse(&token).unwrap().claims {
            Claims::Server(claims) => Ok(*claims),
            Claims::Client(_) => panic!("it is a client's"),
        }
    }

    fn setup(configuration: &[(&str, &str)], claims: Value) -> Setup {
        Setup {
            configuration: configuration
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            server_claims: claims.as_object().cloned(),
            ..Setup::default()
        }
    }

    #[test]
    fn the_usual_claims_are_those_of_the_field() {
        let claims = sign(&setup(&[], Value::Null)).unwrap();
        assert_eq!(claims.collectives, ["mcollective"]);
        assert_eq!((&*claims.organization, &*claims.identity), ("choria", "n1"));
        assert_eq!(claims.standard.issuer, "Choria Provisioner");
        assert_eq!(claims.standard.expires_at, Some(1_700_000_000 + YEAR));
        let claims = sign(&setup(
            &[("plugin.security.provider", "choria")],
            Value::Null,
        ))
        .unwrap();
        assert_eq!(claims.collectives, ["choria"]);
        let claims = sign(&setup(&[("collectives", "a, b")], Value::Null)).unwrap();
        assert_eq!(claims.collectives, ["a", "b"]);
    }

    #[test]
    fn the_helper_may_say_otherwise() {
        let wishes = serde_json::json!({
            "ou": "acme", "collectives": ["x"], "pub_subjects": ["p.>"], "exp": 1_700_010_000,
            "permissions": {"streams": true},
        });
        let claims = sign(&setup(&[], wishes)).unwrap();
        assert_eq!(claims.organization, "acme");
        assert_eq!(claims.collectives, ["x"]);
        assert_eq!(claims.pub_subjects, ["p.>"]);
        assert!(claims.permissions.unwrap().streams);
        assert_eq!(claims.standard.expires_at, Some(1_700_010_000));
        // An end within the hour is none.
        let soon = sign(&setup(&[], serde_json::json!({"exp": 1_700_003_600}))).unwrap();
        assert_eq!(soon.standard.expires_at, Some(1_700_000_000 + YEAR));
        for (claims, key) in [
            (serde_json::json!({"collectives": "x"}), "collectives"),
            (serde_json::json!({"ou": 1}), "ou"),
            (serde_json::json!({"exp": "soon"}), "exp"),
            (serde_json::json!({"permissions": "all"}), "permissions"),
        ] {
            let refused = sign(&setup(&[], claims));
            assert_eq!(refused.unwrap_err(), ServerTokenError::Claim(key));
        }
    }
}
