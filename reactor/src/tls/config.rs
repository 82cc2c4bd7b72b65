//! Server and client configurations from PEM texts.
//!
//! Reads no files: the caller hands over text, and gets told which of the texts is at fault.
//! A configuration is built once and shared; what many configurations have in common (provider, trust anchors) they share through `Arc`, so a process with fifty thousand identities holds one copy.
//!
//! A server issues one ticket a connection, stateless and encrypted under keys that rotate; a reloaded configuration has new keys, so no ticket outlives the CA it was issued under.
//!
//! Revocation: a certificate on a list is refused, wherever it stands in the chain. Where no list is given for its authority it counts as good,
//! and a list past its due date still counts for what is on it: that a list was not renewed in time must not cut off a fleet.
//! Owners of configurations warn of that; [`super::crl_next_update`] tells when. Each full handshake checks the list's signature once more, some 80 µs with P-256.
//! A resumed handshake checks nothing: servers recheck their clients ([`super::TlsSession::recheck_client`]), and clients keep tickets by configuration,
//! so a list that was read anew begins without any.

use std::fmt;
use std::sync::{Arc, LazyLock};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{self, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::crl;
use super::error::TlsConfigError;
use accept_any::AcceptAny;

mod accept_any;

/// PEM texts of one side's identity and of the authorities it trusts.
#[derive(Clone, Copy)]
pub struct TlsFiles<'a> {
    /// The certificate chain, own certificate first.
    pub cert: &'a str,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: &'a str,
    /// Authorities whose certificates are accepted from the other side.
    pub ca: Option<&'a str>,
    /// Revocation lists of these authorities, one each at most.
    pub crl: Option<&'a str>,
}

/// Shows no text: one of them is a private key.
impl fmt::Debug for TlsFiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles")
            .field("has_ca", &self.ca.is_some())
            .field("has_crl", &self.crl.is_some())
            .finish_non_exhaustive()
    }
}

/// Whether a server asks its clients for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Never asked for.
    None,
    /// Asked for; verified if there is one.
    Optional,
    /// A client without a valid one is refused.
    Required,
}

/// How a client checks the server it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerVerification {
    /// Chain, validity and name.
    Full,
    /// Any certificate whose key signs the handshake. Protects against nobody who can intercept.
    Insecure,
}

/// Whether a client keeps tickets to resume sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// A few tickets, for one client and its broker.
    Tickets,
    /// None: what a process of many clients wants, where each ticket is memory.
    Disabled,
}

/// rustls counts sessions; this is four servers' worth of tickets.
const CLIENT_SESSIONS: usize = 32;

static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// A server's configuration: TLS 1.2 and 1.3, one ticket, no ALPN.
///
/// # Errors
/// Names the text that is unusable; `ca` is needed unless `auth` is [`ClientAuth::None`].
pub fn server_config(
    files: &TlsFiles<'_>,
    auth: ClientAuth,
) -> Result<Arc<ServerConfig>, TlsConfigError> {
    let verifier = match (auth, files.ca) {
        (ClientAuth::None, _) => WebPkiClientVerifier::no_client_auth(),
        (_, Some(ca)) => client_verifier(ca, files.crl, auth)?,
        (_, None) => return Err(no_ca("client certificates are to be verified")),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(provider_error)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(cert_chain(files.cert)?, private_key(files.key)?)
        .map_err(identity_error)?;
    config.send_tls13_tickets = 1;
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(provider_error)?;
    // Tickets serve TLS 1.2 and 1.3 alike, so nothing is kept for a session that is gone.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// A client's configuration with its own trust anchors, keeping a few tickets.
///
/// # Errors
/// Names the text that is unusable; `ca` is needed for [`ServerVerification::Full`].
pub fn client_config(
    ca: Option<&str>,
    identity: Option<(&str, &str)>,
    verify: ServerVerification,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    client_config_with_crl(ca, None, identity, verify)
}

/// As [`client_config`], refusing a server whose certificate is on a revocation list of `crl`.
///
/// # Errors
/// As [`client_config`], and [`TlsConfigError::Crl`].
pub fn client_config_with_crl(
    ca: Option<&str>,
    crl: Option<&str>,
    identity: Option<(&str, &str)>,
    verify: ServerVerification,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let verifier = server_verifier_with_crl(ca, crl, verify)?;
    client_config_with_verifier(&verifier, identity, Resumption::Tickets)
}

/// A client's configuration for `identity` (certificate chain and key) that shares `verifier` with others.
///
/// # Errors
/// Names the text that is unusable.
pub fn client_config_with_verifier(
    verifier: &Arc<dyn ServerCertVerifier>,
    identity: Option<(&str, &str)>,
    resumption: Resumption,
) -> Result<Arc<ClientConfig>, TlsConfigError> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_safe_default_protocol_versions()
        .map_err(provider_error)?
        // Named "dangerous" for any verifier that is handed in; ours is webpki's unless the caller asked for less.
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier));
    let mut config = match identity {
        Some((cert, key)) => builder
            .with_client_auth_cert(cert_chain(cert)?, private_key(key)?)
            .map_err(identity_error)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = match resumption {
        Resumption::Tickets => client::Resumption::in_memory_sessions(CLIENT_SESSIONS),
        Resumption::Disabled => client::Resumption::disabled(),
    };
    Ok(Arc::new(config))
}

/// Verifies servers' certificates for any number of client configurations.
///
/// # Errors
/// Names the text that is unusable; `ca` is needed for [`ServerVerification::Full`].
pub fn server_verifier(
    ca: Option<&str>,
    verify: ServerVerification,
) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
    server_verifier_with_crl(ca, None, verify)
}

/// As [`server_verifier`], refusing certificates that are on a revocation list of `crl`.
///
/// # Errors
/// As [`server_verifier`], and [`TlsConfigError::Crl`].
pub fn server_verifier_with_crl(
    ca: Option<&str>,
    crl: Option<&str>,
    verify: ServerVerification,
) -> Result<Arc<dyn ServerCertVerifier>, TlsConfigError> {
    match (verify, ca) {
        (ServerVerification::Insecure, _) => Ok(Arc::new(AcceptAny::new(&PROVIDER))),
        (ServerVerification::Full, Some(ca)) => {
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots(ca)?, Arc::clone(&PROVIDER));
            let builder = match crl {
                Some(crl) => builder
                    .with_crls(crl::lists(crl, ca)?)
                    .allow_unknown_revocation_status(),
                None => builder,
            };
            Ok(builder.build().map_err(verifier_error)?)
        }
        (ServerVerification::Full, None) => Err(no_ca("the server is to be verified")),
    }
}

/// Verifies clients' certificates; for [`super::TlsSession::recheck_client`].
///
/// A certificate with extended key usages must have `clientAuth` among them.
/// With [`ClientAuth::None`] or [`ClientAuth::Optional`], a client without a certificate passes. One on a list of `crl` does not.
///
/// # Errors
/// [`TlsConfigError::Ca`] and [`TlsConfigError::Crl`].
pub fn client_verifier(
    ca: &str,
    crl: Option<&str>,
    auth: ClientAuth,
) -> Result<Arc<dyn ClientCertVerifier>, TlsConfigError> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots(ca)?, Arc::clone(&PROVIDER));
    let builder = match auth {
        ClientAuth::Required => builder,
        ClientAuth::None | ClientAuth::Optional => builder.allow_unauthenticated(),
    };
    let builder = match crl {
        Some(crl) => builder
            .with_crls(crl::lists(crl, ca)?)
            .allow_unknown_revocation_status(),
        None => builder,
    };
    builder.build().map_err(verifier_error)
}

fn verifier_error(error: VerifierBuilderError) -> TlsConfigError {
    match error {
        VerifierBuilderError::InvalidCrl(error) => {
            TlsConfigError::Crl(format!("not usable: {error:?}"))
        }
        error => TlsConfigError::Ca(error.to_string()),
    }
}

fn cert_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    certificates(pem).map_err(TlsConfigError::Cert)
}

fn roots(pem: &str) -> Result<Arc<RootCertStore>, TlsConfigError> {
    let mut store = RootCertStore::empty();
    for (index, cert) in certificates(pem)
        .map_err(TlsConfigError::Ca)?
        .into_iter()
        .enumerate()
    {
        store
            .add(cert)
            .map_err(|error| TlsConfigError::Ca(format!("certificate {}: {error}", index + 1)))?;
    }
    Ok(Arc::new(store))
}

pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certs = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("not valid pem: {error}"))?;
    if certs.is_empty() {
        return Err("no certificate in the pem text".to_owned());
    }
    Ok(certs)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| TlsConfigError::Key(format!("no usable key in the pem text: {error}")))
}

/// rustls loads certificate and key in one step, so its error tells which of them it was.
fn identity_error(error: rustls::Error) -> TlsConfigError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsConfigError::Key("does not belong to the certificate".to_owned())
        }
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            TlsConfigError::Cert(error.to_string())
        }
        error => TlsConfigError::Key(error.to_string()),
    }
}

fn provider_error(error: rustls::Error) -> TlsConfigError {
    TlsConfigError::Provider(error.to_string())
}

fn no_ca(why: &str) -> TlsConfigError {
    TlsConfigError::Ca(format!("none given, but {why}"))
}
