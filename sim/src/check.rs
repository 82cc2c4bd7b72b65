//! What holds in every world, whatever happened in it.

use std::time::Duration;

use crate::endpoint::StationId;
use crate::world::World;

/// Time in which what is under way comes to its end: farewells, write deadlines, keep-alives in flight.
const REST: Duration = Duration::from_secs(3);

impl World {
    /// The parts of the broker do not contradict each other.
    ///
    /// # Panics
    /// They do.
    pub fn assert_sound(&self) {
        #[cfg(debug_assertions)]
        for account in self.brokers.iter().flat_map(|broker| broker.accounts()) {
            account.sublist.assert_invariants();
        }
        let (mut open, mut subscriptions) = (0, 0);
        for shard in &self.shards {
            open += (shard.core.len() - shard.core.open_routes().count()) as u64;
            subscriptions += shard
                .core
                .open_figures()
                .map(|info| info.subscriptions as u64)
                .sum::<u64>();
        }
        assert_eq!(
            self.subscriptions(),
            subscriptions,
            "the sublist and the connections"
        );
        assert!(self.counters().connections_total >= open);
    }

    /// After a while of rest nothing is owed to anybody who reads.
    ///
    /// # Panics
    /// Something is.
    pub fn assert_at_rest(&mut self) {
        // A keep-alive may be under way at any moment, so the figure need be zero once, not at the end.
        let rests = self.run_until(REST, |world| world.owed() == 0);
        assert!(rests, "{} bytes are owed for {REST:?}", self.owed());
        self.assert_sound();
    }

    /// Everybody leaves, and nothing is left of them.
    ///
    /// # Panics
    /// Something is.
    pub fn assert_dissolves(&mut self) {
        for station in 0..self.stations.len() {
            self.heal(StationId(station));
            self.leave(StationId(station));
        }
        let empty = |world: &mut Self| world.net.links() == 0;
        assert!(
            self.run_until(Duration::from_secs(30), empty),
            "{} links are left",
            self.net.links()
        );
        self.run_for(REST);
        let counters = self.counters();
        assert_eq!(counters.connections, 0);
        assert_eq!(self.subscriptions(), 0);
        assert_eq!(
            counters.connections_total,
            self.ended().count() as u64,
            "each is remembered once"
        );
        assert!(
            self.shards
                .iter()
                .all(|shard| shard.core.is_empty() && !shard.core.has_work())
        );
        self.assert_sound();
    }

    fn owed(&self) -> u64 {
        let infos = self
            .shards
            .iter()
            .flat_map(|shard| shard.core.open_figures());
        infos.map(|info| info.pending_bytes).sum()
    }
}
