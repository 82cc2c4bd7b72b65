//! The pure routing core of the broker: sublist, connection table, connection state machine.
