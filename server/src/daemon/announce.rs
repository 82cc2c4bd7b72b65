//! From a configuration to what a node tells without being asked.

use std::fs;
use std::sync::Arc;

use muster_client::provider::Provider;
use muster_protocol::security::certificate_expiry;
use parking_lot::Mutex;

use super::Stop;
use super::error::RunError;
use super::report::{Expiries, Figures, SharedFigures};
use crate::config::NodeConfig;
use crate::embed::{Program, Publisher};
use crate::lifecycle::LifecycleOptions;
use crate::node::Announcements;
use crate::registration::{RegistrationOptions, RegistrationSource};
use crate::requests::{RequestSigner, Unsigned};
use crate::security::Loaded;

/// What the node says without being asked.
pub(super) fn announcements(
    config: &NodeConfig,
    signer: Option<Arc<dyn RequestSigner>>,
) -> Arc<Announcements> {
    let announce = &config.announce;
    let registration = announce.registration.as_ref();
    Arc::new(Announcements {
        lifecycle: Some(LifecycleOptions {
            component: announce.component.clone(),
            form: announce.form,
        }),
        registration: registration.map(|config| RegistrationOptions {
            sources: (config.sources.iter())
                .map(|source| RegistrationSource {
                    target: source.target.clone(),
                })
                .collect(),
            collective: config.collective.clone(),
            interval: config.interval,
            splay: config.splay,
            size_trigger: config.size_trigger,
            size_interval: config.size_interval,
        }),
        signer: signer.unwrap_or_else(|| Arc::new(Unsigned::NoKey)),
    })
}

/// The figures for the pages, where pages are served.
pub(super) fn figures(config: &NodeConfig, expiries: Expiries) -> Option<SharedFigures> {
    config.announce.stats?;
    Some(Arc::new(Mutex::new(Figures {
        identity: config.identity.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        config_file: config.config_file.clone(),
        tls: config.tls,
        secure: !config.insecure,
        certificate_expires: expiries.certificate,
        ..Figures::default()
    })))
}

/// When what was loaded ends.
pub(super) fn expiries(config: &NodeConfig, loaded: &Loaded) -> Expiries {
    Expiries {
        certificate: certificate_expires(config),
        token: loaded.token_expires,
    }
}

/// When the node's certificate ends, if it has one.
fn certificate_expires(config: &NodeConfig) -> Option<i64> {
    let path = match &config.security {
        Provider::X509(files) => &files.certificate,
        Provider::Token(_) => return None,
    };
    if path.as_os_str().is_empty() {
        return None;
    }
    let pem = fs::read_to_string(path).ok()?;
    certificate_expiry(&pem).ok()
}

/// What the program's outbox is emptied with.
pub(super) fn publisher(
    config: &NodeConfig,
    program: &Program,
    signer: Option<&Arc<dyn RequestSigner>>,
    stop: &Stop,
) -> Result<Option<Publisher>, RunError> {
    let Some(outbox) = program.outbox.clone() else {
        return Ok(None);
    };
    let signer = Arc::clone(signer.ok_or(RunError::NoKey)?);
    let collective = &config.main_collective;
    let wake = stop.wake.clone();
    Ok(Some(Publisher::new(outbox, signer, collective, wake)))
}
