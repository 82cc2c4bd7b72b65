//! `muster tool provisioner`: which provisioning brokers a node of this host would go to.

use std::path::PathBuf;

use clap::Args;
use muster_server::provision::TargetResolver as _;

use crate::commands::server::Provisioning;
use crate::exit::{Exit, Failure};
use crate::render;

#[derive(Debug, Args)]
pub(crate) struct ProvisionerArgs {
    /// The node's configuration file; it need not be there.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "/etc/choria/server.conf"
    )]
    config: PathBuf,
}

pub(super) fn run(args: &ProvisionerArgs) -> Result<Exit, Failure> {
    let mut resolver = Provisioning::look(&args.config).resolver();
    let mut text = format!(
        "Attempting provisioner resolution using: {}\n",
        resolver.name()
    );
    let targets = resolver.targets().map_err(Failure::new)?;
    text.push_str(&format!(
        "Provisioning using {} broker(s):\n\n",
        targets.len()
    ));
    for target in targets {
        text.push_str(&format!("\t{target}\n"));
    }
    text.push('\n');
    render::put(&text)?;
    Ok(Exit::Success)
}
