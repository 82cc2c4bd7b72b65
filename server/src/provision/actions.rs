//! What the actions of the agent do once a call was admitted. All of it touches disk or takes time: it runs in the pool.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::ddl::Inputs;
use muster_protocol::lifecycle::LifecycleKind;
use muster_protocol::security::tokens::SigningKey;
use muster_reactor::clock::unix_now;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_reactor::tls::{ServerVerification, client_config};
use muster_settings::Settings;
use serde_json::Value;
use tracing::{info, warn};

use super::agent::Shared;
use super::configure::{Author, Configure, config_text};
use super::files::{FileSet, make_folder};
use super::host::{HostCall, Leaving};
use super::keys::{Exchange, SubjectName, certificate_request, hex};
use super::mode::Mode;
use super::update::{UpdateError, update};
use crate::members::Members;

const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
/// Largest provisioning token that is told.
const JWT_BYTES_MAX: u64 = 64 * 1024;
/// Seconds over which restarts are spread unless the caller says otherwise.
const SPLAY_DEFAULT: u64 = 10;
/// The longest a caller may spread them: an hour.
const SPLAY_MAX: u64 = 3600;
/// Every restart waits so long at least, so that its reply is on its way.
const LEAVE_AFTER: Duration = Duration::from_secs(2);
/// Where systems keep the authorities of the web.
const WEB_AUTHORITIES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What an action gives: JSON text of its outputs, or why it failed.
pub(super) type Outcome = Result<String, String>;

fn message(text: &str) -> String {
    Members::new().text("message", text).finish()
}

fn text<'a>(inputs: &'a Inputs, name: &str) -> &'a str {
    inputs.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Shared {
    fn folder(&self) -> PathBuf {
        let file = &self.options.config_file;
        let folder = file.parent().unwrap_or_else(|| Path::new(""));
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }

    pub(super) fn gencsr(&self, inputs: &Inputs) -> Outcome {
        let ssldir = self.folder().join("ssl");
        let common_name = match text(inputs, "cn") {
            "" => self.options.check.identity(),
            given => given,
        };
        let name = SubjectName {
            common_name,
            country: text(inputs, "C"),
            state: text(inputs, "ST"),
            locality: text(inputs, "L"),
            organization: text(inputs, "O"),
            unit: text(inputs, "OU"),
        };
        let made = certificate_request(&name).map_err(|error| error.to_string())?;
        make_folder(&ssldir).map_err(|error| error.to_string())?;
        let mut set = FileSet::default();
        for (file, text, mode) in [
            ("private.pem", &made.key, SECRET_MODE),
            ("csr.pem", &made.csr, PUBLIC_MODE),
        ] {
            set.stage(&ssldir.join(file), text.as_bytes(), mode)
                .map_err(|error| error.to_string())?;
        }
        set.commit().map_err(|error| error.to_string())?;
        info!(folder = %ssldir.display(), "made a key and a request for its certificate");
        Ok(Members::new()
            .text("csr", &made.csr)
            .text("public_key", &made.public)
            .text("ssldir", &ssldir.to_string_lossy())
            .finish())
    }

    pub(super) fn gen25519(&self, inputs: &Inputs) -> Outcome {
        let folder = self.folder();
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| "no random numbers".to_owned())?;
        let key = SigningKey::from_seed(&seed).map_err(|error| error.to_string())?;
        let mut set = FileSet::default();
        set.stage(
            &folder.join("server.seed"),
            hex(&seed).as_bytes(),
            SECRET_MODE,
        )
        .map_err(|error| error.to_string())?;
        // The token of the key before is for nobody any more.
        set.remove(&folder.join("server.jwt"));
        set.commit().map_err(|error| error.to_string())?;
        let signature = key.sign(text(inputs, "nonce").as_bytes());
        Ok(Members::new()
            .text("public_key", &key.public().to_string())
            .text("directory", &folder.to_string_lossy())
            .text("signature", &hex(&signature))
            .finish())
    }

    pub(super) fn jwt(&self) -> Outcome {
        let path = &self.options.jwt_file;
        let about = |why: String| format!("the provisioning token {}: {why}", path.display());
        let size = fs::metadata(path).map_err(|error| about(error.to_string()))?;
        if size.len() > JWT_BYTES_MAX {
            return Err(about(format!("it has more than {JWT_BYTES_MAX} bytes")));
        }
        let jwt = fs::read_to_string(path).map_err(|error| about(error.to_string()))?;
        let exchange = Exchange::new().map_err(|error| error.to_string())?;
        let public = exchange.public_hex();
        *self.exchange.lock() = Some(exchange);
        Ok(Members::new()
            .text("jwt", jwt.trim_end())
            .text("ecdh_public", &public)
            .finish())
    }

    pub(super) fn configure(&self, inputs: &Inputs, author: &Author) -> Outcome {
        let what = Configure::read(inputs)?;
        let exchange = self.exchange.lock();
        let options = &self.options;
        let said = what.apply(
            &options.config_file,
            &options.check,
            exchange.as_ref(),
            author,
        )?;
        info!(
            file = %options.config_file.display(), request = author.request_id,
            caller = author.caller_id, "configured"
        );
        self.tell(LifecycleKind::Provisioned);
        Ok(message(&said))
    }

    pub(super) fn reprovision(&self, author: &Author) -> Outcome {
        let options = &self.options;
        let mut settings = BTreeMap::new();
        let mut set = |key: &str, value: &str| settings.insert(key.to_owned(), value.to_owned());
        set("plugin.choria.server.provision", "1");
        set("loglevel", "debug");
        for key in ["identity", "logfile"] {
            if let Some(value) = options.kept.get(key) {
                set(key, value);
            }
        }
        let data = options
            .kept
            .get("plugin.choria.registration.file_content.data");
        if let (true, Some(data)) = (options.check.build.registration_data.is_empty(), data) {
            set("registration", "file_content");
            set("plugin.choria.registration.file_content.data", data);
        }
        let text = config_text(&settings, author);
        // Peers write the same file; a node that would come back configured with no brokers must not restart.
        if !options.check.build.default {
            return Err("provisioning is not the default of this node: \
                        it would come back without brokers"
                .to_owned());
        }
        let mut files = FileSet::default();
        files
            .stage(&options.config_file, text.as_bytes(), SECRET_MODE)
            .map_err(|error| error.to_string())?;
        files.commit().map_err(|error| error.to_string())?;
        let after = self.splay(SPLAY_DEFAULT);
        self.leave(Leaving::Restart, after)?;
        Ok(message(&format!("Restarting after {}s", after.as_secs())))
    }

    pub(super) fn restart(&self, inputs: &Inputs, author: &Author) -> Outcome {
        let path = &self.options.config_file;
        let about = |why: String| format!("{}: {why}", path.display());
        let config = fs::read_to_string(path).map_err(|error| about(error.to_string()))?;
        let settings = Settings::parse(&config, &path.to_string_lossy());
        let now = unix_now().as_secs();
        match self.options.check.mode(&settings, now) {
            Ok(Mode::Configured) => {}
            Ok(Mode::Provisioning(reason)) => {
                return Err(about(format!(
                    "the node would wait for a provisioner again: {reason}"
                )));
            }
            Ok(Mode::Impossible) => return Err(about("there is no configuration".to_owned())),
            Err(error) => return Err(about(format!("the configuration cannot be used: {error}"))),
        }
        let splay = match inputs.get("splay").and_then(Value::as_f64) {
            Some(splay) if splay >= 1.0 => {
                let whole = splay.min(3600.0);
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between 1 and 3600"
                )]
                let whole = whole as u64;
                whole.min(SPLAY_MAX)
            }
            _ => SPLAY_DEFAULT,
        };
        let after = self.splay(splay);
        self.leave(Leaving::Restart, after)?;
        warn!(
            request = author.request_id,
            caller = author.caller_id,
            sender = author.sender_id,
            ?after,
            "this node restarts"
        );
        Ok(message(&format!(
            "Restarting Choria Server after {}s",
            after.as_secs()
        )))
    }

    pub(super) fn shutdown(&self, author: &Author) -> Outcome {
        let after = Duration::from_secs(self.rng.lock().u64(..SPLAY_DEFAULT));
        self.leave(Leaving::Shutdown, after)?;
        warn!(
            request = author.request_id,
            caller = author.caller_id,
            sender = author.sender_id,
            ?after,
            "this node shuts down"
        );
        Ok(message(&format!(
            "Shutting Choria Server down after {}s",
            after.as_secs()
        )))
    }

    pub(super) fn release_update(&self, inputs: &Inputs) -> Outcome {
        let (repository, version) = (text(inputs, "repository"), text(inputs, "version"));
        let tls = web_tls();
        match update(&self.options.program, repository, version, tls.as_ref()) {
            Ok(()) => {}
            Err(error @ UpdateError::Broken(_)) => {
                return Err(format!(
                    "the update to {version} failed and so did going back, \
                     the server is broken: {error}"
                ));
            }
            Err(error) => {
                return Err(format!(
                    "the update to {version} failed, the release before stays: {error}"
                ));
            }
        }
        self.tell(LifecycleKind::Upgraded {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            new_version: version.to_owned(),
        });
        self.leave(Leaving::Restart, LEAVE_AFTER)?;
        Ok(message("Restarting Choria Server after 2s"))
    }

    /// Two seconds, and a random part of the splay.
    fn splay(&self, secs: u64) -> Duration {
        LEAVE_AFTER + Duration::from_secs(self.rng.lock().u64(..secs.max(1)))
    }

    fn tell(&self, kind: LifecycleKind) {
        if !self.options.calls.push(HostCall::Event(kind)) {
            warn!("an event of this node's life is left out: too much waits already");
        }
    }

    /// Only one end is ever asked for.
    fn leave(&self, how: Leaving, after: Duration) -> Result<(), String> {
        let mut is_leaving = self.is_leaving.lock();
        if *is_leaving {
            return Err("the node restarts or ends already".to_owned());
        }
        if !self.options.calls.push(HostCall::Leave { how, after }) {
            return Err("too much waits on this node already".to_owned());
        }
        *is_leaving = true;
        Ok(())
    }
}

/// TLS that goes by the authorities of the web, where the system has some.
fn web_tls() -> Option<Arc<TlsConfig>> {
    let pem = WEB_AUTHORITIES
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())?;
    client_config(Some(&pem), None, ServerVerification::Full).ok()
}
