//! The nodes of the demonstration: real cores on a few threads, with facts that vary.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use muster_broker::Broker;
use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions};
use muster_client::nats::{ClientConfig, ServerAddr, TlsMode};
use muster_protocol::security::{RequestSecurity, TrustPolicy, Verifier};
use muster_reactor::clock::{Clock, random_seed};
use muster_reactor::process::cores;
use muster_reactor::tls::{ServerVerification, client_config};
use muster_reactor::wake::Wake;
use muster_server::classes::parse_classes;
use muster_server::{Facts, Node, NodeEndpoint, NodeOptions, NodeScratch, NodeSetup, VerifyShared};

use crate::exit::Failure;

/// Connections under way at a time, on each thread.
const CONNECTING_MAX: usize = 64;
/// The longest a thread sleeps; a stop wakes it.
const TURN_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether all nodes are there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const COUNTRIES: [&str; 10] = ["mt", "de", "us", "gb", "za", "nl", "fr", "jp", "br", "au"];
const SYSTEMS: [(&str, u32); 4] = [("Debian", 12), ("Debian", 13), ("RedHat", 9), ("Suse", 15)];
const ROLES: [&str; 5] = ["db", "web", "web", "cache", "queue"];

/// A node to be.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
}

/// The running nodes.
#[derive(Debug)]
pub(super) struct Fleet {
    threads: Vec<JoinHandle<io::Result<()>>>,
    wakes: Vec<Wake>,
    stop: Arc<AtomicBool>,
    replies: Arc<AtomicU64>,
    gate: Arc<VerifyShared>,
    subscriptions: u64,
}

/// What the nodes have done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stats {
    pub(super) replies: u64,
    pub(super) verified: u64,
}

/// The name of the node with a number; the first has 1.
pub(super) fn name(number: usize) -> String {
    format!("node{number:05}.example.net")
}

impl Fleet {
    /// Starts the nodes; they connect on their own.
    pub(super) fn start(
        identities: Vec<Identity>,
        ca_pem: &str,
        server: ServerAddr,
    ) -> Result<Self, Failure> {
        let verifier = Verifier::new(TrustPolicy::new(ca_pem)).map_err(Failure::new)?;
        let gate = Arc::new(VerifyShared::new(RequestSecurity::X509(Box::new(verifier))));
        let setup = NodeSetup::new(NodeOptions::new(Arc::clone(&gate) as _));
        let setup = Arc::new(setup.map_err(Failure::new)?);
        let mut client = ClientConfig::new(vec![server]);
        client.tls = TlsMode::Required;
        // Handshakes of a whole fleet take turns.
        client.connect_timeout = Duration::from_secs(20);
        let client = Arc::new(client);
        // Each node listens once for each agent, and once for itself.
        let subscriptions = identities.len() * (setup.agent_names().len() + 1);
        let mut fleet = Self {
            threads: Vec::new(),
            wakes: Vec::new(),
            stop: Arc::default(),
            replies: Arc::default(),
            gate,
            subscriptions: subscriptions as u64,
        };
        let threads = cores().min(identities.len()).max(1);
        let share = identities.len().div_ceil(threads);
        let mut rest = identities.into_iter();
        while rest.len() > 0 {
            let identities = rest.by_ref().take(share).collect();
            let template = Template {
                setup: Arc::clone(&setup),
                client: Arc::clone(&client),
                ca_pem: ca_pem.to_owned(),
            };
            let thread = fleet.start_thread(identities, template);
            thread.map_err(|error| Failure::new(format!("cannot start the nodes: {error}")))?;
        }
        Ok(fleet)
    }

    fn start_thread(&mut self, identities: Vec<Identity>, template: Template) -> io::Result<()> {
        let wake = Wake::new()?;
        self.wakes.push(wake.clone());
        let (stop, replies) = (Arc::clone(&self.stop), Arc::clone(&self.replies));
        let name = format!("nodes-{}", self.threads.len());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let options = DriverOptions {
                connecting_max: CONNECTING_MAX,
            };
            let mut driver = Driver::new(Clock::start(), options, NodeScratch::new(), Some(wake))?;
            for identity in identities {
                let node = template.node(identity, driver.moment())?;
                driver.add(node, None);
                // Those that are there connect while the rest are made.
                driver.turn(Duration::ZERO)?;
            }
            let mut counted = 0;
            while !stop.load(Ordering::Acquire) {
                driver.turn(TURN_MAX)?;
                let nodes = driver.endpoints().map(|endpoint| endpoint.node());
                let total = nodes.map(|node| node.counters().replies).sum::<u64>();
                replies.fetch_add(total - counted, Ordering::Relaxed);
                counted = total;
            }
            Ok(())
        })?;
        self.threads.push(thread);
        Ok(())
    }

    /// Waits until the broker knows what every node listens for, so that a question reaches all of them.
    pub(super) fn wait_until_there(&self, broker: &Broker, limit: Duration) -> Result<(), Failure> {
        let clock = Clock::start();
        loop {
            let accounts = broker.core().accounts();
            let known = accounts
                .iter()
                .map(|account| account.sublist.stats().subscriptions);
            let known: u64 = known.sum();
            if known >= self.subscriptions {
                return Ok(());
            }
            if clock.now() > limit {
                let wanted = self.subscriptions;
                return Err(Failure::new(format!(
                    "after {limit:?} the nodes have {known} of {wanted} subscriptions"
                )));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What the nodes have done so far.
    pub(super) fn stats(&self) -> Stats {
        Stats {
            replies: self.replies.load(Ordering::Relaxed),
            verified: self.gate.misses(),
        }
    }

    /// Ends the nodes.
    pub(super) fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Release);
        for wake in &self.wakes {
            wake.wake();
        }
        for thread in self.threads {
            let ended = thread
                .join()
                .map_err(|_| Failure::new("a thread of nodes panicked"))?;
            ended.map_err(|error| Failure::new(format!("a thread of nodes failed: {error}")))?;
        }
        Ok(())
    }
}

/// What all nodes have in common.
struct Template {
    setup: Arc<NodeSetup>,
    client: Arc<ClientConfig>,
    ca_pem: String,
}

impl Template {
    fn node(&self, identity: Identity, at: Moment) -> io::Result<NodeEndpoint> {
        let pair = Some((identity.cert_pem.as_str(), identity.key_pem.as_str()));
        let tls = client_config(Some(&self.ca_pem), pair, ServerVerification::Full);
        let tls = tls.map_err(|error| io::Error::other(error.to_string()))?;
        let facts = Facts::parse(facts(identity.number)).map_err(io::Error::other)?;
        let classes = parse_classes(&classes(identity.number));
        let setup = Arc::clone(&self.setup);
        let client = Arc::clone(&self.client);
        let node = Node::new(
            setup,
            identity.name,
            facts,
            classes,
            client,
            random_seed(),
            at.now,
        );
        Ok(NodeEndpoint::new(node, Some(tls)))
    }
}

/// Facts that differ from node to node, and are the same each time.
fn facts(number: usize) -> String {
    // The parts advance at different rates, so that they combine.
    let country = COUNTRIES[(number - 1) % COUNTRIES.len()];
    let (family, release) = SYSTEMS[number / 7 % SYSTEMS.len()];
    let memory = 4 << (number / 3 % 5);
    serde_json::json!({
        "country": country,
        "os": {"family": family, "release": release},
        "memory_gib": memory,
        "rack": format!("r{:02}", number / 20),
    })
    .to_string()
}

fn classes(number: usize) -> String {
    format!("base\nrole::{}\n", ROLES[(number - 1) / 10 % ROLES.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_nodes_match_the_demonstrations_filters_and_most_do_not() {
        let is_asked = |number: &usize| {
            facts(*number).contains(r#""country":"mt""#) && classes(*number).contains("role::db")
        };
        assert_eq!(
            (1..=200).filter(is_asked).collect::<Vec<_>>(),
            [1, 51, 101, 151]
        );
        assert!(Facts::parse(facts(1)).is_ok());
    }
}
