//! Who may connect: the question the core asks, and the answer it takes.
//!
//! The core knows connections, accounts and permissions; who gets which is an [`Authenticator`]'s to say.
//! It is asked once for each `CONNECT` and answers at once: it may compute, and must not wait.
//! Of what it decides by, the challenge and the peer's certificate are kept until a `CONNECT` was taken and no longer,
//! so where a decision needs them a second `CONNECT` of the same connection is refused.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_wire::connect::Connect;

use crate::account::DEFAULT_ACCOUNT_ID;
use crate::close::CloseReason;
use crate::config::Credentials;
use crate::ids::AccountId;
use crate::permissions::Permissions;

/// Characters of a challenge, some 90 bits.
pub const NONCE_CHARS: usize = 15;

/// Decides who may connect, and what they may do. Shared by all shards.
pub trait Authenticator: Send + Sync + fmt::Debug {
    /// Decides about one `CONNECT`.
    ///
    /// # Errors
    /// The connection is refused and closed.
    fn authenticate(&self, login: &Login<'_>) -> Result<Grant, Denial>;

    /// The bytes of the challenge in the `INFO` of a new connection, where there is to be one. `random` is drawn from the
    /// shard's seeded generator; an owner with a better source may use that.
    fn challenge(&self, random: [u8; NONCE_CHARS]) -> Option<[u8; NONCE_CHARS]> {
        let _ = random;
        None
    }
}

/// One `CONNECT` and what is known of where it came from.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// What the client said.
    pub connect: &'a Connect,
    /// The challenge it was given.
    pub nonce: Option<&'a str>,
    /// The other side's address.
    pub peer: SocketAddr,
    /// Its TLS; `None` where the connection is in clear.
    pub tls: Option<&'a TlsPeer>,
}

/// What TLS says of a peer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsPeer {
    /// Its own certificate in DER, if it showed one.
    pub certificate: Option<Box<[u8]>>,
    /// Whether that was verified against the authorities of clients.
    pub verified: bool,
}

/// Where a connection belongs, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its account.
    pub account: AccountId,
    /// The user it is known as in monitoring.
    pub user: Option<Arc<str>>,
    /// What it may publish and subscribe to; `None` is everything.
    pub permissions: Option<Arc<Permissions>>,
    /// After so long the connection is closed.
    pub expires: Option<Duration>,
}

impl Grant {
    /// Everything in the default account, for ever.
    #[must_use]
    pub const fn unrestricted() -> Self {
        Self {
            account: DEFAULT_ACCOUNT_ID,
            user: None,
            permissions: None,
            expires: None,
        }
    }
}

/// Why a login is refused. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// How the connection ends.
    pub close: CloseReason,
    /// A short constant name, for counters. There are few of them.
    pub reason: &'static str,
    /// A sentence for the log.
    pub text: Cow<'static, str>,
}

impl Denial {
    /// The usual refusal.
    #[must_use]
    pub fn new(reason: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            close: CloseReason::AuthenticationFailure,
            reason,
            text: text.into(),
        }
    }
}

/// A refusal, with whom it met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The other side's address.
    pub peer: SocketAddr,
    /// The name it gave itself, cut to 64 characters.
    pub name: Box<str>,
    /// Why.
    pub denial: Denial,
}

impl Authenticator for Credentials {
    fn authenticate(&self, login: &Login<'_>) -> Result<Grant, Denial> {
        let connect = login.connect;
        let (good, user) = match self {
            Self::Token(token) => (same(connect.auth_token.as_deref(), token), None),
            Self::User { user, password } => {
                let good =
                    same(connect.user.as_deref(), user) & same(connect.pass.as_deref(), password);
                (good, Some(user))
            }
        };
        if !good {
            let text = "the credentials are missing or wrong";
            return Err(Denial::new("bad_credentials", text));
        }
        Ok(Grant {
            user: user.map(|user| (**user).into()),
            ..Grant::unrestricted()
        })
    }
}

/// Compares without telling by its duration how many bytes were right.
#[must_use]
pub fn same(given: Option<&str>, wanted: &str) -> bool {
    let given = given.unwrap_or_default().as_bytes();
    let wanted = wanted.as_bytes();
    let differing = given
        .iter()
        .zip(wanted)
        .fold(0, |bits, (a, b)| bits | (a ^ b));
    given.len() == wanted.len() && differing == 0
}

/// A connection's way to its login: what is kept until then.
#[derive(Debug, Default)]
pub(crate) struct Door {
    pub(crate) nonce: Option<Box<str>>,
    pub(crate) tls: Option<TlsPeer>,
}

/// The challenge as it is sent: characters that stand in URLs and JSON alike.
pub(crate) fn nonce_text(bytes: [u8; NONCE_CHARS]) -> Box<str> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text: String = bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect();
    text.into()
}
