//! Fleets: nodes, a client that asks them, and the operations scenarios use.

use std::sync::Arc;
use std::time::Duration;

use muster_client::fleet::{
    Aggregates, Caller, CallerSecurity, Discover, FleetEvent, FleetSession, Operation, Rpc,
    Summary, Target,
};
use muster_protocol::filter::Filter;
use muster_protocol::security::RequestSecurity;
use muster_server::{Facts, Node, NodeOptions, NodeSetup, VerifyShared};

use crate::endpoint::StationId;
use crate::world::World;

/// The longest an operation of a scenario may take, whatever happens to it.
const OPERATION_MAX: Duration = Duration::from_secs(120);

/// The name of a node by its number.
#[must_use]
pub fn node_name(number: usize) -> String {
    format!("node{number:04}.sim")
}

/// The names of so many nodes.
#[must_use]
pub fn all_nodes(count: usize) -> Vec<String> {
    (0..count).map(node_name).collect()
}

/// Who is there.
#[must_use]
pub fn discover(expect: Option<usize>) -> Operation {
    Operation::Discover(Discover {
        expect,
        ..Discover::default()
    })
}

/// A question to these nodes that each can answer.
#[must_use]
pub fn ask(target: Target, timeout: Duration) -> Operation {
    Operation::Rpc(Box::new(Rpc {
        agent: "rpcutil".to_owned(),
        action: "ping".to_owned(),
        data: "{}".to_owned(),
        filter: Filter::default(),
        target,
        timeout,
        aggregates: Aggregates::default(),
        options: Default::default(),
    }))
}

impl World {
    /// Adds so many nodes, named by number, that answer everybody.
    ///
    /// # Panics
    /// Never: the options are good.
    pub fn add_fleet(&mut self, count: usize) -> Vec<StationId> {
        // Signatures that differ from run to run stay outside.
        let gate = Arc::new(VerifyShared::new(RequestSecurity::InsecureAcceptAll));
        let setup = Arc::new(NodeSetup::new(NodeOptions::new(gate)).expect("the options are good"));
        let classes: Arc<[String]> = Arc::new([]);
        let node = |number| {
            let (setup, classes) = (Arc::clone(&setup), Arc::clone(&classes));
            move |client, seed, now| {
                Node::new(
                    setup,
                    node_name(number),
                    Facts::none(),
                    classes,
                    client,
                    seed,
                    now,
                )
            }
        };
        (0..count)
            .map(|number| self.add_node(node(number)))
            .collect()
    }

    /// Adds a client that asks the fleet.
    pub fn add_client(&mut self) -> StationId {
        let caller = Arc::new(Caller {
            sender: "client.sim".to_owned(),
            caller_id: "choria=sim.mcollective".to_owned(),
            security: CallerSecurity::Insecure,
            main_collective: "mcollective".to_owned(),
            collective: "mcollective".to_owned(),
            ttl: Duration::from_secs(60),
        });
        self.add_asker(|client, seed, now| FleetSession::new(caller, client, seed, now))
    }

    /// Waits until all these stations are connected, and the broker has nothing under way.
    ///
    /// # Panics
    /// When they are not within the limit.
    pub fn assemble(&mut self, stations: &[StationId], limit: Duration) {
        let mut connected = 0;
        let all = self.run_until(limit, |world| {
            // Looking at all of them at every event would take longer than the events.
            while connected < stations.len() && world.is_ready(stations[connected]) {
                connected += 1;
            }
            connected == stations.len()
        });
        assert!(
            all,
            "station {connected} of {} is not connected after {limit:?}",
            stations.len()
        );
        // Their subscriptions are on the way, and so are the broker's first keep-alives:
        // these would move whatever gets stuck in the scenario.
        self.run_for(Duration::from_secs(3));
    }

    /// Begins an operation.
    ///
    /// # Panics
    /// When it cannot be begun.
    pub fn begin(&mut self, client: StationId, operation: Operation) {
        self.take_events(client);
        let begun = self.with_asker(client, |session, at| session.start(operation, at));
        begun.expect("the operation can be begun");
    }

    /// Lets time pass until the operation is over.
    ///
    /// # Panics
    /// When it is not, or when it failed.
    pub fn finish(&mut self, client: StationId) -> Summary {
        let over = self.run_until(OPERATION_MAX, |world| {
            world.with_asker(client, |session, _| session.is_idle())
        });
        assert!(over, "the operation is not over after {OPERATION_MAX:?}");
        for event in self.take_events(client) {
            match event {
                FleetEvent::Finished(summary) => return *summary,
                FleetEvent::Failed(failure) => panic!("the operation failed: {failure}"),
                FleetEvent::Link(_)
                | FleetEvent::Published { .. }
                | FleetEvent::Reply(_)
                | FleetEvent::Progress { .. } => {}
            }
        }
        panic!("an operation that is over has a summary");
    }

    /// Carries out an operation.
    pub fn perform(&mut self, client: StationId, operation: Operation) -> Summary {
        self.begin(client, operation);
        self.finish(client)
    }
}
