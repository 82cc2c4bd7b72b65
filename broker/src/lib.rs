//! The running broker: shards of broker-core on reactor, monitoring, signals.
