//! The NATS text protocol: incremental parser, encoders, subjects, INFO and CONNECT.
//!
//! The crate turns bytes into operations and operations into bytes, and says which subjects match.
//! It opens nothing, keeps no state between calls and takes no decision about a connection:
//! what an operation *means* is the broker's or the client's affair.
//!
//! The parsers are functions over one contiguous buffer.
//! Either a whole operation lies at its start, or more bytes are needed, or the peer broke the
//! protocol; the caller keeps what is incomplete and calls again with more.
//! Wherever the input was cut, the operations that come out are the same.
//! Nothing on the way of a PUB, MSG, SUB or UNSUB allocates, and no input makes a parser panic.
//!
//! Modules in reading order: [`limits`] and [`error`], [`client_op`] (what a client sends),
//! [`server_op`] (what a server sends to a client), [`encode`] (all the writers), [`subject`],
//! [`info`], [`connect`].
//! The operations between brokers (`RS+`, `RMSG` and their kin) are a third parser of the same
//! shape, [`route_op`], over the same scanner, with its writers beside it.

#![forbid(unsafe_code)]

pub mod client_op;
pub mod connect;
pub mod encode;
pub mod error;
pub mod info;
pub mod limits;
pub mod route_info;
pub mod route_op;
pub mod server_op;
pub mod subject;

mod scan;
