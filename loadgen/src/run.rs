//! One run: start the broker, bring the nodes up, ask, report.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_broker::{Broker, BrokerConfig};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_reactor::process::{cores, thread_cpu, usage};
use muster_reactor::signal::{Signal, Signals};

use crate::args::{Args, Scenario};
use crate::bare::{BareNode, BareShared, BareSubjects};
use crate::bare_client::BareClient;
use crate::broker_process::{BrokerUnderLoad, READY};
use crate::nodes::Reactors;
use crate::progress::Progress;
use crate::report::{RampReport, Report, Run};
use crate::rounds::Asker;
use crate::setup::bare_name;

/// Connections beyond the nodes: the client, a person who looks.
const SPARE_CONNECTIONS: usize = 1_000;

/// Most time for all nodes to be connected and subscribed.
const RAMP_MAX: Duration = Duration::from_secs(180);

/// Quiet before the rounds, so that the ramp's last work is not counted.
const SETTLE: Duration = Duration::from_millis(500);

/// The child: a broker until it is told to stop, or its parent is gone.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the parent reads it")]
pub(crate) fn broker_child(words: impl Iterator<Item = String>) -> ExitCode {
    let words: Vec<String> = words.collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    let shards = number(1).and_then(|shards| u16::try_from(shards).ok()).filter(|shards| *shards > 0);
    let config = broker_config(number(0).unwrap_or(0), shards);
    let started = Signals::block().map_err(|error| error.to_string()).and_then(|signals| {
        Broker::start(config).map(|broker| (signals, broker)).map_err(|error| error.to_string())
    });
    let (signals, broker) = match started {
        Ok(started) => started,
        Err(error) => {
            eprintln!("loadgen: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{READY}{}", broker.address());
    let _ = io::stdout().flush();
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        match signals.wait(Duration::from_millis(500)) {
            Ok(Some(Signal::Interrupt | Signal::Terminate)) | Err(_) => break,
            Ok(_) => broker.log_events(),
        }
    }
    broker.stop();
    ExitCode::SUCCESS
}

fn broker_config(connections: u64, shards: Option<u16>) -> BrokerConfig {
    let mut config = BrokerConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), shards, ..BrokerConfig::default() };
    config.core.connections_max = connections;
    config
}

/// Runs what `args` ask for.
pub(crate) fn run(args: Args) -> io::Result<Report> {
    let broker = start_broker(&args)?;
    let broker_idle = broker.usage();
    let address = broker.address();
    let progress = Arc::new(Progress::default());
    let begun = Instant::now();
    let reactors = start_nodes(&args, address, &progress)?;
    wait_for_nodes(&args, &reactors, &progress)?;
    let ramp_s = begun.elapsed().as_secs_f64();
    std::thread::sleep(SETTLE);
    let mut asker = connect_asker(&args, address)?;
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
        ramp: RampReport { s: ramp_s, failed: progress.failed(), lost: progress.lost() },
        rounds,
        broker_idle,
        broker_before,
        broker_after: broker.usage(),
        nodes_cpu: reactors.cpu().saturating_sub(nodes_before),
        client_cpu,
        own_private_bytes: usage(None).ok().map(|usage| usage.private_bytes),
        cores: cores(),
        broker: describe(&broker),
        args,
    };
    drop(asker);
    reactors.stop()?;
    Ok(run.report())
}

fn describe(broker: &BrokerUnderLoad) -> String {
    match broker {
        BrokerUnderLoad::Child { .. } => "our broker in a process of its own".to_owned(),
        BrokerUnderLoad::InProcess { .. } => "our broker in this process".to_owned(),
        BrokerUnderLoad::Given { address } => format!("the broker at {address}"),
    }
}

fn start_broker(args: &Args) -> io::Result<BrokerUnderLoad> {
    let connections = (args.nodes + SPARE_CONNECTIONS) as u64;
    if let Some(address) = args.broker {
        return Ok(BrokerUnderLoad::Given { address });
    }
    if args.in_process {
        let broker = Broker::start(broker_config(connections, args.shards)).map_err(io::Error::other)?;
        let address = broker.address();
        return Ok(BrokerUnderLoad::InProcess { _broker: Box::new(broker), address });
    }
    let shards = args.shards.unwrap_or(0);
    BrokerUnderLoad::start_child(&[connections.to_string(), shards.to_string()])
}

fn client_config(address: SocketAddr) -> ClientConfig {
    let servers = vec![ServerAddr::new(address.ip().to_string(), address.port())];
    ClientConfig {
        discover_servers: false,
        // Fifty thousand at once take a while to be greeted.
        connect_timeout: Duration::from_secs(30),
        ..ClientConfig::new(servers)
    }
}

fn start_nodes(args: &Args, address: SocketAddr, progress: &Arc<Progress>) -> io::Result<Reactors> {
    let config = Arc::new(client_config(address));
    match args.scenario {
        Scenario::Bare | Scenario::Ping | Scenario::Rpc => {
            let subjects = Arc::new(BareSubjects::new());
            let payload: Arc<[u8]> = vec![b'x'; args.reply_size].into();
            let progress = Arc::clone(progress);
            let seed = args.seed;
            Reactors::start(
                args.nodes,
                move || BareShared::new(Arc::clone(&progress)),
                move |number, at| {
                    let (config, payload) = (Arc::clone(&config), Arc::clone(&payload));
                    let seed = seed.wrapping_add(number as u64);
                    BareNode::new(&bare_name(number), &subjects, config, None, payload, seed, at.now)
                },
            )
        }
    }
}

fn wait_for_nodes(args: &Args, reactors: &Reactors, progress: &Progress) -> io::Result<()> {
    let give_up = Instant::now() + RAMP_MAX;
    while progress.subscribed() < args.nodes as u64 {
        if !reactors.alive() {
            return Err(io::Error::other("a reactor of nodes ended early"));
        }
        if Instant::now() > give_up {
            let text = format!(
                "{} of {} nodes are subscribed after {} s; {} attempts failed",
                progress.subscribed(),
                args.nodes,
                RAMP_MAX.as_secs(),
                progress.failed()
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn connect_asker(args: &Args, address: SocketAddr) -> io::Result<Box<dyn Asker>> {
    let config = client_config(address);
    let wait = Duration::from_secs(30);
    Ok(Box::new(BareClient::connect(address, &config, None, args.nodes, wait)?))
}
