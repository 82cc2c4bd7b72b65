//! What a node proves itself with and whom it believes: from the provider's files to keys, trust and TLS.
//!
//! A node that goes by a token must have one of a server, in its time, and be what the token says: the broker lets it
//! hear the subjects of the token's identity and no other, so a node of another name would be deaf.

use std::path::Path;
use std::sync::Arc;

use muster_client::nats::NonceSigner;
use muster_client::provider::{Provider, TokenFiles, X509Files};
use muster_protocol::security::tokens::{Claims, TokenError, TokenSigner, TokenVerifier};
use muster_protocol::security::{RequestSecurity, SecurityError, Signer, TrustPolicy, Verifier};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::{ServerVerification, client_config};

use crate::config::NodeConfig;
use crate::daemon::RunError;
use crate::requests::{RequestSigner, SignToken, SignX509, Unsigned};
use crate::revocation::CrlWatch;

/// A node's keys and trust, ready for use.
pub(crate) struct Loaded {
    /// How requests are checked.
    pub(crate) requests: RequestSecurity,
    /// What replies to version 2 requests are signed with.
    pub(crate) reply_signer: Option<Arc<TokenSigner>>,
    /// What answers the broker's nonce.
    pub(crate) nonce_signer: Option<Arc<dyn NonceSigner>>,
    /// What signs the node's own requests; none for a node without a key.
    pub(crate) own_requests: Option<Arc<dyn RequestSigner>>,
    /// How the connection is encrypted, where it is.
    pub(crate) tls: Option<Arc<TlsConfig>>,
    /// The revocation list, where there is one.
    pub(crate) crl: Option<CrlWatch>,
    /// Unix second in which the node's token ends, where it has one that does.
    pub(crate) token_expires: Option<i64>,
}

/// Why a token is none for this node.
#[derive(Debug)]
pub enum NodeTokenError {
    /// The token and its seed cannot be used.
    Token(TokenError),
    /// The token is a client's.
    NotAServer {
        /// The client.
        caller_id: String,
    },
    /// The token is another node's.
    Identity {
        /// The node's name in the token.
        token: String,
        /// Its name in the configuration.
        configured: String,
    },
    /// The configuration names nobody whose tokens are believed.
    NoTrust,
}

impl Loaded {
    /// Reads the provider's files. `unix_now` is the wall clock in seconds.
    pub(crate) fn new(
        config: &NodeConfig,
        unix_now: u64,
        read: impl Fn(&Path) -> Result<String, RunError>,
    ) -> Result<Self, RunError> {
        match &config.security {
            Provider::X509(files) => Self::of_certificate(config, files, read),
            Provider::Token(files) => Self::of_token(config, files, unix_now, read),
        }
    }

    fn of_certificate(
        config: &NodeConfig,
        files: &X509Files,
        read: impl Fn(&Path) -> Result<String, RunError>,
    ) -> Result<Self, RunError> {
        let mut revocation = None;
        let requests = if config.insecure {
            RequestSecurity::InsecureAcceptAll
        } else {
            let verifier = Verifier::new(TrustPolicy {
                roots_pem: read(&files.ca)?,
                allow: config.allow.clone(),
                privileged: config.privileged.clone(),
            })?;
            revocation = Some(verifier.revocation());
            RequestSecurity::X509(Box::new(verifier))
        };
        let own_requests: Option<Arc<dyn RequestSigner>> =
            if config.insecure || config.anonymous_tls {
                Some(Arc::new(Unsigned::Insecure))
            } else if files.key.as_os_str().is_empty() {
                None
            } else {
                match Signer::from_pem(&read(&files.certificate)?, &read(&files.key)?) {
                    Ok(signer) => Some(Arc::new(SignX509(signer))),
                    // Good for TLS, of no use for requests; only a node that makes some needs another.
                    Err(SecurityError::UnsupportedKey(_)) => None,
                    Err(error) => return Err(error.into()),
                }
            };
        let path = files.crl.as_deref();
        let mut crl = path.map(|path| CrlWatch::new(path, revocation));
        let tls = |text: Option<&str>| {
            let tls = config.tls.then(|| {
                if config.anonymous_tls {
                    return Ok(client_config(None, None, ServerVerification::Insecure)?);
                }
                files.tls_with_crl(text, &read)
            });
            tls.transpose()
        };
        let tls = match &mut crl {
            Some(crl) => crl.read(|text| tls(Some(text)))?,
            None => tls(None)?,
        };
        Ok(Self {
            requests,
            reply_signer: None,
            nonce_signer: None,
            own_requests,
            tls,
            crl,
            token_expires: None,
        })
    }

    fn of_token(
        config: &NodeConfig,
        files: &TokenFiles,
        unix_now: u64,
        read: impl Fn(&Path) -> Result<String, RunError>,
    ) -> Result<Self, RunError> {
        let (token, seed) = (read(&files.token)?, read(&files.seed)?);
        let refuse = |error| RunError::Token(files.token.clone(), error);
        let signer = own_token(config, &token, &seed, unix_now).map_err(refuse)?;
        let signer = Arc::new(signer);
        let token_expires = signer.claims().standard().effective_expiry();
        let requests = if config.insecure {
            RequestSecurity::InsecureAcceptAll
        } else {
            let trust = files.trust.clone();
            let trust = trust.ok_or_else(|| refuse(NodeTokenError::NoTrust))?;
            RequestSecurity::Token(Box::new(TokenVerifier::new(trust)))
        };
        let tls = config.tls.then(|| files.tls(read)).transpose()?;
        Ok(Self {
            requests,
            reply_signer: files.sign_replies.then(|| Arc::clone(&signer)),
            own_requests: Some(Arc::new(SignToken(Arc::clone(&signer)))),
            nonce_signer: Some(signer),
            tls,
            crl: None,
            token_expires,
        })
    }
}

/// TLS with another revocation list, for a node that goes by a certificate.
pub(crate) fn tls_with_crl(
    config: &NodeConfig,
    crl: &str,
    read: impl Fn(&Path) -> Result<String, RunError>,
) -> Result<Option<Arc<TlsConfig>>, RunError> {
    match &config.security {
        Provider::X509(files) if config.tls => files.tls_with_crl(Some(crl), read).map(Some),
        Provider::X509(_) | Provider::Token(_) => Ok(None),
    }
}

/// The node's own token, if it is that.
fn own_token(
    config: &NodeConfig,
    token: &str,
    seed: &str,
    unix_now: u64,
) -> Result<TokenSigner, NodeTokenError> {
    let signer = TokenSigner::new(token, seed)?;
    match signer.claims() {
        Claims::Server(claims) if claims.identity == config.identity => {}
        Claims::Server(claims) => {
            return Err(NodeTokenError::Identity {
                token: claims.identity.clone(),
                configured: config.identity.clone(),
            });
        }
        Claims::Client(claims) => {
            return Err(NodeTokenError::NotAServer {
                caller_id: claims.caller_id.clone(),
            });
        }
    }
    signer.check_time(unix_now)?;
    Ok(signer)
}

impl From<TokenError> for NodeTokenError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl std::fmt::Display for NodeTokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::NotAServer { caller_id } => {
                write!(
                    f,
                    "token is that of the client {caller_id:?}, not a server's"
                )
            }
            Self::Identity { token, configured } => {
                write!(
                    f,
                    "token is that of {token:?}, the identity is {configured:?}"
                )
            }
            Self::NoTrust => f.write_str("nobody is named whose tokens are believed"),
        }
    }
}

impl std::error::Error for NodeTokenError {}
