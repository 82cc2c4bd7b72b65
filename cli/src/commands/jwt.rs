//! `muster jwt`: makes, shows and checks tokens, and the keys they are signed with.
//!
//! Names of commands and flags are those people know from `choria jwt`. Keys and tokens go to files that only their owner
//! can read; secrets in a token are shown to nobody.

mod args;
mod view;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use muster_protocol::ksuid::Ksuid;
use muster_protocol::security::tokens::{
    Claims, ClientClaims, ClientPermissions, IssuerSigningKey, ProvisioningClaims, ServerClaims,
    ServerPermissions, SigningKey, StandardClaims, TokenIssuer,
};
use muster_reactor::clock::{random_seed, unix_now};

pub(crate) use self::args::JwtCommand;
use self::args::{ClientArgs, KeysArgs, ProvisioningArgs, ServerArgs};
use crate::exit::{Exit, Failure};
use crate::{files, render};

/// Mode of every file that is made here.
const MODE: u32 = 0o600;
/// Who says that he issued a token of these commands.
const ISSUER: &str = "Muster CLI";

pub(crate) fn run(command: &JwtCommand) -> Result<Exit, Failure> {
    let said = match command {
        JwtCommand::Provisioning(args) => provisioning(args)?,
        JwtCommand::Server(args) => server(args)?,
        JwtCommand::Client(args) => client(args)?,
        JwtCommand::Keys(args) => keys(args)?,
        JwtCommand::View(args) => return view::run(args),
    };
    render::put(&said)?;
    Ok(Exit::Success)
}

fn provisioning(args: &ProvisioningArgs) -> Result<String, Failure> {
    let extensions =
        match &args.extensions {
            Some(json) => Some(serde_json::from_str(json).map_err(|error| {
                Failure::new(format!("--extensions is no JSON object: {error}"))
            })?),
            None => None,
        };
    let claims = ProvisioningClaims {
        token: args.token.clone(),
        secure: args.is_secure(),
        urls: args.urls.join(","),
        srv_domain: args.srv.clone().unwrap_or_default(),
        provision_default: args.default,
        registration_data: args.registration.clone().unwrap_or_default(),
        facts: args.facts.clone().unwrap_or_default(),
        username: args.username.clone().unwrap_or_default(),
        password: args.password.clone().unwrap_or_default(),
        extensions,
        organization: args.org.clone(),
        protocol_v2: args.protocol_v2,
        allow_update: args.upgrade,
        standard: standard(args.validity, ""),
    };
    // What a node would not go by is no use to anybody.
    claims.check().map_err(Failure::new)?;
    let key = IssuerSigningKey::from_text(&files::need(&args.signing_key)?)
        .map_err(|error| of_file(&args.signing_key, error))?;
    let token = claims.sign(&key).map_err(Failure::new)?;
    save(&args.file, &token)
}

fn server(args: &ServerArgs) -> Result<String, Failure> {
    if args.governor && !args.stream_user {
        let text = "--governor needs --stream-user: governors are kept in streams";
        return Err(Failure::new(text));
    }
    let permissions = ServerPermissions {
        submission: args.submission,
        streams: args.stream_user,
        governor: args.governor,
        service_host: args.service,
    };
    let claims = ServerClaims {
        identity: args.identity.clone(),
        collectives: args.collectives.clone(),
        permissions: Some(permissions),
        organization: args.org.clone(),
        pub_subjects: args.subjects.clone(),
        standard: standard(args.validity, &public_key(&args.public_key)?),
    };
    let token = issuer(&args.signing_key)?.sign(Claims::Server(Box::new(claims)));
    save(&args.file, &token.map_err(Failure::new)?)
}

fn client(args: &ClientArgs) -> Result<String, Failure> {
    let is_caller = !args.issuer;
    let permissions = ClientPermissions {
        streams_admin: args.stream_admin,
        streams_user: args.stream_user,
        events_viewer: args.event_viewer,
        election_user: args.elections_user,
        system_user: args.system,
        governor: args.governor,
        org_admin: args.org_admin,
        fleet_management: is_caller
            && (args.may_manage() || args.signed_fleet_management || args.server_provisioner),
        signed_fleet_management: is_caller && args.signed_fleet_management,
        extended_lifetime: args.service,
        authentication_delegator: is_caller && args.auth_delegation,
        provisioner: args.server_provisioner,
    };
    let public = match &args.public_key {
        Some(key) => public_key(key)?,
        None => String::new(),
    };
    let claims = Claims::Client(Box::new(ClientClaims {
        caller_id: args.identity.clone(),
        agents: args.agents.clone(),
        organization: args.org.clone(),
        permissions: Some(permissions),
        pub_subjects: args.publish.clone(),
        sub_subjects: args.subscribe.clone(),
        standard: standard(args.validity, &public),
        ..ClientClaims::default()
    }));
    let issuer = issuer(&args.signing_key)?;
    let token = if args.issuer {
        issuer.sign_chain_issuer(claims)
    } else {
        issuer.sign(claims)
    };
    save(&args.file, &token.map_err(Failure::new)?)
}

fn keys(args: &KeysArgs) -> Result<String, Failure> {
    if args.show_public {
        let text = files::need(&args.seed_file)?;
        let key = SigningKey::from_seed_hex(&text);
        let key = key.map_err(|error| of_file(&args.seed_file, error))?;
        return Ok(format!("Public Key: {}\n", key.public()));
    }
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed)
        .map_err(|_| Failure::new("the system gives no random numbers"))?;
    let key = SigningKey::from_seed(&seed).map_err(Failure::new)?;
    let mut hex = String::with_capacity(64);
    for byte in seed {
        hex.push_str(&format!("{byte:02x}"));
    }
    write(&args.seed_file, &hex, args.force)?;
    if let Some(file) = &args.public {
        write(file, &key.public().to_string(), true)?;
    }
    let (public, file) = (key.public(), args.seed_file.display());
    Ok(format!(
        "Public Key: {public}\n\nEd25519 seed saved in {file}\n"
    ))
}

fn issuer(file: &Path) -> Result<TokenIssuer, Failure> {
    let key = SigningKey::from_seed_hex(&files::need(file)?);
    Ok(TokenIssuer::new(key.map_err(|error| of_file(file, error))?))
}

/// A public key, or the file that holds it; in hex.
fn public_key(text: &str) -> Result<String, Failure> {
    let text = match files::read(Path::new(text)) {
        Ok(text) => text,
        Err(_) => text.to_owned(),
    };
    let key = muster_protocol::security::tokens::PublicKey::from_hex(text.trim());
    key.map(|key| key.to_string())
        .map_err(|error| Failure::new(format!("the public key is none: {error}")))
}

/// What every token says that is valid from now on.
fn standard(validity: Duration, public_key: &str) -> StandardClaims {
    let now = unix_now().as_secs();
    let date = |secs: u64| Some(i64::try_from(secs).unwrap_or(i64::MAX));
    let mut random = [0; 16];
    for part in random.chunks_mut(8) {
        part.copy_from_slice(&random_seed().to_ne_bytes());
    }
    StandardClaims {
        public_key: public_key.to_owned(),
        issuer: ISSUER.to_owned(),
        expires_at: date(now.saturating_add(validity.as_secs())),
        not_before: date(now),
        issued_at: date(now),
        id: Ksuid::from_parts(now, random).as_str().to_owned(),
        ..StandardClaims::default()
    }
}

fn of_file(file: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot use {}: {error}", file.display()))
}

fn save(file: &Path, token: &str) -> Result<String, Failure> {
    write(file, token, true)?;
    let file = file.display();
    Ok(format!(
        "Saved token to {file}, use 'muster jwt view {file}' to view it\n"
    ))
}

/// Writes a text without a line feed behind it: peers take a file as it is.
fn write(file: &Path, text: &str, overwrite: bool) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).mode(MODE);
        if overwrite {
            options.create(true).truncate(true);
        } else {
            options.create_new(true);
        }
        options.open(file)?.write_all(text.as_bytes())
    };
    write().map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "; --force overwrites it",
            _ => "",
        };
        Failure::new(format!("cannot write {}: {error}{hint}", file.display()))
    })
}
