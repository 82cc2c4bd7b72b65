//! `muster ca`: an authority in a folder, what it issues, signs, renews and takes back.
//!
//! For laboratories and small fleets. Keys go to files that only their owner can read, and nowhere else. What a command
//! changed is said on the standard output: the files first, then what stands in them.

mod args;
mod show;

use std::path::Path;

use muster_pki::{
    Authority, CaFolder, FolderError, KeyKind, Profile, Renewal, RequestError, RequestRules, Role,
    Signed, SigningRequest, Validity, is_callers_name, rfc3339,
};
use muster_reactor::clock::unix_now;

pub(crate) use self::args::CaArgs;
use self::args::{
    CaCommand, CrlArgs, FolderArgs, InitArgs, IssueArgs, MakingArgs, RenewArgs, RevokeArgs,
    SignArgs,
};
use crate::exit::{Exit, Failure};
use crate::{files, render};

/// Hosts whose clocks lag take new certificates all the same.
const CLOCK_LAG_SECS: u64 = 3600;
/// How long an authority is valid unless told otherwise.
const AUTHORITY_DAYS: u32 = 3650;
/// How long other certificates are.
const CERT_DAYS: u32 = 825;
/// Names with this in them may, under the default settings of nodes, call for anybody.
const PRIVILEGED: &str = ".privileged.";

pub(crate) fn run(args: &CaArgs) -> Result<Exit, Failure> {
    let said = match &args.command {
        CaCommand::Init(args) => init(args)?,
        CaCommand::Broker(args) => issue(args, Role::Broker)?,
        CaCommand::Node(args) => issue(args, Role::Node)?,
        CaCommand::Client(args) => issue(args, Role::Client)?,
        CaCommand::Sign(args) => sign(args)?,
        CaCommand::Renew(args) => renew(args)?,
        CaCommand::Revoke(args) => revoke(args)?,
        CaCommand::Crl(args) => crl(args)?,
        CaCommand::List(args) => show::list(open(args)?.index(), now()),
        CaCommand::Show(args) => show::file(&args.file, now())?,
    };
    render::put(&said)?;
    Ok(Exit::Success)
}

fn init(args: &InitArgs) -> Result<String, Failure> {
    std::fs::create_dir_all(&args.folder)
        .map_err(|error| Failure::new(format!("cannot make {}: {error}", args.folder.display())))?;
    let making = &args.making;
    let validity = validity(making.days.unwrap_or(AUTHORITY_DAYS));
    let authority = Authority::new(&args.name, making.kind(), validity).map_err(Failure::new)?;
    let made = CaFolder::create(&args.folder, &authority, making.if_exists());
    Ok(paths(&made.map_err(Failure::new)?))
}

fn issue(args: &IssueArgs, role: Role) -> Result<String, Failure> {
    warn_of_name(&args.name, role);
    let making: &MakingArgs = &args.making;
    let validity = validity(making.days.unwrap_or(CERT_DAYS));
    let mut profile = Profile::new(role, &args.name, validity).key_kind(making.kind());
    profile.dns_names.clone_from(&args.dns);
    profile.ips.clone_from(&args.ip);
    let mut folder = open(&args.folder)?;
    let issued = folder.issue(&profile, now(), making.if_exists());
    let issued = issued.map_err(Failure::new)?;
    warn_of_end(&folder, issued.info.not_after);
    Ok(paths(&issued))
}

fn sign(args: &SignArgs) -> Result<String, Failure> {
    let of_file =
        |error: RequestError| Failure::new(format!("{}: {error}", args.request.display()));
    let request = SigningRequest::from_pem(&files::need(&args.request)?).map_err(of_file)?;
    let role = args.profile.into();
    let rules = RequestRules {
        role,
        name: args.name.as_deref(),
        allow_alternative_names: args.allow_san,
    };
    request.check(&rules).map_err(|error| match error {
        // The way out is said where there is one.
        RequestError::AlternativeName { .. } | RequestError::CallersName { .. } => {
            Failure::new(format!(
                "{}: {error}; --allow-san signs it all the same",
                args.request.display()
            ))
        }
        error => of_file(error),
    })?;
    if !request.ignored().is_empty() {
        let ignored = request.ignored().join(", ");
        eprintln!("warning: the request also asks for {ignored}, which is left out");
    }
    warn_of_name(request.name(), role);
    let mut folder = open(&args.folder)?;
    let place = (args.out.as_deref(), args.if_exists());
    let asked = (role, validity(args.days.unwrap_or(CERT_DAYS)));
    let signed = folder.sign(&request, asked, now(), place);
    let signed = signed.map_err(Failure::new)?;
    warn_of_end(&folder, signed.info.not_after);
    Ok(paths(&signed) + &show::cert(&signed.info, now()))
}

fn renew(args: &RenewArgs) -> Result<String, Failure> {
    let mut folder = open(&args.folder)?;
    let renewal = if args.rekey {
        Renewal::NewKey(args.rsa.then_some(KeyKind::Rsa2048))
    } else {
        Renewal::SameKey(args.out.as_deref())
    };
    let validity = validity(args.days.unwrap_or(CERT_DAYS));
    let renewed = folder.renew(&args.which, validity, renewal, now());
    let renewed = renewed.map_err(Failure::new)?;
    warn_of_end(&folder, renewed.info.not_after);
    Ok(paths(&renewed) + &show::cert(&renewed.info, now()))
}

fn revoke(args: &RevokeArgs) -> Result<String, Failure> {
    let mut folder = open(&args.folder)?;
    let revoked = folder
        .revoke(&args.which, args.reason.into(), now(), args.days)
        .map_err(Failure::new)?;
    let mut said = String::new();
    for entry in &revoked {
        said.push_str(&format!("revoked {entry}\n"));
    }
    said.push_str(&format!("{}\n", folder.crl_path().display()));
    Ok(said)
}

fn crl(args: &CrlArgs) -> Result<String, Failure> {
    let (path, info) = open(&args.folder)?
        .write_crl(now(), args.days)
        .map_err(Failure::new)?;
    Ok(format!("{}\n{}", path.display(), show::crl(&info, now())))
}

fn open(args: &FolderArgs) -> Result<CaFolder, Failure> {
    CaFolder::open(&args.folder).map_err(|error| match error {
        FolderError::Io(path, error) => {
            Failure::new(format!("cannot read {}: {error}", path.display()))
        }
        error => Failure::new(error),
    })
}

fn now() -> u64 {
    unix_now().as_secs()
}

fn validity(days: u32) -> Validity {
    Validity::days_from(now().saturating_sub(CLOCK_LAG_SECS), days)
}

fn paths(signed: &Signed) -> String {
    let line = |path: &Path| format!("{}\n", path.display());
    let key = signed.key.as_deref().map(line);
    line(&signed.cert) + &key.unwrap_or_default()
}

/// What a name lets its owner do, where that may surprise.
fn warn_of_name(name: &str, role: Role) {
    if role == Role::Client && !is_callers_name(name) {
        eprintln!(
            "warning: nodes let only names that end in .mcollective or .choria call, unless their certname_whitelist says otherwise"
        );
    }
    if role != Role::Client && is_callers_name(name) {
        eprintln!(
            "warning: nodes let {name} call, as they do with all such names unless told otherwise"
        );
    }
    if is_callers_name(name) && name.contains(PRIVILEGED) {
        eprintln!(
            "warning: nodes let {name} call for anybody, unless their privileged_users says otherwise"
        );
    }
}

fn warn_of_end(folder: &CaFolder, not_after: u64) {
    let end = folder
        .authority()
        .and_then(|authority| Ok(authority.dates()?.1));
    if let Ok(end) = end
        && end < not_after
    {
        eprintln!(
            "warning: the authority ends before the certificate does, at {}; from then on nobody accepts it",
            rfc3339(end)
        );
    }
}
