//! Provisioning tokens: what a node without configuration goes by, and shows to broker and provisioner.
//!
//! The node does not verify its token: it has no key to do so, and the file is worth what a configuration file is.
//! Broker and provisioner verify it with [`ProvisioningToken::verify`]. Such tokens are signed with an RSA key (RS256, and
//! RS384 and RS512 are read) or with ed25519; see [`IssuerKey`] and [`IssuerSigningKey`].
//!
//! The claims hold secrets: the token that guards the node's agent, and a password. No output for people has them.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jwt::Parts;
use super::{DEFAULT_ORGANIZATION, IssuerKey, IssuerSigningKey, StandardClaims, TokenError};

/// `purpose`, and of old tokens `sub`, of a provisioning token.
pub const PROVISIONING_PURPOSE: &str = "choria_provisioning";

/// What a provisioning token says. Members are written in the order of the fleet's tools.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProvisioningClaims {
    /// The secret that callers of the agent `choria_provision` must know.
    #[serde(rename = "cht", default)]
    pub token: String,
    /// Whether requests must be signed while the node is provisioned.
    #[serde(rename = "chs", default)]
    pub secure: bool,
    /// The brokers, `host:port` or URLs with commas between.
    #[serde(rename = "chu", default, skip_serializing_if = "String::is_empty")]
    pub urls: String,
    /// The domain whose SRV records name the brokers.
    #[serde(rename = "chsrv", default, skip_serializing_if = "String::is_empty")]
    pub srv_domain: String,
    /// Whether a node whose configuration does not say is to be provisioned.
    #[serde(rename = "chpd", default)]
    pub provision_default: bool,
    /// A file that is published as registration data meanwhile.
    #[serde(rename = "chrd", default, skip_serializing_if = "String::is_empty")]
    pub registration_data: String,
    /// A file with the facts the node tells meanwhile.
    #[serde(rename = "chf", default, skip_serializing_if = "String::is_empty")]
    pub facts: String,
    /// The user the broker knows the node by.
    #[serde(rename = "chusr", default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The user's password.
    #[serde(rename = "chpwd", default, skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// Anything the site wants its helpers to see.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
    /// The organisation.
    #[serde(rename = "ou", default, skip_serializing_if = "String::is_empty")]
    pub organization: String,
    /// Whether version 2 of the protocol is spoken meanwhile.
    #[serde(rename = "v2", default, skip_serializing_if = "std::ops::Not::not")]
    pub protocol_v2: bool,
    /// Whether the provisioner may replace the node's program.
    #[serde(rename = "update", default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_update: bool,
    /// What every token says.
    #[serde(flatten)]
    pub standard: StandardClaims,
}

/// A provisioning token that was read and not checked.
#[derive(Clone, PartialEq)]
pub struct ProvisioningToken<'a> {
    /// What it says.
    pub claims: ProvisioningClaims,
    parts: Parts<'a>,
}

impl<'a> ProvisioningToken<'a> {
    /// Takes a token apart; white space around it is tolerated.
    ///
    /// # Errors
    /// It is no token, of an unknown algorithm, or for another purpose.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        let parts = Parts::split(text.trim())?;
        let mut claims: ProvisioningClaims = parts.claims()?;
        let standard = &claims.standard;
        if standard.purpose != PROVISIONING_PURPOSE && standard.subject != PROVISIONING_PURPOSE {
            return Err(TokenError::Purpose {
                purpose: standard.purpose.chars().take(32).collect(),
            });
        }
        if claims.organization.is_empty() {
            DEFAULT_ORGANIZATION.clone_into(&mut claims.organization);
        }
        Ok(Self { claims, parts })
    }

    /// Whether this key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &IssuerKey) -> bool {
        self.parts.is_signed_by(key)
    }

    /// Checks that this key signed it and that it is in its time. `unix_now` is the wall clock in seconds.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn verify(&self, key: &IssuerKey, unix_now: u64) -> Result<(), TokenError> {
        if !self.is_signed_by(key) {
            return Err(TokenError::Untrusted);
        }
        self.claims.standard.check_time(unix_now)
    }
}

impl ProvisioningClaims {
    /// Whether a node can go by the claims: there is a secret, and brokers are either named or in a domain.
    ///
    /// # Errors
    /// What is missing, or of no use.
    pub fn check(&self) -> Result<(), TokenError> {
        let malformed = |why: &str| TokenError::Malformed {
            why: why.to_owned(),
        };
        if self.token.is_empty() {
            return Err(malformed("it has no provisioning secret"));
        }
        match (self.urls.is_empty(), self.srv_domain.is_empty()) {
            (true, true) => return Err(malformed("it names neither brokers nor a domain")),
            (false, false) => return Err(malformed("it names both brokers and a domain")),
            (true, false) | (false, true) => {}
        }
        let texts = [
            &self.token,
            &self.urls,
            &self.srv_domain,
            &self.registration_data,
            &self.facts,
            &self.username,
            &self.password,
        ];
        if texts.iter().any(|text| text.chars().any(char::is_control)) {
            return Err(malformed("a claim holds a control character"));
        }
        Ok(())
    }

    /// The brokers it names, as they stand.
    pub fn brokers(&self) -> impl Iterator<Item = &str> {
        let names = self.urls.split(',').map(str::trim);
        names.filter(|name| !name.is_empty())
    }

    /// A token with these claims. Purpose and, as the fleet's tools have it, subject are set here.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn sign(mut self, key: &IssuerSigningKey) -> Result<String, TokenError> {
        PROVISIONING_PURPOSE.clone_into(&mut self.standard.purpose);
        PROVISIONING_PURPOSE.clone_into(&mut self.standard.subject);
        super::jwt::encode_by(&self, key)
    }
}

/// Shows what it says, without the secrets.
impl fmt::Debug for ProvisioningToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProvisioningToken")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// Leaves the secrets out.
impl fmt::Debug for ProvisioningClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |text: &String| if text.is_empty() { "" } else { "***" };
        f.debug_struct("ProvisioningClaims")
            .field("token", &hidden(&self.token))
            .field("secure", &self.secure)
            .field("urls", &self.urls)
            .field("srv_domain", &self.srv_domain)
            .field("provision_default", &self.provision_default)
            .field("registration_data", &self.registration_data)
            .field("facts", &self.facts)
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("extensions", &self.extensions.is_some())
            .field("organization", &self.organization)
            .field("protocol_v2", &self.protocol_v2)
            .field("allow_update", &self.allow_update)
            .field("standard", &self.standard)
            .finish()
    }
}
