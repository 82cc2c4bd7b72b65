//! `muster ca`: an authority in a folder, and what it issues into the same folder.
//!
//! For laboratories and small fleets. Keys go to files that only their owner can read, and nowhere else.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use muster_pki::{Authority, IfExists, KeyKind, Profile, Role, Validity};
use muster_reactor::clock::unix_now;

use crate::exit::{Exit, Failure};
use crate::{files, render};

/// File name of the authority, without its ending.
const CA: &str = "ca";
/// Hosts whose clocks lag take new certificates all the same.
const CLOCK_LAG_SECS: u64 = 3600;
/// Endings of the names that nodes let call unless they are told otherwise.
const CALLER_ENDINGS: [&str; 2] = [".mcollective", ".choria"];

#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    command: CaCommand,
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make an authority: ca.pem and ca.key.
    Init(InitArgs),
    /// Issue a certificate for a broker: NAME.pem and NAME.key.
    Broker(IssueArgs),
    /// Issue a certificate for a node.
    Node(IssueArgs),
    /// Issue a certificate for somebody who calls, such as rip.mcollective.
    Client(IssueArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    /// The authority's folder; made where it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The authority's name.
    #[arg(long, default_value = "Muster CA")]
    name: String,
    #[command(flatten)]
    making: MakingArgs,
}

#[derive(Debug, Args)]
struct IssueArgs {
    /// Identity of the broker or node, or name of the caller.
    name: String,
    /// The authority's folder, which the new files go to as well.
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// A further DNS name.
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address.
    #[arg(long)]
    ip: Vec<IpAddr>,
    #[command(flatten)]
    making: MakingArgs,
}

#[derive(Debug, Args)]
struct MakingArgs {
    /// Days the certificate is valid; 3650 for an authority, 825 for others.
    #[arg(long)]
    days: Option<u32>,
    /// An RSA key, which nodes of other makes want of callers, in place of an elliptic one.
    #[arg(long)]
    rsa: bool,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(args: &CaArgs) -> Result<Exit, Failure> {
    let (cert, key) = match &args.command {
        CaCommand::Init(init) => init.make()?,
        CaCommand::Broker(issue) => issue.make(Role::Broker)?,
        CaCommand::Node(issue) => issue.make(Role::Node)?,
        CaCommand::Client(issue) => issue.make(Role::Client)?,
    };
    render::put(&format!("{}\n{}\n", cert.display(), key.display()))?;
    Ok(Exit::Success)
}

impl InitArgs {
    fn make(&self) -> Result<(PathBuf, PathBuf), Failure> {
        std::fs::create_dir_all(&self.folder).map_err(|error| {
            Failure::new(format!("cannot make {}: {error}", self.folder.display()))
        })?;
        let making = &self.making;
        let validity = making.validity(3650);
        let authority =
            Authority::new(&self.name, making.kind(), validity).map_err(Failure::new)?;
        authority
            .write_files(&self.folder, CA, making.if_exists())
            .map_err(Failure::new)
    }
}

impl IssueArgs {
    fn make(&self, role: Role) -> Result<(PathBuf, PathBuf), Failure> {
        if self.name == CA {
            return Err(Failure::new("the name ca is the authority's own"));
        }
        let may_call = CALLER_ENDINGS
            .iter()
            .any(|ending| self.name.ends_with(ending));
        if role == Role::Client && !may_call {
            eprintln!(
                "warning: nodes let only names that end in {} call, unless their certname_whitelist says otherwise",
                CALLER_ENDINGS.join(" or ")
            );
        }
        let making = &self.making;
        let mut profile =
            Profile::new(role, &self.name, making.validity(825)).key_kind(making.kind());
        profile.dns_names.clone_from(&self.dns);
        profile.ips.clone_from(&self.ip);
        let issued = authority(&self.folder)?
            .issue(&profile)
            .map_err(Failure::new)?;
        issued
            .write_files(&self.folder, &self.name, making.if_exists())
            .map_err(Failure::new)
    }
}

impl MakingArgs {
    fn validity(&self, days: u32) -> Validity {
        let from = unix_now().as_secs().saturating_sub(CLOCK_LAG_SECS);
        Validity::days_from(from, self.days.unwrap_or(days))
    }

    fn kind(&self) -> KeyKind {
        if self.rsa {
            KeyKind::Rsa2048
        } else {
            KeyKind::EcdsaP256
        }
    }

    fn if_exists(&self) -> IfExists {
        if self.force {
            IfExists::Replace
        } else {
            IfExists::Refuse
        }
    }
}

fn authority(folder: &Path) -> Result<Authority, Failure> {
    let cert = files::need(&folder.join(format!("{CA}.pem")))?;
    let key = files::need(&folder.join(format!("{CA}.key")))?;
    Authority::from_pem(&cert, &key).map_err(Failure::new)
}
