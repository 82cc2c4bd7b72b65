//! Who may connect to a fleet's broker, and what they may say.
//!
//! [`FleetRules`] is what is configured, [`FleetAuth`] decides by it. The first that fits decides:
//!
//! | who | must show | may |
//! |---|---|---|
//! | user `provisioner` | the password; a verified certificate, or where there are issuers a client's token with that permission | everything in the account `provisioning` |
//! | the system user | the password; a verified certificate, or a client's token with that permission | everything in the account `system` |
//! | a token for provisioning | that the provisioning signer, or its issuer, signed it; TLS | what a node in provisioning mode needs, in the account `provisioning` |
//! | a client's or server's token | that its issuer signed it, and that it holds the token's key: the challenge, signed | what the token's permissions say ([`permissions`](self)) |
//! | a verified certificate | – | everything; less where there are issuers or `client_hosts` |
//! | anybody else | | is refused, unless the broker speaks in clear and has no issuers |
//!
//! A token that is shown is judged: nobody falls back to less with a token that is not good.
//! Passwords are compared in constant time; nothing that is secret reaches a log.

mod hosts;
mod log;
mod provisioning;
mod refusal;
mod rules;
mod settings;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use muster_broker_core::account::{AccountConfig, DEFAULT_ACCOUNT_ID};
use muster_broker_core::auth::{Authenticator, Denial, Grant, Login, NONCE_CHARS, same};
use muster_broker_core::ids::AccountId;
use muster_broker_core::permissions::{Permissions, PublishRules};
use muster_protocol::security::tokens::{
    Claims, IssuerKey, ProvisioningToken, PublicKey, TokenTrust, UnverifiedToken, VerifiedToken,
};
use muster_reactor::clock::unix_now;
use parking_lot::Mutex;

pub use hosts::{Network, NetworkError};
pub(crate) use log::RefusalLog;
pub use refusal::Refusal;

/// The user as whom the provisioner logs in.
pub const PROVISIONER: &str = "provisioner";

/// The account of nodes that are being provisioned.
pub const PROVISIONING_ACCOUNT: &str = "provisioning";

/// The account of the system user.
pub const SYSTEM_ACCOUNT: &str = "system";

/// Sets of publish rules that are kept to be shared; a fleet has a handful.
const SHARED_RULES_MAX: usize = 256;

/// What is configured. The default lets everyone in.
#[derive(Default)]
pub struct FleetRules {
    /// The provisioning account, where there is one.
    pub provisioning: Option<Provisioning>,
    /// The system user's name and password.
    pub system: Option<(Box<str>, Box<str>)>,
    /// Issuers of tokens by organisation.
    pub issuers: BTreeMap<String, PublicKey>,
    /// Keys that sign clients' tokens, where there are no issuers.
    pub client_signers: Vec<PublicKey>,
    /// Keys that sign servers' tokens, where there are no issuers.
    pub server_signers: Vec<PublicKey>,
    /// Who may act as a client; empty is everybody.
    pub client_hosts: Vec<Network>,
    /// Whether servers may connect and do nothing.
    pub deny_servers: bool,
    /// Whether connections are encrypted.
    pub tls: bool,
}

/// What is configured of provisioning.
pub struct Provisioning {
    /// The provisioner's password.
    pub password: Box<str>,
    /// Who signs the tokens of nodes.
    pub signer: Option<IssuerKey>,
    /// Whether the provisioner needs no token where there are issuers.
    pub without_token: bool,
}

/// Decides by [`FleetRules`].
#[derive(Debug)]
pub struct FleetAuth {
    rules: FleetRules,
    provisioning: AccountId,
    system: AccountId,
    clients: Option<TokenTrust>,
    servers: Option<TokenTrust>,
    node: Arc<Permissions>,
    /// Equal lists for publishing are one set.
    shared: Mutex<HashMap<Vec<Box<str>>, Arc<PublishRules>>>,
}

impl FleetRules {
    /// Whether there is anything to decide.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let Self {
            provisioning,
            system,
            issuers,
            client_signers,
            server_signers,
            client_hosts,
            deny_servers,
            tls: _,
        } = self;
        provisioning.is_none()
            && system.is_none()
            && issuers.is_empty()
            && client_signers.is_empty()
            && server_signers.is_empty()
            && client_hosts.is_empty()
            && !deny_servers
    }

    /// Whether somebody may come without a certificate, to be judged at login.
    #[must_use]
    pub fn admits_unverified(&self) -> bool {
        self.provisioning.is_some() || self.knows_tokens()
    }

    /// Whether tokens of clients or servers are known.
    #[must_use]
    pub fn knows_tokens(&self) -> bool {
        !(self.issuers.is_empty()
            && self.client_signers.is_empty()
            && self.server_signers.is_empty())
    }

    /// The accounts beside the default one.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountConfig> {
        let provisioning = self.provisioning.as_ref().map(|_| AccountConfig {
            name: PROVISIONING_ACCOUNT.into(),
            exports: Box::new(["choria.lifecycle.>".into()]),
        });
        let system = self.system.as_ref().map(|_| AccountConfig {
            name: SYSTEM_ACCOUNT.into(),
            exports: Box::default(),
        });
        provisioning.into_iter().chain(system).collect()
    }

    /// What is in force, a sentence each, for the log.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        if !self.issuers.is_empty() {
            let names: Vec<&str> = self.issuers.keys().map(String::as_str).collect();
            said.push(format!(
                "tokens of the issuers {} are taken",
                names.join(", ")
            ));
        }
        for (signers, whose) in [
            (&self.client_signers, "clients"),
            (&self.server_signers, "servers"),
        ] {
            if !signers.is_empty() {
                said.push(format!(
                    "tokens of {whose} by {} signers are taken",
                    signers.len()
                ));
            }
        }
        if let Some(provisioning) = &self.provisioning {
            let of = match (&provisioning.signer, self.issuers.is_empty()) {
                (Some(_), _) => "tokens of the provisioning signer",
                (None, false) => "tokens of an issuer",
                (None, true) => "no token, as no signer is configured",
            };
            said.push(format!("the account {PROVISIONING_ACCOUNT} is open to its provisioner, and to nodes by {of}"));
        }
        if let Some((user, _)) = &self.system {
            said.push(format!(
                "the user {user} logs in to the account {SYSTEM_ACCOUNT}"
            ));
        }
        if !self.client_hosts.is_empty() {
            let hosts: Vec<String> = self.client_hosts.iter().map(ToString::to_string).collect();
            said.push(format!("clients come from {}", hosts.join(", ")));
        }
        if self.deny_servers {
            said.push("servers may do nothing".to_owned());
        }
        if self.knows_tokens() && !self.tls {
            said.push("tokens are shown in clear, as connections are not encrypted".to_owned());
        }
        said
    }
}

impl FleetAuth {
    /// Decides by these rules, for a broker with [`FleetRules::accounts`].
    #[must_use]
    pub fn new(rules: FleetRules) -> Self {
        let numbered = |name: &str| {
            let accounts = rules.accounts();
            let place = accounts.iter().position(|account| *account.name == *name);
            place
                .and_then(|place| u32::try_from(place + 1).ok())
                .map_or(DEFAULT_ACCOUNT_ID, AccountId)
        };
        let trust = |signers: &[PublicKey]| {
            if !rules.issuers.is_empty() {
                Some(TokenTrust::Issuers(rules.issuers.clone()))
            } else if signers.is_empty() {
                None
            } else {
                Some(TokenTrust::Signers(signers.to_vec()))
            }
        };
        Self {
            provisioning: numbered(PROVISIONING_ACCOUNT),
            system: numbered(SYSTEM_ACCOUNT),
            clients: trust(&rules.client_signers),
            servers: trust(&rules.server_signers),
            node: Arc::new(rules::provisioning_node()),
            shared: Mutex::default(),
            rules,
        }
    }

    /// The decision at a moment, in unix seconds.
    ///
    /// # Errors
    /// The first reason against the login.
    pub fn decide(&self, login: &Login<'_>, now: u64) -> Result<Grant, Refusal> {
        let user = login.connect.user.as_deref();
        if user == Some(PROVISIONER) {
            return self.provisioner(login, now);
        }
        if let Some((system, password)) = &self.rules.system
            && user == Some(&**system)
        {
            return self.system_user(login, system, password, now);
        }
        let Some(token) = shown_token(login) else {
            return self.without_token(login);
        };
        if let Some(token) = provisioning::parse(token) {
            return self.provisioning_node(login, &token, now);
        }
        if self.clients.is_none() && self.servers.is_none() {
            // Nothing is known of tokens here: a certificate is what counts.
            return self.without_token(login);
        }
        let token = self.verify(login, token, now)?;
        match &token.claims {
            Claims::Client(claims) => {
                if claims.caller_id.is_empty() {
                    return Err(Refusal::Identity);
                }
                if !self.is_client_host(login) {
                    return Err(Refusal::Host);
                }
                let permissions = rules::client(claims, |allow| self.share(allow));
                Ok(self.granted(&token, permissions, now))
            }
            Claims::Server(claims) => {
                let permissions = if self.rules.deny_servers {
                    Permissions::nothing()
                } else {
                    rules::server(claims, |allow| self.share(allow)).ok_or(Refusal::Identity)?
                };
                Ok(self.granted(&token, Some(permissions), now))
            }
        }
    }

    fn granted(&self, token: &VerifiedToken, permissions: Option<Permissions>, now: u64) -> Grant {
        Grant {
            account: DEFAULT_ACCOUNT_ID,
            user: Some(token.claims.holder().into()),
            permissions: permissions.map(Arc::new),
            expires: time_left(token, now),
        }
    }

    fn provisioner(&self, login: &Login<'_>, now: u64) -> Result<Grant, Refusal> {
        let provisioning = self
            .rules
            .provisioning
            .as_ref()
            .ok_or(Refusal::NoProvisioning)?;
        let good = same(login.connect.pass.as_deref(), &provisioning.password);
        if !good {
            return Err(Refusal::Password);
        }
        let mut expires = None;
        if self.rules.issuers.is_empty() || provisioning.without_token {
            require_verified(login)?;
        } else {
            let token = shown_token(login).ok_or(Refusal::NoToken)?;
            let token = self.verify(login, token, now)?;
            if !token.claims.client_permissions().provisioner {
                return Err(Refusal::Permission("provisioner"));
            }
            expires = time_left(&token, now);
        }
        Ok(Grant {
            account: self.provisioning,
            user: Some(PROVISIONER.into()),
            permissions: None,
            expires,
        })
    }

    fn system_user(
        &self,
        login: &Login<'_>,
        user: &str,
        password: &str,
        now: u64,
    ) -> Result<Grant, Refusal> {
        if !same(login.connect.pass.as_deref(), password) {
            return Err(Refusal::Password);
        }
        let tls = login.tls.ok_or(Refusal::Clear)?;
        let mut expires = None;
        if !tls.verified {
            let token = shown_token(login).ok_or(Refusal::Unverified)?;
            let token = self.verify(login, token, now)?;
            let permissions = token.claims.client_permissions();
            if !(permissions.system_user || permissions.org_admin) {
                return Err(Refusal::Permission("system_user"));
            }
            expires = time_left(&token, now);
        }
        Ok(Grant {
            account: self.system,
            user: Some(user.into()),
            permissions: None,
            expires,
        })
    }

    fn provisioning_node(
        &self,
        login: &Login<'_>,
        token: &ProvisioningToken<'_>,
        now: u64,
    ) -> Result<Grant, Refusal> {
        let provisioning = self
            .rules
            .provisioning
            .as_ref()
            .ok_or(Refusal::NoProvisioning)?;
        // The token is all there is to prove, so it must not be seen by others.
        login.tls.ok_or(Refusal::Clear)?;
        let ends = provisioning::verify(
            token,
            provisioning.signer.as_ref(),
            &self.rules.issuers,
            now,
        )?;
        Ok(Grant {
            account: self.provisioning,
            user: None,
            permissions: Some(Arc::clone(&self.node)),
            expires: ends.map(|end| Duration::from_secs(end.saturating_sub(now))),
        })
    }

    /// Who shows no token counts by its certificate.
    fn without_token(&self, login: &Login<'_>) -> Result<Grant, Refusal> {
        match login.tls {
            Some(tls) if !tls.verified => return Err(Refusal::Unverified),
            Some(_) => {}
            None if self.rules.tls => return Err(Refusal::Clear),
            None if self.rules.knows_tokens() => return Err(Refusal::NoToken),
            None => {}
        }
        let permissions = if !self.rules.issuers.is_empty() {
            Some(rules::generic())
        } else if self.is_client_host(login) {
            None
        } else if self.rules.deny_servers {
            Some(Permissions::nothing())
        } else {
            Some(rules::unlisted_host())
        };
        Ok(Grant {
            permissions: permissions.map(Arc::new),
            ..Grant::unrestricted()
        })
    }

    fn is_client_host(&self, login: &Login<'_>) -> bool {
        let hosts = &self.rules.client_hosts;
        hosts.is_empty() || hosts.iter().any(|host| host.contains(login.peer.ip()))
    }

    /// A client's or server's token, by one who holds its key.
    fn verify(&self, login: &Login<'_>, text: &str, now: u64) -> Result<VerifiedToken, Refusal> {
        let trust = match UnverifiedToken::parse(text)?.claims {
            Claims::Client(_) => &self.clients,
            Claims::Server(_) => &self.servers,
        };
        let token = trust
            .as_ref()
            .ok_or(Refusal::Untrusted)?
            .verify(text, now)?;
        let (Some(nonce), Some(signature)) = (login.nonce, login.connect.sig.as_deref()) else {
            return Err(Refusal::NoSignature);
        };
        if !token.public_key.verify_nonce(nonce, signature) {
            return Err(Refusal::Signature);
        }
        Ok(token)
    }

    /// Equal lists are one, so that a shard remembers its verdicts once for a whole fleet.
    fn share(&self, allow: &[&str]) -> Arc<PublishRules> {
        let key: Vec<Box<str>> = allow.iter().map(|subject| (*subject).into()).collect();
        let mut shared = self.shared.lock();
        if let Some(rules) = shared.get(&key) {
            return Arc::clone(rules);
        }
        let rules = Arc::new(PublishRules::new(Some(allow), &[]));
        if shared.len() < SHARED_RULES_MAX {
            shared.insert(key, Arc::clone(&rules));
        }
        rules
    }
}

impl Authenticator for FleetAuth {
    fn authenticate(&self, login: &Login<'_>) -> Result<Grant, Denial> {
        self.decide(login, unix_now().as_secs())
            .map_err(|refusal| Denial::new(refusal.reason(), refusal.to_string()))
    }

    fn challenge(&self, random: [u8; NONCE_CHARS]) -> Option<[u8; NONCE_CHARS]> {
        if !self.rules.knows_tokens() {
            return None;
        }
        // What a holder signs must not be foreseen, or a rogue broker could have it signed beforehand.
        let mut bytes = random;
        SystemRandom::new().fill(&mut bytes).ok().map(|()| bytes)
    }
}

fn shown_token<'a>(login: &Login<'a>) -> Option<&'a str> {
    let connect = login.connect;
    connect.auth_token.as_deref().or(connect.jwt.as_deref())
}

fn require_verified(login: &Login<'_>) -> Result<(), Refusal> {
    match login.tls {
        Some(tls) if tls.verified => Ok(()),
        Some(_) => Err(Refusal::Unverified),
        None => Err(Refusal::Clear),
    }
}

fn time_left(token: &VerifiedToken, now: u64) -> Option<Duration> {
    let end = token.claims.standard().effective_expiry()?;
    let end = u64::try_from(end).unwrap_or_default();
    Some(Duration::from_secs(end.saturating_sub(now)))
}

/// Leaves the password out.
impl fmt::Debug for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provisioning")
            .field("signer", &self.signer)
            .field("without_token", &self.without_token)
            .finish_non_exhaustive()
    }
}

/// Leaves the passwords out.
impl fmt::Debug for FleetRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sentences()).finish()
    }
}

#[cfg(test)]
mod tests;
