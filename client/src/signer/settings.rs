//! Which service signs, and as whom it is asked: from settings to checked values.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_protocol::security::tokens::TokenSigner;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::{ServerVerification, TlsConfigError, client_config};
use muster_settings::Reader;

use super::{HttpSigner, SignerUrl};
use crate::provider::ProviderKind;

const URL: &str = "plugin.choria.security.request_signer.url";
const SERVICE: &str = "plugin.choria.security.request_signer.service";
const TOKEN: &str = "plugin.choria.security.request_signer.token_file";
const SEED: &str = "plugin.choria.security.request_signer.seed_file";
const CA: &str = "plugin.choria.security.request_signer.ca";

/// The service that signs, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerSettings {
    /// Where it is.
    pub url: SignerUrl,
    /// The files of the token it is shown and of that token's seed. A provider that goes by tokens has those already.
    pub holder: Option<(PathBuf, PathBuf)>,
    /// The authorities its certificate is checked against, in PEM; without them it is not checked.
    pub ca: Option<PathBuf>,
}

impl SignerSettings {
    /// Reads which service signs; none where the caller does so itself. Problems are the reader's to report.
    pub fn read(reader: &mut Reader<'_>, kind: ProviderKind) -> Option<Self> {
        let url = |text: &str| SignerUrl::parse(text).map_err(|error| error.to_string());
        let has_url = reader.has(URL);
        let url = reader.parsed(URL, url);
        if reader.bool(SERVICE, false) {
            let problem = format!(
                "cannot be: a signer that is an agent of the fleet is not known here, only one that {URL} names"
            );
            reader.problem(SERVICE, problem);
        }
        if !has_url {
            return None;
        }
        let (token, seed) = (reader.opt_path(TOKEN), reader.opt_path(SEED));
        let holder = match kind {
            ProviderKind::File | ProviderKind::Puppet => holder(reader, token, seed),
            ProviderKind::Choria => {
                refuse_holder(reader, [(TOKEN, token), (SEED, seed)]);
                None
            }
        };
        let ca = reader.opt_path(CA);
        Some(Self {
            url: url?,
            holder,
            ca,
        })
    }

    /// What the user should know of how the service is reached.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        if !self.url.is_https() {
            return Some(format!(
                "{URL} is no https: anybody on the way can read the token that is sent there"
            ));
        }
        self.ca.is_none().then(|| {
            format!(
                "{CA} is not set: the signer's certificate is not checked, \
                 anybody on the way can be the signer and read the token"
            )
        })
    }

    /// The service, asked by the holder of this token.
    ///
    /// # Errors
    /// A file cannot be read, or is of no use.
    pub fn load<E: From<TlsConfigError>>(
        &self,
        holder: Arc<TokenSigner>,
        read: impl Fn(&Path) -> Result<String, E>,
    ) -> Result<HttpSigner, E> {
        let tls = self.url.is_https().then(|| self.tls(read)).transpose()?;
        Ok(HttpSigner::new(self.url.clone(), holder, tls))
    }

    fn tls<E: From<TlsConfigError>>(
        &self,
        read: impl Fn(&Path) -> Result<String, E>,
    ) -> Result<Arc<TlsConfig>, E> {
        let ca = self.ca.as_deref().map(read).transpose()?;
        let verify = match ca {
            Some(_) => ServerVerification::Full,
            None => ServerVerification::Insecure,
        };
        Ok(client_config(ca.as_deref(), None, verify)?)
    }
}

/// Without a seed's own key, it lies beside the token, with another ending.
fn holder(
    reader: &mut Reader<'_>,
    token: Option<PathBuf>,
    seed: Option<PathBuf>,
) -> Option<(PathBuf, PathBuf)> {
    let Some(token) = token else {
        reader.problem(TOKEN, format!("is needed with {URL} and not set"));
        return None;
    };
    let seed = seed.unwrap_or_else(|| token.with_extension("key"));
    Some((token, seed))
}

fn refuse_holder(reader: &mut Reader<'_>, files: [(&str, Option<PathBuf>); 2]) {
    for (key, _) in files.iter().filter(|(_, path)| path.is_some()) {
        let problem = "cannot be set with the provider choria, whose own token is shown";
        reader.problem(key, problem);
    }
}
