//! Security providers: which files prove who a process is, and whom it believes. Nodes and clients read the same keys.
//!
//! | provider | proves with | its files |
//! |---|---|---|
//! | `puppet` (default) | a certificate | those of a Puppet `ssldir`, by the process's name |
//! | `file` | a certificate | each named by a key |
//! | `choria` | a token and its seed: version 2 of the protocol | each named by a key; certificates only for TLS, and not needed there |
//!
//! No file is opened here: what is read goes through functions of the caller. Providers that need more than files (`pkcs11`, `certmanager`) are not known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_protocol::security::tokens::{PublicKey, TokenTrust};
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::{
    ServerVerification, TlsConfigError, client_config, client_config_with_crl,
};
use muster_settings::Reader;

/// The key that says which provider it is.
pub const PROVIDER_KEY: &str = "plugin.security.provider";

/// Of both providers that go by certificates.
const CRL_KEY: &str = "plugin.security.file.crl";
const SSLDIR_KEY: &str = "plugin.choria.ssldir";
/// Where Puppet keeps the files of a host.
const SSLDIR_ROOT: &str = "/etc/puppetlabs/puppet/ssl";
/// Where it keeps those of a user, below the home directory.
const SSLDIR_USER: &str = ".puppetlabs/etc/puppet/ssl";
const SIGNERS_KEY: &str = "plugin.security.choria.trusted_signers";
const ISSUERS_KEY: &str = "plugin.security.issuer.names";

/// Which provider it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    /// Certificates in files that keys name.
    File,
    /// Certificates where Puppet puts them.
    Puppet,
    /// Tokens.
    Choria,
}

/// A provider's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    /// Of `file` and `puppet`.
    X509(X509Files),
    /// Of `choria`.
    Token(TokenFiles),
}

/// The files of a provider that goes by certificates, all in PEM. A path is empty where the file is not needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct X509Files {
    /// The process's certificate, intermediates behind it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The trusted authorities.
    pub ca: PathBuf,
    /// Their revocation lists.
    pub crl: Option<PathBuf>,
}

/// The files of a provider that goes by tokens, and whom it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFiles {
    /// The process's token.
    pub token: PathBuf,
    /// The seed of the token's key.
    pub seed: PathBuf,
    /// Certificate and key for TLS, in PEM, where the broker wants them.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The authorities the broker's certificate is checked against, in PEM; without them it is not checked.
    pub ca: Option<PathBuf>,
    /// Whose tokens are believed, where that is configured.
    pub trust: Option<TokenTrust>,
    /// Whether replies are signed; of use to nodes only.
    pub sign_replies: bool,
}

/// Which certificate files a process needs.
#[derive(Debug, Clone, Copy)]
pub struct X509Needs {
    /// Certificate and key.
    pub identity: bool,
    /// The authorities.
    pub ca: bool,
}

/// Who the process is, where files are found by that.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The name of its certificate.
    pub certname: &'a str,
    /// Whether it runs as root.
    pub is_root: bool,
}

impl X509Files {
    /// TLS with the process's certificate, the broker's checked.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn tls<E: From<TlsConfigError>>(
        &self,
        read: impl Fn(&Path) -> Result<String, E>,
    ) -> Result<Arc<TlsConfig>, E> {
        let crl = self.crl.as_deref().map(&read).transpose()?;
        self.tls_with_crl(crl.as_deref(), read)
    }

    /// As [`Self::tls`], with revocation lists that were read already.
    ///
    /// # Errors
    /// As [`Self::tls`].
    pub fn tls_with_crl<E: From<TlsConfigError>>(
        &self,
        crl: Option<&str>,
        read: impl Fn(&Path) -> Result<String, E>,
    ) -> Result<Arc<TlsConfig>, E> {
        let ca = read(&self.ca)?;
        let (certificate, key) = (read(&self.certificate)?, read(&self.key)?);
        let identity = Some((&*certificate, &*key));
        let full = ServerVerification::Full;
        Ok(client_config_with_crl(Some(&ca), crl, identity, full)?)
    }
}

impl TokenFiles {
    /// TLS with a certificate only where one is configured, the broker's checked only where that is possible.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn tls<E: From<TlsConfigError>>(
        &self,
        read: impl Fn(&Path) -> Result<String, E>,
    ) -> Result<Arc<TlsConfig>, E> {
        let ca = self.ca.as_deref().map(&read).transpose()?;
        let identity = match &self.identity {
            Some((certificate, key)) => Some((read(certificate)?, read(key)?)),
            None => None,
        };
        let identity = identity.as_ref().map(|(cert, key)| (&**cert, &**key));
        let verify = match ca {
            Some(_) => ServerVerification::Full,
            None => ServerVerification::Insecure,
        };
        Ok(client_config(ca.as_deref(), identity, verify)?)
    }

    /// What the user should know of a connection that is encrypted so.
    #[must_use]
    pub fn tls_warning(&self) -> Option<String> {
        self.ca.is_none().then(|| {
            "plugin.security.choria.ca is not set: the broker's certificate is not checked, \
             anybody on the way can be the broker"
                .to_owned()
        })
    }
}

impl ProviderKind {
    /// Reads which provider it is; another than the known ones is a problem.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        match reader.one_of(PROVIDER_KEY, "puppet", &["puppet", "file", "choria"]) {
            "file" => Self::File,
            "choria" => Self::Choria,
            _ => Self::Puppet,
        }
    }

    /// The collective of a process that names none.
    #[must_use]
    pub const fn default_collective(self) -> &'static str {
        match self {
            Self::File | Self::Puppet => "mcollective",
            Self::Choria => "choria",
        }
    }

    /// Reads the provider's files. Problems are the reader's to report.
    pub fn read_files(
        self,
        reader: &mut Reader<'_>,
        owner: Owner<'_>,
        needs: X509Needs,
    ) -> Provider {
        match self {
            Self::File => Provider::X509(read_file(reader, needs)),
            Self::Puppet => Provider::X509(read_puppet(reader, owner, needs)),
            Self::Choria => Provider::Token(read_choria(reader)),
        }
    }
}

/// What is asked for and not done, as a sentence for the user.
pub fn legacy_certificates_warning(reader: &mut Reader<'_>) -> Option<String> {
    const KEY: &str = "plugin.security.support_legacy_certificates";
    reader.bool(KEY, false).then(|| {
        format!("{KEY} is not supported: a broker's certificate needs a subject alternative name")
    })
}

fn read_file(reader: &mut Reader<'_>, needs: X509Needs) -> X509Files {
    let mut path = |key: &str, needed: bool| {
        let path = reader.opt_path(key);
        if needed && path.is_none() {
            reader.problem(key, "is needed and not set");
        }
        path.unwrap_or_default()
    };
    X509Files {
        certificate: path("plugin.security.file.certificate", needs.identity),
        key: path("plugin.security.file.key", needs.identity),
        ca: path("plugin.security.file.ca", needs.ca),
        crl: reader.opt_path(CRL_KEY),
    }
}

fn read_puppet(reader: &mut Reader<'_>, owner: Owner<'_>, needs: X509Needs) -> X509Files {
    let configured = reader.opt_path(SSLDIR_KEY);
    let crl = reader.opt_path(CRL_KEY);
    if !needs.identity && !needs.ca {
        return X509Files::default();
    }
    let default = || {
        if owner.is_root {
            return Some(PathBuf::from(SSLDIR_ROOT));
        }
        reader.settings().home().map(|home| home.join(SSLDIR_USER))
    };
    let Some(ssldir) = configured.or_else(default) else {
        reader.problem(
            SSLDIR_KEY,
            "is needed and not set: no home directory is known",
        );
        return X509Files::default();
    };
    let own = format!("{}.pem", owner.certname);
    X509Files {
        certificate: ssldir.join("certs").join(&own),
        key: ssldir.join("private_keys").join(&own),
        ca: ssldir.join("certs").join("ca.pem"),
        crl,
    }
}

fn read_choria(reader: &mut Reader<'_>) -> TokenFiles {
    const CERTIFICATE: &str = "plugin.security.choria.certificate";
    const KEY: &str = "plugin.security.choria.key";
    let mut needed = |key: &str| {
        reader.opt_path(key).unwrap_or_else(|| {
            reader.problem(key, "is needed and not set");
            PathBuf::new()
        })
    };
    let token = needed("plugin.security.choria.token_file");
    let seed = needed("plugin.security.choria.seed_file");
    let identity = match (reader.opt_path(CERTIFICATE), reader.opt_path(KEY)) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            reader.problem(KEY, format!("is needed with {CERTIFICATE} and not set"));
            None
        }
        (None, Some(_)) => {
            reader.problem(CERTIFICATE, format!("is needed with {KEY} and not set"));
            None
        }
    };
    TokenFiles {
        token,
        seed,
        identity,
        ca: reader.opt_path("plugin.security.choria.ca"),
        trust: read_trust(reader),
        sign_replies: reader.bool("plugin.security.choria.sign_replies", true),
    }
}

fn read_trust(reader: &mut Reader<'_>) -> Option<TokenTrust> {
    let names = reader.list(ISSUERS_KEY, &[]);
    let signers = reader.list(SIGNERS_KEY, &[]);
    if !names.is_empty() && !signers.is_empty() {
        reader.problem(
            SIGNERS_KEY,
            format!("cannot be set together with {ISSUERS_KEY}"),
        );
    }
    if !names.is_empty() {
        return Some(TokenTrust::Issuers(read_issuers(reader, names)));
    }
    let mut keys = Vec::new();
    for signer in &signers {
        match PublicKey::from_hex(signer) {
            Ok(key) => keys.push(key),
            Err(error) => {
                reader.problem(SIGNERS_KEY, format!("is no list of public keys: {error}"));
            }
        }
    }
    (!signers.is_empty()).then_some(TokenTrust::Signers(keys))
}

fn read_issuers(reader: &mut Reader<'_>, names: Vec<String>) -> BTreeMap<String, PublicKey> {
    let mut issuers = BTreeMap::new();
    for name in names {
        let key = format!("plugin.security.issuer.{name}.public");
        if reader.opt_string(&key).is_none() {
            reader.problem(&key, format!("is needed by {ISSUERS_KEY} and not set"));
            continue;
        }
        let parse =
            |text: &str| PublicKey::from_hex(text).map_err(|e| format!("is no public key: {e}"));
        if let Some(public) = reader.parsed(&key, parse) {
            issuers.insert(name, public);
        }
    }
    issuers
}
