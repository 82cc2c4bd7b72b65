//! The action `configure`: everything is checked and prepared first, then put in place as a whole.
//!
//! | file | mode | when |
//! |---|---|---|
//! | `certificate.pem`, `ca.pem` in the `ssldir` of the request | 0644 | certificate, ca and ssldir are all given |
//! | `private.pem` there; `csr.pem` goes | 0600 | a key made elsewhere is given too |
//! | `server.jwt` beside the configuration | 0600 | a token is given |
//! | `policies/*.policy`, `policies/rego/*.rego` there, in place of those before | 0400 | any are given |
//! | the configuration, the last of all | 0600 | always |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use muster_protocol::ddl::Inputs;
use muster_protocol::security::Signer;
use muster_protocol::security::tokens::{Claims, SigningKey, UnverifiedToken};
use muster_settings::Settings;
use serde_json::Value;

use super::config::ConfigCheck;
use super::files::{FileSet, make_folder};
use super::keys::Exchange;

const CONFIG_MODE: u32 = 0o600;
const CERTIFICATE_MODE: u32 = 0o644;
const SECRET_MODE: u32 = 0o600;
const POLICY_MODE: u32 = 0o400;
/// Policies of one kind that are taken; a node has some tens of agents.
const POLICIES_MAX: usize = 512;
/// Settings that are taken.
const SETTINGS_MAX: usize = 4096;

/// What is to be written, understood and not yet checked against the node. No setting has two lines, and no policy lies
/// outside its folder.
#[derive(Default, PartialEq)]
pub struct Configure {
    settings: BTreeMap<String, String>,
    tls: Option<TlsFiles>,
    key: Option<(String, String)>,
    server_jwt: String,
    action_policies: BTreeMap<String, String>,
    opa_policies: BTreeMap<String, String>,
}

#[derive(PartialEq)]
struct TlsFiles {
    certificate: String,
    ca: String,
    ssldir: PathBuf,
}

/// Who asked, for the first line of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) request_id: String,
    pub(crate) caller_id: String,
    pub(crate) sender_id: String,
    /// In the form of RFC 3339.
    pub(crate) time: String,
}

impl Configure {
    /// Reads the inputs.
    ///
    /// # Errors
    /// What is wrong with them; no input's value is in it.
    pub fn read(inputs: &Inputs) -> Result<Self, String> {
        let text = |name: &str| {
            let value = inputs.get(name).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let (certificate, ca, ssldir) = (text("certificate"), text("ca"), text("ssldir"));
        let tls = if certificate.is_empty() || ca.is_empty() || ssldir.is_empty() {
            None
        } else {
            let ssldir = PathBuf::from(ssldir);
            if !ssldir.is_absolute() {
                return Err("ssldir is not an absolute path".to_owned());
            }
            Some(TlsFiles {
                certificate,
                ca,
                ssldir,
            })
        };
        let key = match (text("key"), text("ecdh_public")) {
            (key, _) if key.is_empty() => None,
            (_, public) if public.is_empty() => {
                return Err("key is given without ecdh_public".to_owned());
            }
            (key, public) => Some((key, public)),
        };
        if key.is_some() && tls.is_none() {
            return Err("key is given without certificate, ca and ssldir".to_owned());
        }
        Ok(Self {
            settings: read_settings(&text("config"))?,
            tls,
            key,
            server_jwt: text("server_jwt").trim().to_owned(),
            action_policies: read_policies(inputs, "action_policies", "policy")?,
            opa_policies: read_policies(inputs, "opa_policies", "rego")?,
        })
    }

    /// The lines of the configuration, without the first.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let settings = self.settings.iter();
        settings.map(|(key, value)| format!("{key}={value}"))
    }

    /// The policies, below their folder.
    pub fn policy_files(&self) -> impl Iterator<Item = PathBuf> {
        let actions = self.action_policies.keys().map(PathBuf::from);
        let opa = self.opa_policies.keys();
        actions.chain(opa.map(|name| Path::new("rego").join(name)))
    }

    /// Writes everything; the text for the reply.
    pub(crate) fn apply(
        &self,
        config_file: &Path,
        check: &ConfigCheck,
        exchange: Option<&Exchange>,
        author: &Author,
    ) -> Result<String, String> {
        let config = config_text(&self.settings, author);
        let settings = Settings::parse(&config, &config_file.to_string_lossy());
        check
            .check(&settings)
            .map_err(|error| format!("the configuration cannot be used: {error}"))?;
        let folder = config_file.parent().unwrap_or_else(|| Path::new(""));
        let mut set = FileSet::default();
        self.stage_tls(&mut set, exchange)?;
        self.stage_token(&mut set, folder, check.identity())?;
        self.stage_policies(&mut set, &folder.join("policies"))?;
        let said = |error: super::files::FileError| error.to_string();
        set.stage(config_file, config.as_bytes(), CONFIG_MODE)
            .map_err(said)?;
        set.commit().map_err(said)?;
        let lines = self.settings.len() + 1;
        Ok(format!("Wrote {lines} lines to {}", config_file.display()))
    }

    fn stage_tls(&self, set: &mut FileSet, exchange: Option<&Exchange>) -> Result<(), String> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let key_file = tls.ssldir.join("private.pem");
        let key = match &self.key {
            Some((key, public)) => {
                let exchange =
                    exchange.ok_or("a key is given and the action jwt was not called")?;
                let opened = exchange.open(key, public);
                Some(opened.map_err(|error| error.to_string())?)
            }
            None => None,
        };
        let used = key.clone().or_else(|| fs::read_to_string(&key_file).ok());
        if let Some(used) = &used {
            Signer::from_pem(&tls.certificate, used)
                .map_err(|error| format!("the certificate cannot be used: {error}"))?;
        }
        if !tls.ca.contains("-----BEGIN CERTIFICATE-----") {
            return Err("ca holds no certificate".to_owned());
        }
        let said = |error: super::files::FileError| error.to_string();
        make_folder(&tls.ssldir).map_err(said)?;
        let (certificate, ca) = (
            tls.ssldir.join("certificate.pem"),
            tls.ssldir.join("ca.pem"),
        );
        set.stage(&certificate, tls.certificate.as_bytes(), CERTIFICATE_MODE)
            .map_err(said)?;
        set.stage(&ca, tls.ca.as_bytes(), CERTIFICATE_MODE)
            .map_err(said)?;
        if let Some(key) = key {
            set.stage(&key_file, key.as_bytes(), SECRET_MODE)
                .map_err(said)?;
            set.remove(&tls.ssldir.join("csr.pem"));
        }
        Ok(())
    }

    fn stage_token(&self, set: &mut FileSet, folder: &Path, identity: &str) -> Result<(), String> {
        if self.server_jwt.is_empty() {
            return Ok(());
        }
        let token = UnverifiedToken::parse(&self.server_jwt)
            .map_err(|error| format!("server_jwt cannot be used: {error}"))?;
        let Claims::Server(claims) = &token.claims else {
            return Err("server_jwt is no server's token".to_owned());
        };
        if claims.identity != identity {
            let of = &claims.identity;
            return Err(format!(
                "server_jwt is for {of:?}, the node is {identity:?}"
            ));
        }
        if let Ok(seed) = fs::read_to_string(folder.join("server.seed")) {
            let seed = SigningKey::from_seed_hex(&seed).map_err(|error| error.to_string())?;
            if token.claims.public_key() != Ok(seed.public()) {
                return Err("server_jwt is for another key than that of the node".to_owned());
            }
        }
        let path = folder.join("server.jwt");
        set.stage(&path, self.server_jwt.as_bytes(), SECRET_MODE)
            .map_err(|error| error.to_string())
    }

    /// Policies for actions take the place of all that was there, as peers do it; those of the other kind of theirs.
    fn stage_policies(&self, set: &mut FileSet, folder: &Path) -> Result<(), String> {
        let of = |policies: &'_ BTreeMap<String, String>, below: &str| -> Vec<(PathBuf, String)> {
            let policies = policies.iter();
            policies
                .map(|(name, text)| (Path::new(below).join(name), text.clone()))
                .collect()
        };
        let mut files = Vec::new();
        let target = if self.action_policies.is_empty() {
            files.extend(of(&self.opa_policies, ""));
            folder.join("rego")
        } else {
            files.extend(of(&self.action_policies, ""));
            files.extend(of(&self.opa_policies, "rego"));
            folder.to_owned()
        };
        if files.is_empty() {
            return Ok(());
        }
        let said = |error: super::files::FileError| error.to_string();
        if let Some(parent) = target.parent() {
            make_folder(parent).map_err(said)?;
        }
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (path.clone(), text.as_str()))
            .collect();
        set.stage_folder(&target, &files, POLICY_MODE).map_err(said)
    }
}

/// The settings, each a text, that can stand in a file line by line.
fn read_settings(json: &str) -> Result<BTreeMap<String, String>, String> {
    if json.trim().is_empty() {
        return Err("config is empty".to_owned());
    }
    let settings: BTreeMap<String, String> = serde_json::from_str(json)
        .map_err(|_| "config is no JSON object with texts in it".to_owned())?;
    if settings.is_empty() {
        return Err("config is empty".to_owned());
    }
    if settings.len() > SETTINGS_MAX {
        return Err(format!("config has more than {SETTINGS_MAX} settings"));
    }
    for (key, value) in &settings {
        let is_key = !key.is_empty()
            && !key.starts_with('#')
            && !key.contains(['=', ' '])
            && !key.chars().any(char::is_control);
        if !is_key {
            return Err(format!("config has a key that is none: {key:?}"));
        }
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(format!("the value of {key} has more than one line"));
        }
    }
    Ok(settings)
}

/// Policies by file name; only names that stay in their folder.
fn read_policies(
    inputs: &Inputs,
    input: &str,
    extension: &str,
) -> Result<BTreeMap<String, String>, String> {
    let Some(Value::Object(given)) = inputs.get(input) else {
        return Ok(BTreeMap::new());
    };
    if given.len() > POLICIES_MAX {
        return Err(format!("{input} has more than {POLICIES_MAX} files"));
    }
    let mut policies = BTreeMap::new();
    for (name, text) in given {
        let is_name = name
            .strip_suffix(extension)
            .and_then(|stem| stem.strip_suffix('.'))
            .is_some_and(|stem| {
                let is_byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
                !stem.is_empty() && stem.len() <= 128 && stem.bytes().all(is_byte)
            });
        if !is_name {
            return Err(format!(
                "{input}: {name:?} is no name of a .{extension} file"
            ));
        }
        let text = text.as_str();
        let text = text.ok_or_else(|| format!("{input}: {name:?} is no text"))?;
        if !text.is_empty() {
            policies.insert(name.clone(), text.to_owned());
        }
    }
    Ok(policies)
}

/// The file: a line that says where it is from, and a line a setting.
pub(crate) fn config_text(settings: &BTreeMap<String, String>, author: &Author) -> String {
    let plain = |text: &str| text.replace(char::is_control, " ");
    let mut out = format!(
        "# configured by request {} of {} from {} at {}\n",
        plain(&author.request_id),
        plain(&author.caller_id),
        plain(&author.sender_id),
        author.time
    );
    for (key, value) in settings {
        let _ = writeln!(out, "{key}={value}");
    }
    out
}

/// Leaves the values out: some are secrets.
impl std::fmt::Debug for Configure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Configure")
            .field("settings", &self.settings.keys())
            .field("tls", &self.tls.as_ref().map(|tls| &tls.ssldir))
            .field("key", &self.key.is_some())
            .field("server_jwt", &!self.server_jwt.is_empty())
            .field("action_policies", &self.action_policies.keys())
            .field("opa_policies", &self.opa_policies.keys())
            .finish()
    }
}
