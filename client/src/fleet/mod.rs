//! The fleet client: discover, ask, collect, summarise.
//!
//! [`FleetSession`] is a pure state machine around one [`ClientCore`](crate::nats::ClientCore): it connects, makes sure its reply subject is live,
//! publishes one request, collects what comes back and says when it is done and who is missing.
//! It opens nothing, reads no clock and draws no randomness but from its seed.
//! [`Fleet`] is the thin blocking facade that runs a session on the driver.
//!
//! It is no command line: arguments, colours and exit codes belong to `cli`.
//!
//! The invariant: of the nodes a request was meant for, each ends up either among those that replied or among those named missing, once;
//! whatever else arrives is dropped and counted by its reason.
//!
//! Reading order: [`Caller`], [`Operation`], [`FleetSession`], [`FleetEvent`], [`Summary`], [`Collector`]. Facts of the protocol: `docs/protocol.md`.

mod blocking;
mod collect;
mod config;
mod ddl;
pub mod discovery;
mod error;
mod event;
mod identity;
mod job;
mod limit;
mod names;
mod operation;
mod plan;
mod proof;
mod remote;
mod request;
mod route;
mod session;
mod summary;

pub use self::blocking::Fleet;
pub use self::collect::{Collector, Drops, Expect, Outcome, ReplyView};
pub use self::config::{FleetConfig, FleetSettings, Surroundings, TlsPaths};
pub use self::ddl::{DdlError, DdlLibrary, DdlPlace, find_action, read_ddl};
pub use self::error::{BuildError, ConfigError, Failure, FleetError, StartError};
pub use self::event::{FleetEvent, NodeReply};
pub use self::identity::{Caller, CallerSecurity};
pub use self::limit::{Limit, LimitError, LimitMethod};
pub use self::operation::{
    Batch, DISCOVERY_WINDOW, Discover, Operation, Ping, ReplyFilter, Results, Rpc, RpcOptions,
    Target,
};
pub use self::remote::{RemoteSigner, SignError};
pub use self::request::{RequestParts, encode_request};
pub use self::session::{FleetSession, PREPARE_TIMEOUT};
pub use self::summary::{Aggregates, Ended, RequestStats, Summary};
pub use muster_protocol::rfc3339::rfc3339_utc;
