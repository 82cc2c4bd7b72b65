//! How the processes beside a broker reach NATS: the keys of the broker's own files.

use std::io;
use std::path::{Path, PathBuf};

use muster_client::nats::{ClientConfig, ServerAddr, TlsMode};
use muster_reactor::tls::{ServerVerification, TlsConfigError, client_config_with_crl};
use muster_settings::Reader;

use crate::link::Access;

/// Where the network is, and what is shown to it.
#[derive(Debug, Clone, Default)]
pub struct NetworkSettings {
    /// The brokers; our own, where there are none.
    pub servers: Vec<ServerAddr>,
    /// Certificate and key, where TLS is spoken.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities of brokers.
    pub ca: Option<PathBuf>,
    /// Their revocation lists.
    pub crl: Option<PathBuf>,
    /// Name and password.
    pub user: Option<(String, String)>,
    /// The token of every client.
    pub token: Option<String>,
}

/// Why the network can not be reached as it is configured.
#[derive(Debug)]
pub enum NetworkError {
    /// No broker is configured, and there is none of our own.
    NoServers,
    /// A file can not be read.
    File(PathBuf, io::Error),
    /// The files are of no use.
    Tls(TlsConfigError),
}

impl NetworkSettings {
    /// Reads the keys; which are needed only where there are adapters.
    pub(crate) fn read(reader: &mut Reader<'_>, is_needed: bool) -> Self {
        if !is_needed {
            return Self::default();
        }
        let certificate = reader.opt_path("plugin.security.file.certificate");
        let key = reader.opt_path("plugin.security.file.key");
        let user = reader.opt_string("plugin.nats.user");
        let pass = reader.opt_string("plugin.nats.pass");
        Self {
            servers: servers(reader, "plugin.choria.middleware_hosts"),
            identity: certificate.zip(key),
            ca: reader.opt_path("plugin.security.file.ca"),
            crl: reader.opt_path("plugin.security.file.crl"),
            user: user.map(|user| (user, pass.unwrap_or_default())),
            token: reader.opt_string("plugin.choria.network.token"),
        }
    }

    /// Access to the network, or to `own`, the broker in this process, where no other is configured. The certificate of
    /// our own broker is not checked: it is this process.
    ///
    /// # Errors
    /// A file can not be used, or there is no broker.
    pub fn access(
        &self,
        own: Option<ServerAddr>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Access, NetworkError> {
        if !self.servers.is_empty() {
            return self.access_to(&self.servers, None, read);
        }
        let own = own.ok_or(NetworkError::NoServers)?;
        let mut access = self.build(vec![own], ServerVerification::Insecure, None, read)?;
        access.client.discover_servers = false;
        Ok(access)
    }

    /// Access to other servers with the same certificate; `tls` says whether TLS is spoken, where that differs.
    ///
    /// # Errors
    /// A file can not be used.
    pub fn access_to(
        &self,
        servers: &[ServerAddr],
        tls: Option<bool>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Access, NetworkError> {
        self.build(servers.to_vec(), ServerVerification::Full, tls, read)
    }

    fn build(
        &self,
        servers: Vec<ServerAddr>,
        verify: ServerVerification,
        tls: Option<bool>,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<Access, NetworkError> {
        let read = |path: &PathBuf| read(path).map_err(|e| NetworkError::File(path.clone(), e));
        let mut client = ClientConfig::new(servers);
        let wants_tls = tls.unwrap_or_else(|| self.identity.is_some());
        let tls = if wants_tls {
            let identity = match &self.identity {
                Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
                None => None,
            };
            let identity = identity.as_ref().map(|(cert, key)| (&**cert, &**key));
            let ca = self.ca.as_ref().map(read).transpose()?;
            let crl = self.crl.as_ref().map(read).transpose()?;
            client.tls = TlsMode::Required;
            let config = client_config_with_crl(ca.as_deref(), crl.as_deref(), identity, verify);
            Some(config.map_err(NetworkError::Tls)?)
        } else {
            None
        };
        if let Some((user, pass)) = &self.user {
            client.connect.user = Some(user.as_str().into());
            client.connect.pass = Some(pass.as_str().into());
        }
        client.connect.token = self.token.as_deref().map(Into::into);
        Ok(Access { client, tls })
    }
}

/// A list of servers.
pub(super) fn servers(reader: &mut Reader<'_>, key: &str) -> Vec<ServerAddr> {
    let mut servers = Vec::new();
    for text in reader.list(key, &[]) {
        match ServerAddr::parse(&text) {
            Ok(server) => servers.push(server),
            Err(error) => reader.problem(key, format!("is no list of servers: {error}")),
        }
    }
    servers
}

impl std::fmt::Display for NetworkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoServers => {
                f.write_str("plugin.choria.middleware_hosts is needed without a broker of our own")
            }
            Self::File(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Tls(error) => write!(f, "the files for tls are of no use: {error}"),
        }
    }
}

impl std::error::Error for NetworkError {}
