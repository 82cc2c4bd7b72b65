//! One run: start the broker, bring the nodes up, ask, report.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_reactor::process::{cores, thread_cpu, usage};
use muster_server::NodeScratch;

use crate::args::{Args, Scenario};
use crate::bare::{BareNode, BareShared, BareSubjects};
use crate::bare_client::BareClient;
use crate::broker_process::{BrokerPlan, BrokerUnderLoad};
use crate::fleet_client::FleetClient;
use crate::fleet_nodes::Common;
use crate::nodes::Reactors;
use crate::progress::Progress;
use crate::report::{RampReport, Report, Run};
use crate::rounds::Asker;
use crate::setup::{AnyError, Keys, bare_name, node_name};

/// Connections beyond the nodes: the client, a person who looks.
const SPARE_CONNECTIONS: usize = 1_000;

/// Quiet before and after the rounds, so that other work is not counted as theirs.
const SETTLE: Duration = Duration::from_millis(500);

/// Runs what `args` ask for.
pub(crate) fn run(args: Args) -> Result<Report, AnyError> {
    let keys = Arc::new(Keys::new(args.tls)?);
    let broker = start_broker(&args, &keys)?;
    let broker_idle = broker.usage();
    let address = broker.address();
    let progress = Arc::new(Progress::default());
    let begun = Instant::now();
    let reactors = start_nodes(&args, &keys, address, &progress)?;
    wait_for_nodes(&args, &reactors, &progress)?;
    let ramp_s = begun.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let mut asker = connect_asker(&args, &keys, address)?;
    let broker_before = broker.usage();
    let (nodes_before, client_before) = (reactors.cpu(), thread_cpu());
    let mut rounds = Vec::with_capacity(args.rounds);
    for _ in 0..args.rounds {
        rounds.push(asker.round(Duration::from_secs(args.timeout))?);
    }
    let client_cpu = thread_cpu().saturating_sub(client_before);
    // The reactors note their time at the end of a turn, so the last one is waited for.
    std::thread::sleep(SETTLE);
    let run = Run {
        ramp: RampReport {
            s: ramp_s,
            failed: progress.failed(),
            lost: progress.lost(),
        },
        rounds,
        broker_idle,
        broker_before,
        broker_after: broker.usage(),
        nodes_cpu: reactors.cpu().saturating_sub(nodes_before),
        client_cpu,
        own_private_bytes: usage(None).ok().map(|usage| usage.private_bytes),
        cores: cores(),
        broker: broker.describe(),
        args,
    };
    drop(asker);
    reactors.stop()?;
    Ok(run.report())
}

pub(crate) fn start_broker(args: &Args, keys: &Keys) -> Result<BrokerUnderLoad, AnyError> {
    if let Some(address) = args.broker {
        return Ok(BrokerUnderLoad::Given { address });
    }
    let plan = BrokerPlan {
        connections: (args.nodes + SPARE_CONNECTIONS) as u64,
        shards: args.shards,
        files: keys.broker_files(),
    };
    if args.in_process {
        return BrokerUnderLoad::start_in_process(&plan);
    }
    Ok(BrokerUnderLoad::start_child(&plan)?)
}

fn start_nodes(
    args: &Args,
    keys: &Arc<Keys>,
    address: SocketAddr,
    progress: &Arc<Progress>,
) -> Result<Reactors, AnyError> {
    let config = keys.client_config(address);
    let (keys, progress, seed) = (Arc::clone(keys), Arc::clone(progress), args.seed);
    let reactors = match args.scenario {
        Scenario::Bare => {
            let config = Arc::new(config);
            let subjects = Arc::new(BareSubjects::new());
            let payload: Arc<[u8]> = vec![b'x'; args.reply_size].into();
            let share = move || BareShared::new(Arc::clone(&progress));
            Reactors::start(args.nodes, share, move |number, at| {
                let name = bare_name(number);
                let tls = keys.node_tls(&name)?;
                let (config, payload) = (Arc::clone(&config), Arc::clone(&payload));
                let seed = seed.wrapping_add(number as u64);
                Ok(BareNode::new(
                    &name, &subjects, config, tls, payload, seed, at.now,
                ))
            })?
        }
        Scenario::Ping | Scenario::Rpc => {
            let common = Arc::new(Common::new(keys.security()?, args.verify, config, seed)?);
            Reactors::start(args.nodes, NodeScratch::new, move |number, at| {
                let tls = keys.node_tls(&node_name(number))?;
                Ok(common.node(number, tls, Arc::clone(&progress), at))
            })?
        }
    };
    Ok(reactors)
}

pub(crate) fn wait_for_nodes(
    args: &Args,
    reactors: &Reactors,
    progress: &Progress,
) -> io::Result<()> {
    let give_up = Instant::now() + Duration::from_secs(args.ramp_timeout);
    while progress.subscribed() < args.nodes as u64 {
        if !reactors.alive() {
            return Err(io::Error::other("a reactor of nodes ended early"));
        }
        if Instant::now() > give_up {
            let text = format!(
                "{} of {} nodes are subscribed after {} s; {} attempts failed",
                progress.subscribed(),
                args.nodes,
                args.ramp_timeout,
                progress.failed()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn connect_asker(
    args: &Args,
    keys: &Keys,
    address: SocketAddr,
) -> Result<Box<dyn Asker>, AnyError> {
    Ok(match args.scenario {
        Scenario::Bare => Box::new(BareClient::connect(
            &keys.client_config(address),
            keys.client_tls()?,
            args.nodes,
        )?),
        Scenario::Ping | Scenario::Rpc => Box::new(FleetClient::connect(
            keys,
            address,
            args.scenario,
            args.reply_size,
            args.nodes,
        )?),
    })
}
