//! How many shards this host needs, and how many connections they will hold.

use muster_reactor::descriptors::{RESERVED, table_capacity};

/// Share of the tables' room that is promised: the kernel hashes connections over listeners unevenly,
/// and the fullest shard refuses while others have room.
const EVENNESS_PERCENT: u64 = 97;

/// Most shards that are ever started for room alone.
const SHARDS_MAX: u64 = 64;

/// Shards and the room they give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Shards, one thread each.
    pub shards: u16,
    /// Whether each shard takes a descriptor table of its own.
    pub private_tables: bool,
    /// Connections the broker will hold.
    pub connections: u64,
    /// Descriptors one table may have.
    pub descriptor_limit: u64,
}

impl Capacity {
    /// Plans for `wanted` connections with `descriptor_limit` a table and `cores` to run on; `shards` overrides the number of shards.
    #[must_use]
    pub fn plan(wanted: u64, descriptor_limit: u64, cores: usize, shards: Option<u16>) -> Self {
        let one_table = table_capacity(descriptor_limit);
        let promised = (one_table * EVENNESS_PERCENT / 100).max(1);
        let for_room = wanted.div_ceil(promised).clamp(1, SHARDS_MAX);
        let for_speed = u64::try_from(cores).unwrap_or(1);
        let shards = shards
            .map_or_else(|| for_speed.max(for_room), u64::from)
            .max(1);
        // A single table is enough while all connections fit in it.
        let private_tables = wanted > one_table;
        let room = if private_tables {
            shards * promised
        } else {
            one_table
        };
        Self {
            shards: u16::try_from(shards).unwrap_or(u16::MAX),
            private_tables,
            connections: wanted.min(room),
            descriptor_limit,
        }
    }

    /// The same plan where private tables are refused.
    #[must_use]
    pub fn without_private_tables(self) -> Self {
        let room = table_capacity(self.descriptor_limit);
        Self {
            private_tables: false,
            connections: self.connections.min(room),
            ..self
        }
    }
}

impl std::fmt::Display for Capacity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            shards,
            connections,
            descriptor_limit,
            ..
        } = self;
        let tables = if self.private_tables {
            "a table for each shard"
        } else {
            "one shared table"
        };
        let threads = if *shards == 1 { "shard" } else { "shards" };
        write!(
            formatter,
            "holds up to {connections} connections on {shards} {threads} ({tables}, {descriptor_limit} descriptors a table less {RESERVED} in reserve)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generous_limit_needs_no_private_tables() {
        let plan = Capacity::plan(50_000, 1_048_576, 2, None);
        assert_eq!(
            (plan.shards, plan.private_tables, plan.connections),
            (2, false, 50_000)
        );
    }

    #[test]
    fn a_tight_limit_adds_shards() {
        let plan = Capacity::plan(51_000, 20_000, 2, None);
        assert_eq!(
            (plan.shards, plan.private_tables, plan.connections),
            (3, true, 51_000)
        );
        assert_eq!(plan.without_private_tables().connections, 19_744);
    }

    #[test]
    fn what_the_host_cannot_hold_is_not_promised() {
        let plan = Capacity::plan(100_000, 20_000, 2, Some(2));
        assert_eq!((plan.shards, plan.connections), (2, 38_302));
    }
}
