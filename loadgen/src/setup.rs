//! Names, keys and settings of what loadgen runs.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_broker::TlsSetting;
use muster_client::nats::{ClientConfig, ServerAddr, TlsMode};
use muster_pki::{Authority, Issued, KeyKind, Profile, Role, Validity};
use muster_protocol::security::{RequestSecurity, TrustPolicy, Verifier};
use muster_reactor::clock::unix_now;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::rustls::client::danger::ServerCertVerifier;
use muster_reactor::tls::{
    Resumption, ServerVerification, TlsFiles, client_config_with_verifier, server_verifier,
};

use crate::args::TlsChoice;

/// The name of the client's certificate; the usual allow list lets it call.
pub(crate) const CLIENT_NAME: &str = "loadgen.mcollective";

/// Certificates are valid for this many days, from a day ago.
const VALID_DAYS: u32 = 30;

const DAY: u64 = 86_400;

/// Fifty thousand at once take a while to be greeted.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) type AnyError = Box<dyn Error + Send + Sync>;

/// The name of a bare connection: `bare` and six digits.
pub(crate) fn bare_name(number: usize) -> String {
    format!("bare{number:06}")
}

/// The identity of a node.
pub(crate) fn node_name(number: usize) -> String {
    format!("node{number:06}.example.net")
}

/// A fleet's keys: an authority made for this run, and what it issued.
#[derive(Debug)]
pub(crate) struct Keys {
    authority: Authority,
    broker: Issued,
    pub(crate) client: Issued,
    validity: Validity,
    server_verifier: Arc<dyn ServerCertVerifier>,
    tls: TlsChoice,
}

impl Keys {
    pub(crate) fn new(tls: TlsChoice) -> Result<Self, AnyError> {
        let validity = Validity::days_from(unix_now().as_secs().saturating_sub(DAY), VALID_DAYS);
        let authority = Authority::new("loadgen", KeyKind::EcdsaP256, validity)?;
        let broker =
            authority.issue(&Profile::new(Role::Broker, "localhost", validity).loopback())?;
        let client = authority.issue(&Profile::new(Role::Client, CLIENT_NAME, validity))?;
        let server_verifier =
            server_verifier(Some(authority.cert_pem()), ServerVerification::Full)?;
        Ok(Self {
            authority,
            broker,
            client,
            validity,
            server_verifier,
            tls,
        })
    }

    /// What the broker shows and asks for.
    pub(crate) fn broker_files(&self) -> BrokerFiles {
        BrokerFiles {
            tls: self.tls,
            cert: self.broker.cert_pem.clone(),
            key: self.broker.key_pem.clone(),
            ca: self.authority.cert_pem().to_owned(),
        }
    }

    /// How nodes verify requests.
    pub(crate) fn security(&self) -> Result<RequestSecurity, AnyError> {
        let verifier = Verifier::new(TrustPolicy::new(self.authority.cert_pem()))?;
        Ok(RequestSecurity::X509(Box::new(verifier)))
    }

    /// A node's side of TLS, with a certificate and a key of its own where the broker asks for one.
    pub(crate) fn node_tls(&self, name: &str) -> Result<Option<Arc<TlsConfig>>, AnyError> {
        let issued = match self.tls {
            TlsChoice::Mutual => Some(self.authority.issue(&Profile::new(
                Role::Node,
                name,
                self.validity,
            ))?),
            TlsChoice::Off | TlsChoice::Server => None,
        };
        self.tls_with(issued.as_ref())
    }

    /// The client's side of TLS.
    pub(crate) fn client_tls(&self) -> Result<Option<Arc<TlsConfig>>, AnyError> {
        self.tls_with(Some(&self.client))
    }

    fn tls_with(&self, issued: Option<&Issued>) -> Result<Option<Arc<TlsConfig>>, AnyError> {
        if self.tls == TlsChoice::Off {
            return Ok(None);
        }
        let identity = issued.map(|issued| (issued.cert_pem.as_str(), issued.key_pem.as_str()));
        let config =
            client_config_with_verifier(&self.server_verifier, identity, Resumption::Disabled)?;
        Ok(Some(config))
    }

    /// How a client connection is made.
    pub(crate) fn client_config(&self, address: SocketAddr) -> ClientConfig {
        let servers = vec![ServerAddr::new(address.ip().to_string(), address.port())];
        ClientConfig {
            discover_servers: false,
            connect_timeout: CONNECT_TIMEOUT,
            tls: if self.tls == TlsChoice::Off {
                TlsMode::Off
            } else {
                TlsMode::Required
            },
            ..ClientConfig::new(servers)
        }
    }
}

/// The broker's PEM texts, as they travel to a child process.
#[derive(Debug, Clone)]
pub(crate) struct BrokerFiles {
    pub(crate) tls: TlsChoice,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) ca: String,
}

impl BrokerFiles {
    pub(crate) fn setting(&self) -> Result<TlsSetting, AnyError> {
        let files = TlsFiles {
            cert: &self.cert,
            key: &self.key,
            ca: Some(&self.ca),
            crl: None,
        };
        Ok(match self.tls {
            TlsChoice::Off => TlsSetting::default(),
            TlsChoice::Server => TlsSetting::server(&files)?,
            TlsChoice::Mutual => TlsSetting::mutual(&files)?,
        })
    }
}
