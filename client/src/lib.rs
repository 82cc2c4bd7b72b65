//! A lean NATS client core with a thin driver, and the fleet client on it.
