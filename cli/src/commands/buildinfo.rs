//! `muster buildinfo`: how this program was built, and what it does unless told otherwise.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use muster_broker::running::NATS_VERSION;
use muster_server::provision::TargetResolver as _;

use super::server::Provisioning;
use crate::exit::{Exit, Failure};
use crate::{render, site};

/// What the sources are locked to.
const LOCK: &str = include_str!("../../../Cargo.lock");

#[derive(Debug, Args)]
pub(crate) struct BuildinfoArgs {
    /// List the libraries the sources are locked to, those of tests among them.
    #[arg(short = 'D', long)]
    dependencies: bool,
}

/// Where a node's configuration is, beside which its provisioning token is.
const SERVER_CONFIG: &str = "/etc/choria/server.conf";

/// What a block says: labels and values.
type Block<'a> = (&'a str, Vec<(&'a str, String)>);

pub(crate) fn run(args: &BuildinfoArgs) -> Result<Exit, Failure> {
    let mut text = text(&build());
    if args.dependencies {
        text.push_str(&dependencies());
    }
    render::put(&text)?;
    Ok(Exit::Success)
}

fn build() -> Vec<Block<'static>> {
    let set = |text: &'static str| text.to_owned();
    vec![
        (
            "Build Data",
            vec![
                ("Version", set(env!("CARGO_PKG_VERSION"))),
                ("Git SHA", set(env!("MUSTER_GIT_SHA"))),
                ("Build Date", set(env!("MUSTER_BUILD_DATE"))),
                ("License", set(env!("CARGO_PKG_LICENSE"))),
                ("Rust Version", set(env!("MUSTER_RUSTC"))),
                ("Target", set(env!("MUSTER_TARGET"))),
            ],
        ),
        (
            "Protocol Defaults and Settings",
            vec![
                ("Default Collectives", set("mcollective")),
                ("Client Identity Suffix", set("mcollective")),
            ],
        ),
        (
            "Network Broker Settings",
            vec![
                (
                    "Maximum Network Clients",
                    muster_broker::config::CONNECTIONS_MAX.to_string(),
                ),
                (
                    "Embedded NATS Server Version",
                    format!("none, the broker is our own and speaks as {NATS_VERSION}"),
                ),
            ],
        ),
        ("Server Settings", server_settings()),
        (
            "Security Defaults",
            vec![
                ("TLS", site::TLS.to_string()),
                ("x509 Security", set("true")),
            ],
        ),
    ]
}

/// What a node here does without a configuration: what is compiled in, and what the token in the usual place says. Only
/// what is set is shown, but for what is always there.
fn server_settings() -> Vec<(&'static str, String)> {
    let found = Provisioning::look(Path::new(SERVER_CONFIG));
    let resolver = found.resolver();
    let (build, jwt) = (&found.build, found.jwt_file.display());
    let or_not = |text: &str| {
        let text = if text.is_empty() { "not set" } else { text };
        text.to_owned()
    };
    let hidden = |text: &str| or_not(if text.is_empty() { "" } else { "*****" });
    let mut rows = vec![
        ("Provisioning Target Resolver", resolver.name().to_owned()),
        (
            "Supports Provisioning",
            build.supports_provisioning().to_string(),
        ),
        ("Provisioning JWT file", jwt.to_string()),
        ("Provisioning Brokers", or_not(&build.brokers.join(","))),
        ("Provisioning SRV Domain", or_not(&build.srv_domain)),
        ("Provisioning Default", build.default.to_string()),
        ("Default Provisioning Agent", build.agent.to_string()),
        ("Provisioning TLS", build.secure.to_string()),
        (
            "Provisioning Registration Data",
            or_not(&build.registration_data),
        ),
        ("Provisioning Facts", or_not(&build.facts)),
        ("Provisioning Token", hidden(&build.token)),
    ];
    for (label, value) in [
        ("Provisioning Status File", build.status_file.clone()),
        ("Provisioning Broker Username", build.username.clone()),
    ] {
        if !value.is_empty() {
            rows.push((label, value));
        }
    }
    if !build.password.is_empty() {
        rows.push(("Provisioning Broker Password", hidden(&build.password)));
    }
    for (label, is_on) in [
        ("Provisioning Using Protocol v2", build.protocol_v2),
        ("Provisioning Version Upgrades", build.allow_update),
    ] {
        if is_on {
            rows.push((label, "true".to_owned()));
        }
    }
    rows
}

/// What runs the agents of a node.
const AGENT_PROVIDERS: [&str; 3] = [
    "Rust agents compiled in",
    "External agents in any language",
    "Ruby agents through a shim",
];

fn text(blocks: &[Block<'_>]) -> String {
    let mut out = "Muster build settings:\n".to_owned();
    for (heading, rows) in blocks {
        let _ = writeln!(out, "\n{heading}:");
        let width = rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 2;
        for (label, value) in rows {
            let _ = writeln!(out, "{label:>width$}: {value}");
        }
    }
    out.push_str("\nAgent Providers:\n");
    for provider in AGENT_PROVIDERS {
        let version = env!("CARGO_PKG_VERSION");
        let _ = writeln!(out, "  {provider}, version {version}");
    }
    out
}

fn dependencies() -> String {
    let mut out = "\nDependencies:\n".to_owned();
    let packages = LOCK.split("[[package]]").skip(1);
    for package in packages.filter(|package| package.contains("\nsource = ")) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().trim_matches(['=', ' ', '"'])
        };
        let _ = writeln!(out, "{:>30} {}", value("name"), value("version"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_labels_are_the_known_ones() {
        let text = text(&build());
        for line in [
            "Build Data:\n",
            "\n       Version: 0",
            "\n  Rust Version: rustc ",
            "Network Broker Settings:\n",
            &format!(
                "\n       Maximum Network Clients: {}\n",
                muster_broker::config::CONNECTIONS_MAX
            ),
            "Server Settings:\n",
            "\n              Provisioning Token: not set\n",
            "Agent Providers:\n",
            "Security Defaults:\n",
            &format!("\n            TLS: {}\n  x509 Security: true\n", site::TLS),
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }

    #[test]
    fn libraries_of_others_are_listed() {
        let list = dependencies();
        let clap = list.lines().find(|line| line.trim().starts_with("clap "));
        assert!(clap.is_some_and(|line| line.contains(" 4.")), "{list}");
        assert!(!list.contains("muster"), "{list}");
    }
}
