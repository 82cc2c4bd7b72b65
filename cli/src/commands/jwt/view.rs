//! `muster jwt view`.

use std::fmt::Write as _;

use muster_protocol::security::tokens::{
    Claims, ClientPermissions, IssuerKey, ProvisioningClaims, ProvisioningToken, ServerPermissions,
    StandardClaims, TokenError, TokenTrust, UnverifiedToken,
};
use muster_reactor::clock::unix_now;
use serde_json::Value;

use super::args::ViewArgs;
use super::of_file;
use crate::exit::{Exit, Failure};
use crate::timestamp::rfc3339;
use crate::{files, render};

/// What is shown in place of a secret.
const HIDDEN: &str = "*****";
/// Claims that nobody is shown.
const SECRETS: [&str; 2] = ["cht", "chpwd"];

/// Labels and values.
type Rows = Vec<(&'static str, String)>;

/// A token of any kind.
enum Token<'a> {
    Provisioning(Box<ProvisioningToken<'a>>),
    Other(UnverifiedToken<'a>),
}

/// Shows the token. One that is out of its time ends with another code, as does one that the key did not sign.
pub(super) fn run(args: &ViewArgs) -> Result<Exit, Failure> {
    let text = files::need(&args.file)?;
    let text = text.trim();
    let token = match UnverifiedToken::parse(text) {
        Ok(token) => Token::Other(token),
        Err(TokenError::Purpose { .. } | TokenError::Algorithm { .. }) => {
            let token = ProvisioningToken::parse(text);
            Token::Provisioning(Box::new(token.map_err(|error| of_file(&args.file, error))?))
        }
        Err(error) => return Err(of_file(&args.file, error)),
    };
    let key = args.verify.as_ref().or(args.public.as_ref());
    if let Some(file) = key {
        let key =
            IssuerKey::from_text(&files::need(file)?).map_err(|error| of_file(file, error))?;
        verify(&token, text, &key).map_err(|error| of_file(&args.file, error))?;
    }
    let standard = match &token {
        Token::Provisioning(token) => &token.claims.standard,
        Token::Other(token) => token.claims.standard(),
    };
    let in_time = standard.check_time(unix_now().as_secs());
    let said = if args.json {
        json(&token)?
    } else {
        let kind = match &token {
            Token::Provisioning(_) => "Provisioning",
            Token::Other(token) => match &token.claims {
                Claims::Client(_) => "Client Identification",
                Claims::Server(_) => "Server",
            },
        };
        let checked = if key.is_some() {
            "Validated"
        } else {
            "Unvalidated"
        };
        let mut out = format!("{checked} {kind} Token {}\n\n", args.file.display());
        let mut rows = rows(&token);
        rows.extend(standard_rows(standard));
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 2;
        for (label, value) in rows {
            let _ = writeln!(out, "{label:>width$}: {value}");
        }
        out
    };
    render::put(&said)?;
    match in_time {
        Ok(()) => Ok(Exit::Success),
        Err(error) => Err(Failure::after_output(of(&error))),
    }
}

fn of(error: &TokenError) -> String {
    error.to_string()
}

fn verify(token: &Token<'_>, text: &str, key: &IssuerKey) -> Result<(), TokenError> {
    let is_signed = match (token, key) {
        (Token::Provisioning(token), key) => token.is_signed_by(key),
        (Token::Other(token), IssuerKey::Ed25519(key)) => {
            // Out of its time is told apart; a chain of trust counts as a signature of its head.
            let trust = TokenTrust::Signers(vec![*key]);
            match trust.verify(text, unix_now().as_secs()) {
                Ok(_) | Err(TokenError::Expired { .. } | TokenError::NotYetValid { .. }) => true,
                Err(TokenError::PublicKey(_)) => token.is_signed_by(key),
                Err(error) => return Err(error),
            }
        }
        (Token::Other(_), IssuerKey::Rsa(_)) => false,
    };
    is_signed.then_some(()).ok_or(TokenError::Untrusted)
}

fn rows(token: &Token<'_>) -> Rows {
    match token {
        Token::Provisioning(token) => provisioning(&token.claims),
        Token::Other(token) => match &token.claims {
            Claims::Client(claims) => vec![
                ("Caller ID", claims.caller_id.clone()),
                ("Organization Unit", claims.organization.clone()),
                ("Allowed Agents", claims.agents.join(", ")),
                ("Publish Subjects", claims.pub_subjects.join(", ")),
                ("Subscription Subjects", claims.sub_subjects.join(", ")),
                (
                    "Permissions",
                    client(claims.permissions.unwrap_or_default()),
                ),
            ],
            Claims::Server(claims) => vec![
                ("Identity", claims.identity.clone()),
                ("Organization Unit", claims.organization.clone()),
                ("Collectives", claims.collectives.join(", ")),
                ("Additional Subjects", claims.pub_subjects.join(", ")),
                (
                    "Permissions",
                    server(claims.permissions.unwrap_or_default()),
                ),
            ],
        },
    }
}

fn provisioning(claims: &ProvisioningClaims) -> Rows {
    let hidden = |text: &String| if text.is_empty() { "" } else { HIDDEN }.to_owned();
    let extensions = claims.extensions.clone();
    vec![
        ("Token", hidden(&claims.token)),
        ("Secure", claims.secure.to_string()),
        ("URLs", claims.urls.clone()),
        ("SRV Domain", claims.srv_domain.clone()),
        (
            "Provisioning by default",
            claims.provision_default.to_string(),
        ),
        (
            "Provisioning Registration Data",
            claims.registration_data.clone(),
        ),
        ("Provisioning Facts", claims.facts.clone()),
        ("Broker Username", claims.username.clone()),
        ("Broker Password", hidden(&claims.password)),
        ("Using version 2 Protocol", claims.protocol_v2.to_string()),
        ("Server Version Upgrades", claims.allow_update.to_string()),
        ("Organization Unit", claims.organization.clone()),
        (
            "Extensions",
            extensions.map_or_else(String::new, |map| Value::Object(map).to_string()),
        ),
    ]
}

fn standard_rows(claims: &StandardClaims) -> Rows {
    let date = |date: Option<i64>| date.map_or_else(|| "never".to_owned(), rfc3339);
    vec![
        ("Public Key", claims.public_key.clone()),
        ("Issuer", claims.issuer.clone()),
        ("Issued At", date(claims.issued_at)),
        ("Expires At", date(claims.effective_expiry())),
        ("ID", claims.id.clone()),
    ]
}

/// The names of what is on.
fn names(permissions: &[(&str, bool)]) -> String {
    let names = permissions.iter().filter(|(_, is_on)| *is_on);
    let names: Vec<_> = names.map(|(name, _)| *name).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn client(on: ClientPermissions) -> String {
    names(&[
        ("manage nodes", on.fleet_management),
        (
            "manage nodes by a signing service",
            on.signed_fleet_management,
        ),
        ("provision nodes", on.provisioner),
        ("sign for others", on.authentication_delegator),
        ("view events", on.events_viewer),
        ("use streams", on.streams_user),
        ("administer streams", on.streams_admin),
        ("use elections", on.election_user),
        ("use governors", on.governor),
        ("use the system account", on.system_user),
        ("use every subject", on.org_admin),
        ("long validity", on.extended_lifetime),
    ])
}

fn server(on: ServerPermissions) -> String {
    names(&[
        ("submit to streams", on.submission),
        ("use streams", on.streams),
        ("use governors", on.governor),
        ("host services", on.service_host),
    ])
}

fn json(token: &Token<'_>) -> Result<String, Failure> {
    let value = match token {
        Token::Provisioning(token) => serde_json::to_value(&token.claims),
        Token::Other(token) => match &token.claims {
            Claims::Client(claims) => serde_json::to_value(claims),
            Claims::Server(claims) => serde_json::to_value(claims),
        },
    };
    let mut value = value.map_err(Failure::new)?;
    for secret in SECRETS {
        if let Some(value) = value.get_mut(secret) {
            *value = HIDDEN.into();
        }
    }
    let mut text = serde_json::to_string_pretty(&value).map_err(Failure::new)?;
    text.push('\n');
    Ok(text)
}
