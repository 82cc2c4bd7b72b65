//! The arguments of `muster ca`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use muster_pki::{IfExists, KeyKind, Reason, Role};

/// How long a revocation list counts unless told otherwise.
const CRL_DAYS: u32 = 30;

#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    #[command(subcommand)]
    pub(super) command: CaCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make an authority: ca.pem and ca.key.
    Init(InitArgs),
    /// Issue a certificate for a broker: NAME.pem and NAME.key.
    Broker(IssueArgs),
    /// Issue a certificate for a node.
    Node(IssueArgs),
    /// Issue a certificate for somebody who calls, such as rip.mcollective.
    Client(IssueArgs),
    /// Sign a request that was made elsewhere: NAME.pem.
    Sign(SignArgs),
    /// Renew a certificate for the same key.
    Renew(RenewArgs),
    /// Revoke certificates, and write the revocation list: crl.pem.
    Revoke(RevokeArgs),
    /// Write the revocation list anew.
    Crl(CrlArgs),
    /// List all certificates that were issued.
    List(FolderArgs),
    /// Show what a certificate, a request or a revocation list says.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct FolderArgs {
    /// The authority's folder, which what is made goes to as well.
    #[arg(long = "dir", value_name = "DIR", default_value = ".")]
    pub(super) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The authority's folder; made where it is not there.
    #[arg(value_name = "DIR")]
    pub(super) folder: PathBuf,
    /// The authority's name.
    #[arg(long, default_value = "Muster CA")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) making: MakingArgs,
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// Identity of the broker or node, or name of the caller.
    pub(super) name: String,
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    /// A further DNS name.
    #[arg(long, value_name = "NAME")]
    pub(super) dns: Vec<String>,
    /// An IP address.
    #[arg(long)]
    pub(super) ip: Vec<IpAddr>,
    #[command(flatten)]
    pub(super) making: MakingArgs,
}

#[derive(Debug, Args)]
pub(super) struct MakingArgs {
    /// Days the certificate is valid; 3650 for an authority, 825 for others.
    #[arg(long)]
    pub(super) days: Option<u32>,
    /// An RSA key, which nodes of other makes want of callers, in place of an elliptic one.
    #[arg(long)]
    pub(super) rsa: bool,
    /// Replace files that are there.
    #[arg(long)]
    pub(super) force: bool,
}

impl MakingArgs {
    pub(super) const fn kind(&self) -> KeyKind {
        if self.rsa {
            KeyKind::Rsa2048
        } else {
            KeyKind::EcdsaP256
        }
    }

    pub(super) const fn if_exists(&self) -> IfExists {
        if_exists(self.force)
    }
}

const fn if_exists(force: bool) -> IfExists {
    if force {
        IfExists::Replace
    } else {
        IfExists::Refuse
    }
}

/// What the owner of a signed certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProfileArg {
    /// A network broker.
    Broker,
    /// A node.
    Node,
    /// Somebody who calls.
    Client,
}

impl From<ProfileArg> for Role {
    fn from(profile: ProfileArg) -> Self {
        match profile {
            ProfileArg::Broker => Self::Broker,
            ProfileArg::Node => Self::Node,
            ProfileArg::Client => Self::Client,
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The request, a PEM file.
    #[arg(value_name = "CSR")]
    pub(super) request: PathBuf,
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    /// What the owner is.
    #[arg(long, value_enum, default_value = "node")]
    pub(super) profile: ProfileArg,
    /// The name the request must have.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Sign alternative names apart from the common name too, and callers' names for brokers and nodes.
    #[arg(long)]
    pub(super) allow_san: bool,
    /// Days the certificate is valid; 825 unless told otherwise.
    #[arg(long)]
    pub(super) days: Option<u32>,
    /// Where the certificate goes; NAME.pem in the folder unless told otherwise.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

impl SignArgs {
    pub(super) const fn if_exists(&self) -> IfExists {
        if_exists(self.force)
    }
}

#[derive(Debug, Args)]
pub(super) struct RenewArgs {
    /// The owner's name, or the certificate's file.
    #[arg(value_name = "NAME|CERT")]
    pub(super) which: String,
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    /// Days the certificate is valid; 825 unless told otherwise.
    #[arg(long)]
    pub(super) days: Option<u32>,
    /// Make a new key as well: NAME.key.
    #[arg(long)]
    pub(super) rekey: bool,
    /// Make it an RSA key.
    #[arg(long, requires = "rekey")]
    pub(super) rsa: bool,
    /// Where the certificate goes; it replaces NAME.pem in the folder unless told otherwise.
    #[arg(long, value_name = "FILE", conflicts_with = "rekey")]
    pub(super) out: Option<PathBuf>,
}

/// Why a certificate is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReasonArg(Reason);

impl From<ReasonArg> for Reason {
    fn from(reason: ReasonArg) -> Self {
        reason.0
    }
}

impl ValueEnum for ReasonArg {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [ReasonArg; Reason::ALL.len()] = {
            let mut all = [ReasonArg(Reason::Unspecified); Reason::ALL.len()];
            let mut index = 0;
            while index < all.len() {
                all[index] = ReasonArg(Reason::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    /// The owner's name, which means all certificates issued to it, a certificate's file, or a serial number.
    #[arg(value_name = "NAME|CERT|SERIAL")]
    pub(super) which: String,
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    /// Why.
    #[arg(long, value_enum, default_value = "unspecified")]
    pub(super) reason: ReasonArg,
    /// Days until the next revocation list is due.
    #[arg(long, default_value_t = CRL_DAYS)]
    pub(super) days: u32,
}

#[derive(Debug, Args)]
pub(super) struct CrlArgs {
    #[command(flatten)]
    pub(super) folder: FolderArgs,
    /// Days until the next revocation list is due.
    #[arg(long, default_value_t = CRL_DAYS)]
    pub(super) days: u32,
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A PEM file.
    pub(super) file: PathBuf,
}
