//! `muster tool config`: which configuration is in effect, and where each value comes from.
//!
//! The keys, their defaults and what they do are those of `docs/config.md`, which is part of this program: what is documented is what is shown.

use std::path::Path;

use clap::{Args, ValueEnum};
use muster_broker::BrokerConfig;
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use crate::commands::hosted;
use crate::connection::ConnectionArgs;
use crate::exit::{Exit, Failure};
use crate::render::config::{Effective, Key, Role, known_keys};
use crate::{files, host, log, render};

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// Explain the keys with this text in their names instead.
    key: Option<String>,
    /// Whose configuration.
    #[arg(long, value_enum, default_value = "client")]
    role: RoleArg,
    /// The names of keys only.
    #[arg(short, long)]
    list: bool,
    /// Everything as JSON.
    #[arg(short, long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleArg {
    Client,
    #[value(alias = "node")]
    Server,
    Broker,
}

pub(crate) fn run(args: &ConfigArgs) -> Result<Exit, Failure> {
    let role = args.role();
    if args.list || args.key.is_some() {
        return args.explain(role);
    }
    let settings = args.settings(role)?;
    let problems = args.problems(role, &settings);
    let effective = Effective::of(role, &settings, problems);
    render::put(&if args.json {
        effective.json()
    } else {
        effective.text()
    })?;
    if effective.is_usable() {
        Ok(Exit::Success)
    } else {
        Ok(Exit::Unable)
    }
}

impl ConfigArgs {
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    fn role(&self) -> Role {
        match self.role {
            RoleArg::Client => Role::Client,
            RoleArg::Server => Role::Server,
            RoleArg::Broker => Role::Broker,
        }
    }

    fn explain(&self, role: Role) -> Result<Exit, Failure> {
        let wanted = self.key.as_deref().unwrap_or_default();
        let keys = known_keys(role);
        let keys: Vec<&Key<'_>> = keys
            .iter()
            .filter(|key| key.name.contains(wanted))
            .collect();
        if keys.is_empty() {
            return Err(Failure::new(format!(
                "no key of a {} has {wanted:?} in its name",
                role.name()
            )));
        }
        render::put(&if self.json {
            render::config::keys_json(&keys)
        } else if self.list {
            render::config::names(&keys)
        } else {
            render::config::explained(&keys)
        })?;
        Ok(Exit::Success)
    }

    fn settings(&self, role: Role) -> Result<Settings, Failure> {
        let usual = match role {
            Role::Client => return self.connection.client_settings(),
            Role::Server => "/etc/choria/server.conf",
            Role::Broker => "/etc/choria/broker.conf",
        };
        files::load(self.connection.config().unwrap_or_else(|| Path::new(usual)))
    }

    /// Reads the settings as their owner would, which also tells what nobody asks for.
    fn problems(&self, role: Role, settings: &Settings) -> Option<String> {
        let result = match role {
            Role::Client => self.connection.check(settings).map(drop),
            Role::Server => {
                NodeConfig::from_settings(settings, &node_flags(self.connection.config())).map(drop)
            }
            Role::Broker => {
                let mut reader = settings.reader();
                log::read(&mut reader);
                let broker = BrokerConfig::from_settings(settings, files::read).map(drop);
                let hosted = hosted::check(settings).map(drop);
                broker.and(hosted).and_then(|()| reader.finish())
            }
        };
        result.err().map(|errors| errors.to_string())
    }
}

fn node_flags(config: Option<&Path>) -> NodeFlags {
    NodeFlags {
        hostname: host::hostname(),
        config_file: config.map_or_else(String::new, |path| path.to_string_lossy().into_owned()),
        ..NodeFlags::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What each provider, with all it needs, makes a role ask for.
    fn asked(role: RoleArg) -> BTreeSet<String> {
        let mut asked = BTreeSet::new();
        for (provider, adapter, members) in [
            ("puppet", "choria_streams", "<name>"),
            ("file", "file", ""),
            ("choria", "kafka", ""),
        ] {
            let text = format!(
                "plugin.choria.adapters = <name>\nplugin.choria.adapter.<name>.type = {adapter}\n\
                 plugin.choria.adapter.<name>.kafka.<setting> = x\n",
            ) + &format!(
                "identity = n\nplugin.security.provider = {provider}\nplugin.security.issuer.names = <name>\n\
                 plugin.choria.federation.collectives = a\nplugin.security.file.certificate = c\n\
                 plugin.choria.federation.members = {members}\n\
                 plugin.choria.security.request_signer.url = https://signer.example.net\n"
            );
            let settings = Settings::parse(&text, "f");
            let args = ConfigArgs {
                key: None,
                role,
                list: false,
                json: false,
                connection: ConnectionArgs::default(),
            };
            // What is wrong with the values is not the point.
            let _ = args.problems(args.role(), &settings);
            asked.extend(settings.asked());
        }
        asked
    }

    #[test]
    fn every_key_that_is_asked_for_is_documented_and_the_reverse() {
        for role in [RoleArg::Client, RoleArg::Broker] {
            let args = known_keys(match role {
                RoleArg::Client => Role::Client,
                RoleArg::Server => Role::Server,
                RoleArg::Broker => Role::Broker,
            });
            let documented: BTreeSet<_> = args.into_iter().map(|key| key.name).collect();
            let asked = asked(role);
            let missing: Vec<_> = asked.difference(&documented).collect();
            let idle: Vec<_> = documented.difference(&asked).collect();
            assert!(
                missing.is_empty() && idle.is_empty(),
                "{role:?}: not documented {missing:?}, not asked for {idle:?}"
            );
        }
    }
}
