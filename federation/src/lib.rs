//! The federation broker: a stateless bridge between the network of clients and one network of nodes.

#![forbid(unsafe_code)]
