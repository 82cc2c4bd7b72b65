//! `muster backplane SERVICE ACTION`: manages the instances of an application that embeds a backplane.
//!
//! Instances are discovered in the collective `SERVICE_backplane`, by the fact that says they offer the action, and are
//! then asked one by one. Only failures are shown, but for actions that are asked for their answer.

use std::time::Duration;

use clap::{Args, ValueEnum};
use muster_backplane::{AGENT, collective, ddl};
use muster_client::fleet::{
    Aggregates, DISCOVERY_WINDOW, Discover, Fleet, FleetEvent, NodeReply, Rpc, RpcOptions, Summary,
    Target,
};
use muster_protocol::filter::{FactFilter, FactOperator, Filter};

use crate::connection::{ConnectionArgs, seconds};
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::render;
use crate::render::backplane::{Shown, show};
use crate::render::rpc::Reply;
use crate::selection::FilterArgs;

/// What an action is, for the errors of a command line.
const ACTIONS: &str =
    "pause, resume, flip, health, shutdown, ping, info, debuglvl, infolvl, warnlvl, critlvl";

#[derive(Debug, Args)]
#[command(override_usage = "muster backplane [OPTIONS] [exec] <SERVICE> <ACTION>")]
pub(crate) struct BackplaneArgs {
    /// The application's name, as its instances have it in their configuration. The word exec in front changes nothing.
    #[arg(value_name = "SERVICE")]
    first: String,
    /// What they are to do: pause, resume, flip, health, shutdown, ping, info, debuglvl, infolvl, warnlvl, critlvl.
    #[arg(value_name = "ACTION")]
    second: String,
    /// The action, behind the word exec and the service.
    #[arg(hide = true)]
    third: Option<String>,
    /// Seconds to wait for answers.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// All answers, facts included.
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    filters: FilterArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// The actions of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Pause,
    Resume,
    Flip,
    Health,
    Shutdown,
    Ping,
    Info,
    Debuglvl,
    Infolvl,
    Warnlvl,
    Critlvl,
}

impl Action {
    const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Flip => "flip",
            Self::Health => "health",
            Self::Shutdown => "shutdown",
            Self::Ping => "ping",
            Self::Info => "info",
            Self::Debuglvl => "debuglvl",
            Self::Infolvl => "infolvl",
            Self::Warnlvl => "warnlvl",
            Self::Critlvl => "critlvl",
        }
    }

    /// The fact of those that offer it; all offer the rest.
    const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Pause | Self::Resume | Self::Flip => Some("backplane_pausable"),
            Self::Shutdown => Some("backplane_stopable"),
            Self::Health => Some("backplane_healthcheckable"),
            Self::Debuglvl | Self::Infolvl | Self::Warnlvl | Self::Critlvl => {
                Some("backplane_loglevelsetable")
            }
            Self::Ping | Self::Info => None,
        }
    }

    /// What is shown of its answers.
    const fn shown(self) -> Shown {
        match self {
            Self::Info => Shown::Description,
            Self::Health => Shown::Health,
            Self::Ping | Self::Debuglvl | Self::Infolvl | Self::Warnlvl | Self::Critlvl => {
                Shown::Answers
            }
            Self::Pause | Self::Resume | Self::Flip | Self::Shutdown => Shown::Failures,
        }
    }
}

pub(crate) fn run(args: &BackplaneArgs) -> Result<Exit, Failure> {
    args.request()?.run()
}

/// A command line, understood.
#[derive(Debug)]
struct Request<'a> {
    service: &'a str,
    action: Action,
    args: &'a BackplaneArgs,
}

impl BackplaneArgs {
    fn request(&self) -> Result<Request<'_>, Failure> {
        let (service, action) = match (&*self.first, &*self.second, self.third.as_deref()) {
            ("exec", service, Some(action)) | (service, action, None) => (service, action),
            (_, _, Some(more)) => {
                return Err(Failure::new(format!("{more:?} is one word too many")));
            }
        };
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if service.is_empty() || !service.bytes().all(is_name) {
            return Err(Failure::new(format!(
                "{service:?} is no name of a service: it does not match ^[a-z0-9]+$"
            )));
        }
        let action = Action::from_str(action, false)
            .map_err(|_| Failure::new(format!("{action:?} is no action; there is {ACTIONS}")))?;
        Ok(Request {
            service,
            action,
            args: self,
        })
    }
}

impl Request<'_> {
    fn run(&self) -> Result<Exit, Failure> {
        let filter = self.filter()?;
        let mut client = self.args.connection.client()?;
        let collective = collective(self.service);
        client.fleet.caller.collective.clone_from(&collective);
        client.fleet.caller.main_collective = collective;
        let mut fleet = client.connect()?;
        let service = self.service;
        render::put(&format!(
            "Starting discovery process for {service} backplane managed services: "
        ))?;
        let discover = Discover {
            filter,
            agent: Some(AGENT.to_owned()),
            timeout: client.fleet.discovery_timeout,
            window: Some(DISCOVERY_WINDOW),
            expect: None,
        };
        let found = fleet
            .discover(discover, &mut |_| ())
            .map_err(Failure::new)?;
        render::put(&format!("{}\n\n", found.replied.len()))?;
        if found.replied.is_empty() {
            return Err(Failure::new("did not discover any nodes"));
        }
        let (replies, summary) = self.ask(&mut fleet, found.replied)?;
        let mut replies: Vec<_> = replies.iter().map(Reply::of).collect();
        // The order of answers is chance.
        replies.sort_unstable_by_key(|reply| reply.sender);
        render::put(&show(
            self.action.shown(),
            self.args.verbose,
            &replies,
            &summary,
            client.style,
        ))?;
        Ok(Exit::of_request(&summary, true))
    }

    /// The filter, with the fact of those that offer the action.
    fn filter(&self) -> Result<Filter, Failure> {
        let mut filter = self.args.filters.filter()?;
        filter
            .fact
            .extend(self.action.feature().map(|fact| FactFilter {
                fact: fact.to_owned(),
                operator: FactOperator::Equal,
                value: "true".to_owned(),
            }));
        Ok(filter)
    }

    fn ask(
        &self,
        fleet: &mut Fleet,
        nodes: Vec<String>,
    ) -> Result<(Vec<NodeReply>, Summary), Failure> {
        let action_time = Duration::from_secs(ddl().metadata.timeout.into());
        let progress = Progress::start(true, nodes.len());
        let request = Rpc {
            agent: AGENT.to_owned(),
            action: self.action.name().to_owned(),
            data: "{}".to_owned(),
            filter: Filter::default(),
            target: Target::Direct(nodes),
            timeout: self
                .args
                .timeout
                .unwrap_or(action_time + Duration::from_secs(2)),
            aggregates: Aggregates::default(),
            options: RpcOptions::default(),
        };
        let mut replies = Vec::new();
        let result = fleet.rpc(request, &mut |event| match event {
            FleetEvent::Reply(reply) => replies.push(reply.clone()),
            FleetEvent::Progress { received, .. } => progress.show(*received),
            _ => {}
        });
        progress.finish();
        Ok((replies, result.map_err(Failure::new)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use crate::commands::Command;

    fn args(words: &str) -> BackplaneArgs {
        let words = ["muster", "backplane"].into_iter().chain(words.split(' '));
        match parse(words).unwrap().command {
            Command::Backplane(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_word_exec_may_be_left_out() {
        for words in [
            "app pause",
            "exec app pause",
            "app pause -F dc=DC1 -I a1 -W x=y --timeout 3 -v",
            "--insecure exec -v app pause",
        ] {
            let args = args(words);
            let request = args.request().unwrap();
            assert_eq!((request.service, request.action), ("app", Action::Pause));
        }
        let service = args("exec pause");
        assert_eq!(service.request().unwrap().service, "exec");
        for words in ["app dance", "do app pause", "My.App pause"] {
            assert!(args(words).request().is_err(), "{words}");
        }
        assert_eq!(
            parse(["muster", "backplane", "app"]).unwrap_err(),
            Exit::Unable
        );
    }

    #[test]
    fn instances_must_offer_the_action() {
        let filter = |words| args(words).request().unwrap().filter().unwrap();
        let flip = filter("app flip -F dc=DC1");
        let facts: Vec<_> = flip.fact.iter().map(|f| (&*f.fact, &*f.value)).collect();
        assert_eq!(facts, [("dc", "DC1"), ("backplane_pausable", "true")]);
        assert!(filter("app info").fact.is_empty());
    }

    #[test]
    fn every_action_of_the_agent_is_known() {
        let names: Vec<_> = ddl().actions.iter().map(|action| &*action.name).collect();
        for name in &names {
            assert_eq!(Action::from_str(name, false).unwrap().name(), *name);
            assert!(ACTIONS.split(", ").any(|known| known == *name), "{name}");
        }
        assert_eq!(Action::value_variants().len(), names.len());
    }
}
