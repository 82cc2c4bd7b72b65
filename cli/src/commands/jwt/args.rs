//! The arguments of `muster jwt`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use muster_settings::parse_duration;

#[derive(Debug, Subcommand)]
pub(crate) enum JwtCommand {
    /// Make a token that tells nodes where they are provisioned.
    #[command(visible_aliases = ["prov", "p"])]
    Provisioning(ProvisioningArgs),
    /// Make a node's token.
    #[command(visible_alias = "s")]
    Server(ServerArgs),
    /// Make a caller's token.
    #[command(visible_alias = "c")]
    Client(ClientArgs),
    /// Make an ed25519 key, or show the public half of one.
    #[command(visible_alias = "k")]
    Keys(KeysArgs),
    /// Show what a token says, and check it.
    #[command(visible_aliases = ["show", "v"])]
    View(ViewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ProvisioningArgs {
    /// The token's file.
    pub(super) file: PathBuf,
    /// The key to sign with: an RSA key in PEM or an ed25519 seed in hex.
    pub(super) signing_key: PathBuf,
    /// The secret that guards the agent choria_provision.
    #[arg(long)]
    pub(super) token: String,
    /// A provisioning broker, such as broker.example.net:4222; may be repeated.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub(super) urls: Vec<String>,
    /// The domain whose SRV records name the provisioning brokers.
    #[arg(long, value_name = "DOMAIN", conflicts_with = "urls")]
    pub(super) srv: Option<String>,
    /// Requests need no signature during provisioning; so it is unless --no-insecure says otherwise.
    #[arg(long, overrides_with = "no_insecure")]
    insecure: bool,
    /// Requests must be signed during provisioning.
    #[arg(long, overrides_with = "insecure")]
    no_insecure: bool,
    /// Nodes whose configuration does not say are provisioned.
    #[arg(long)]
    pub(super) default: bool,
    /// A file to publish as registration data.
    #[arg(long, value_name = "FILE")]
    pub(super) registration: Option<String>,
    /// A file with facts.
    #[arg(long, value_name = "FILE")]
    pub(super) facts: Option<String>,
    /// The user the broker knows nodes by.
    #[arg(long)]
    pub(super) username: Option<String>,
    /// The user's password.
    #[arg(long)]
    pub(super) password: Option<String>,
    /// What else helpers are to see.
    #[arg(long, value_name = "JSON")]
    pub(super) extensions: Option<String>,
    /// The organisation.
    #[arg(long, default_value = "choria")]
    pub(super) org: String,
    /// Version 2 of the protocol is spoken.
    #[arg(long)]
    pub(super) protocol_v2: bool,
    /// The provisioner may replace the program.
    #[arg(long, alias = "update")]
    pub(super) upgrade: bool,
    /// How long the token is valid.
    #[arg(long, default_value = "1y", value_parser = parse_duration)]
    pub(super) validity: Duration,
}

impl ProvisioningArgs {
    pub(super) const fn is_secure(&self) -> bool {
        self.no_insecure && !self.insecure
    }
}

#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The token's file.
    pub(super) file: PathBuf,
    /// The node's name.
    pub(super) identity: String,
    /// The node's ed25519 public key in hex, or its file.
    pub(super) public_key: String,
    /// The issuer's seed.
    pub(super) signing_key: PathBuf,
    /// A collective the node is in; may be repeated.
    #[arg(long, value_delimiter = ',', default_value = "mcollective")]
    pub(super) collectives: Vec<String>,
    /// The organisation.
    #[arg(long, default_value = "choria")]
    pub(super) org: String,
    /// A further subject the node may publish to; may be repeated.
    #[arg(long, value_delimiter = ',')]
    pub(super) subjects: Vec<String>,
    /// The node may submit messages to streams.
    #[arg(long)]
    pub(super) submission: bool,
    /// The node may read streams.
    #[arg(long)]
    pub(super) stream_user: bool,
    /// The node may serve service agents.
    #[arg(long)]
    pub(super) service: bool,
    /// The node may use governors.
    #[arg(long)]
    pub(super) governor: bool,
    /// How long the token is valid.
    #[arg(long, default_value = "8760h", value_parser = parse_duration)]
    pub(super) validity: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The token's file.
    pub(super) file: PathBuf,
    /// The caller id, such as up=ginger.
    pub(super) identity: String,
    /// The issuer's seed.
    pub(super) signing_key: PathBuf,
    /// An agent the caller may ask: *, agent.* or agent.action; may be repeated.
    #[arg(long, value_delimiter = ',')]
    pub(super) agents: Vec<String>,
    /// The organisation.
    #[arg(long, default_value = "choria")]
    pub(super) org: String,
    /// The caller's ed25519 public key in hex, or its file.
    #[arg(long, value_name = "KEY")]
    pub(super) public_key: Option<String>,
    /// Administer streams.
    #[arg(long)]
    pub(super) stream_admin: bool,
    /// Use streams.
    #[arg(long)]
    pub(super) stream_user: bool,
    /// See events.
    #[arg(long)]
    pub(super) event_viewer: bool,
    /// Take part in leader elections.
    #[arg(long)]
    pub(super) elections_user: bool,
    /// The token may be valid for long.
    #[arg(long)]
    pub(super) service: bool,
    /// Use the broker's system account.
    #[arg(long)]
    pub(super) system: bool,
    /// Sign requests for others.
    #[arg(long)]
    pub(super) auth_delegation: bool,
    /// Ask nodes; so it is unless --no-fleet-management says otherwise.
    #[arg(long, overrides_with = "no_fleet_management")]
    fleet_management: bool,
    /// Ask no nodes.
    #[arg(long, overrides_with = "fleet_management")]
    no_fleet_management: bool,
    /// Ask nodes, but only what a signing service signed.
    #[arg(long)]
    pub(super) signed_fleet_management: bool,
    /// Use all subjects.
    #[arg(long)]
    pub(super) org_admin: bool,
    /// A further subject the caller may publish to; may be repeated.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) publish: Vec<String>,
    /// A further subject the caller may subscribe to; may be repeated.
    #[arg(long, value_name = "SUBJECT")]
    pub(super) subscribe: Vec<String>,
    /// The holder may issue tokens in the organisation's name.
    #[arg(long, requires = "public_key")]
    pub(super) issuer: bool,
    /// Provision nodes.
    #[arg(long)]
    pub(super) server_provisioner: bool,
    /// Use governors.
    #[arg(long)]
    pub(super) governor: bool,
    /// How long the token is valid.
    #[arg(long, default_value = "1h", value_parser = parse_duration)]
    pub(super) validity: Duration,
}

impl ClientArgs {
    pub(super) const fn may_manage(&self) -> bool {
        !self.no_fleet_management || self.fleet_management
    }
}

#[derive(Debug, Args)]
pub(crate) struct KeysArgs {
    /// The file for the seed.
    pub(super) seed_file: PathBuf,
    /// A file for the public key.
    pub(super) public: Option<PathBuf>,
    /// Overwrite the seed that is there.
    #[arg(short, long)]
    pub(super) force: bool,
    /// Make nothing; show the public key of the seed.
    #[arg(long)]
    pub(super) show_public: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// The token's file.
    pub(super) file: PathBuf,
    /// The key that must have signed it: a public key in hex or PEM, or a certificate.
    #[arg(value_name = "PUBLIC")]
    pub(super) public: Option<PathBuf>,
    /// The same.
    #[arg(long, value_name = "KEY", conflicts_with = "public")]
    pub(super) verify: Option<PathBuf>,
    /// Show the claims as JSON, secrets left out.
    #[arg(short, long)]
    pub(super) json: bool,
}

impl JwtCommand {
    /// Whether the standard output holds JSON.
    pub(crate) const fn is_json(&self) -> bool {
        matches!(self, Self::View(ViewArgs { json: true, .. }))
    }
}
