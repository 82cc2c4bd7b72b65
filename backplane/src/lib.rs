//! A management interface for applications: an embedded node that lets a fleet of one application be found and commanded.
//!
//! An application says what it can do ([`Pausable`], [`HealthCheck`], [`Stoppable`], [`LogLevels`], [`InfoSource`]) and
//! starts a [`Backplane`]. It then is in the collective `NAME_backplane`, found by its facts, and answers the agent
//! `backplane`, whose actions are those the application offers. It listens on no port: the connection goes out.
//!
//! It is no remote shell and no configuration system: nothing can be asked that the application does not offer. It
//! installs no logger, and reads no file but the certificates its configuration names.
//!
//! The invariant: the application is never made to wait. Brokers are tried again in the background for ever, what is
//! published waits in a bounded queue, and each callback runs on a thread of the backplane's.
//!
//! Who may do what is decided by [`Authorization`] alone. Reading order: [`application`](Pausable), [`Builder`],
//! [`Authorization`], [`ManagementConfig`]. Operation: `docs/embedding.md`.

#![forbid(unsafe_code)]

mod agent;
mod application;
mod auth;
mod backplane;
mod builder;
mod config;
mod ddl;
mod delay;
mod facts;
mod host;
mod keeper;

pub use muster_server::embed::{DataItem, Outbox, OutboxCounts, OutboxError};

pub use self::application::{
    Health, HealthCheck, InfoSource, LogLevel, LogLevels, Pausable, Stoppable,
};
pub use self::auth::{Authorization, BadPattern, DENIED, Right};
pub use self::backplane::Backplane;
pub use self::builder::{Builder, FACTS_INTERVAL, SHUTDOWN_DELAY_MAX, StartError};
pub use self::config::{ConfigProblem, ConfigProblems, ManagementConfig, TlsSetting};
pub use self::ddl::{AGENT, DDL_JSON, VERSION, collective, ddl};
