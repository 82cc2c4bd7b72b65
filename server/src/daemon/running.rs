//! The loop of a daemon: one node, its driver, its pool of threads, and what is around them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_reactor::clock::{Clock, random_seed, unix_now};
use muster_reactor::http::HttpServer;
use tracing::{info, warn};

use super::agents::Agents;
use super::announce::{announcements, expiries, figures, publisher};
use super::error::RunError;
use super::hosted::Hosted;
use super::leave::Leave;
use super::observer::{Observer, Phase};
use super::options::{broker_config, node_options, read};
use super::reload::{Reload, Reloading};
use super::report::Reporter;
use super::sources::Sources;
use super::{Stop, monitor};
use crate::config::NodeConfig;
use crate::embed::{Program, Publisher};
use crate::endpoint::NodeEndpoint;
use crate::node::{Node, NodeScratch};
use crate::pool::WorkerPool;
use crate::security::Loaded;
use crate::setup::NodeSetup;

/// The longest the loop sleeps; a stop is noticed at once by its wake.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A daemon that runs.
pub(super) struct Running {
    clock: Clock,
    driver: Driver<Hosted>,
    /// The node's place in the driver.
    index: usize,
    pool: WorkerPool,
    agents: Agents,
    reporter: Reporter,
    publisher: Option<Publisher>,
    leave: Option<Leave>,
    reloading: Reloading,
    observer: Observer,
    /// Serves until it is dropped.
    pages: Option<HttpServer>,
}

impl Running {
    /// Reads the files and makes the node. No broker is reached yet.
    pub(super) fn start(
        config: NodeConfig,
        program: &mut Program,
        reload: Option<Reload>,
        observer: Observer,
        stop: &Stop,
    ) -> Result<Self, RunError> {
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let clock = Clock::start();
        let loaded = Loaded::new(&config, unix_now().as_secs(), read)?;
        let publisher = publisher(&config, program, loaded.own_requests.as_ref(), stop)?;
        let expiries = expiries(&config, &loaded);
        let (hosted, mut agents) = host(&config, loaded, program, clock.now())?;
        let mut driver = Driver::new(
            clock,
            DriverOptions::default(),
            NodeScratch::new(),
            Some(stop.wake.clone()),
        )?;
        let index = driver.add(hosted, None);
        agents.watch(&config.external, &stop.wake)?;
        let figures = figures(&config, expiries);
        let pages = match (config.announce.stats, &figures) {
            (Some(address), Some(figures)) => Some(monitor::serve(address, Arc::clone(figures))?),
            _ => None,
        };
        let reporter = Reporter::new(config.announce.clone(), expiries, clock.now(), figures);
        Ok(Self {
            clock,
            driver,
            index,
            pool: WorkerPool::new(stop.wake.clone()),
            agents,
            reporter,
            publisher,
            leave: program.calls.take().map(Leave::new),
            reloading: Reloading { config, reload },
            observer,
            pages,
        })
    }

    /// Where the pages are served, if anywhere.
    pub(super) fn stats_address(&self) -> Option<SocketAddr> {
        self.pages.as_ref().map(HttpServer::address)
    }

    /// Goes on until the stop.
    pub(super) fn run(&mut self, stop: &Stop) -> Result<(), RunError> {
        info!(
            identity = %self.reloading.config.identity,
            version = env!("CARGO_PKG_VERSION"),
            "node started"
        );
        self.observer.tell(Phase::Ready);
        while !stop.is_requested() {
            if stop.take_reload() {
                self.observer.tell(Phase::Reloading);
                self.reload(stop);
                self.observer.tell(Phase::Ready);
            }
            let now = self.clock.now();
            let wait = self.reporter.wait(now, WAIT_MAX);
            let wait = (self.leave.as_ref()).map_or(wait, |leave| leave.wait(now, wait));
            self.driver.turn(self.observer.wait(now, wait))?;
            self.observer.turned(self.clock.now());
            self.exchange_jobs();
            if self.agents.poll() {
                self.replace_agents();
            }
            self.driver.with(self.index, |hosted, at, _| {
                let node = hosted.endpoint.node_mut();
                self.reporter.tend(node, at);
                if let Some(leave) = &mut self.leave {
                    leave.tend(node, at, stop);
                }
                if let Some(publisher) = &mut self.publisher {
                    publisher.publish(node, at.unix, random_bytes);
                }
            });
        }
        Ok(())
    }

    fn reload(&mut self, stop: &Stop) {
        self.driver.with(self.index, |hosted, at, _| {
            self.reloading
                .run(hosted, &self.agents, &mut self.reporter, at);
        });
        let external = &self.reloading.config.external;
        match self.agents.watch(external, &stop.wake) {
            Ok(true) => self.replace_agents(),
            Ok(false) => {}
            Err(error) => warn!(%error, "agents from files stay as they are"),
        }
    }

    /// Has the node answer for the agents there are now.
    fn replace_agents(&mut self) {
        let active = self.agents.active(&self.reloading.config);
        self.driver
            .with(self.index, |hosted, _, _| hosted.replace_agents(active));
    }

    /// Hands the node's work to the pool, and the pool's outcomes to the node.
    fn exchange_jobs(&mut self) {
        self.driver.with(self.index, |hosted, at, scratch| {
            let node = hosted.endpoint.node_mut();
            while let Some(job) = node.poll_job() {
                self.pool.submit(job);
            }
            while let Some(done) = self.pool.poll_done() {
                node.handle_job_done(done, at, scratch);
            }
        });
    }

    /// Takes no further requests, answers what is under way as far as there is time, says goodbye and closes.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.observer.tell(Phase::Stopping);
        self.driver.with(self.index, |hosted, at, _| {
            let node = hosted.endpoint.node_mut();
            node.announce_shutdown(at);
            node.drain();
        });
        let deadline = self.clock.now() + self.reloading.config.soft_shutdown;
        loop {
            self.exchange_jobs();
            let is_written = (self.driver).with(self.index, |hosted, _, _| {
                hosted.client().output().is_empty()
            });
            let left = deadline.saturating_sub(self.clock.now());
            if (is_written && self.pool.pending() == 0) || left.is_zero() {
                break;
            }
            self.driver.turn(left)?;
        }
        if self.pool.pending() > 0 {
            warn!(
                calls = self.pool.pending(),
                "calls under way are not waited for any longer"
            );
        }
        self.driver
            .with(self.index, |hosted, _, _| hosted.client().close());
        info!(identity = %self.reloading.config.identity, "node stopped");
        Ok(())
    }
}

/// The node and what is beside it, and the agents it begins with.
fn host(
    config: &NodeConfig,
    loaded: Loaded,
    program: &mut Program,
    now: Duration,
) -> Result<(Hosted, Agents), RunError> {
    let mut options = node_options(config, loaded.requests);
    options.reply_signer = loaded.reply_signer;
    program.equip(&mut options);
    let agents = Agents::new(options.agents.clone());
    options.agents = agents.active(config);
    let announcements = announcements(config, loaded.own_requests);
    let setup = Arc::new(NodeSetup::new(options)?);
    let mut sources = Sources::new(config, program.facts.take());
    let (facts, classes) = (sources.first_facts(now), sources.read_classes());
    let mut client = broker_config(config);
    client.connect.signer = loaded.nonce_signer;
    let client = Arc::new(client);
    let identity = config.identity.as_str();
    let mut node = Node::new(setup, identity, facts, classes, client, random_seed(), now);
    node.announce(announcements, random_seed(), now);
    let hosted = Hosted {
        endpoint: NodeEndpoint::new(node, loaded.tls),
        sources,
        crl: loaded.crl,
        config: config.clone(),
    };
    Ok((hosted, agents))
}

fn random_bytes() -> [u8; 16] {
    let halves = [random_seed(), random_seed()].map(u64::to_ne_bytes);
    std::array::from_fn(|at| halves[at / 8][at % 8])
}
