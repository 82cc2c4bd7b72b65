//! The ids of the broker's inside.

/// A shard: one thread with its own poll. At most 65,535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A slot of the connection table in one of its lives. 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnRef {
    /// Index in the table.
    pub slot: u32,
    /// The slot's life; a reference to an earlier life reaches nothing.
    pub generation: u32,
}

/// A connection as its own shard addresses it. 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Index in the shard's slab.
    pub index: u32,
    /// The generation of the connection's slot in the table.
    pub generation: u32,
}

/// The number that clients, logs and monitoring know a connection by; unique in one run of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid(pub u64);

/// An account: a space of subjects. There is one, the default account, until accounts are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);
