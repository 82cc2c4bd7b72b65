//! What an application may offer. Each trait enables the actions and facts named at it.
//!
//! Callbacks come from threads of the backplane, never from two actions at a time, and should return within the ten
//! seconds an action may take. One that panics is reported to the caller and hurts nothing else.

use std::sync::Arc;

use serde_json::Value;

/// An application that can be paused: enables `pause`, `resume` and `flip`.
pub trait Pausable: Send + Sync {
    /// Stops the application's work at once.
    fn pause(&self);
    /// Takes it up again.
    fn resume(&self);
    /// Inverts the state, atomically.
    fn flip(&self);
    /// Whether it is paused.
    fn is_paused(&self) -> bool;
}

/// An application that can examine itself: enables `health`.
pub trait HealthCheck: Send + Sync {
    /// Examines it.
    fn check(&self) -> Health;
}

/// What an examination found.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Whether the application is well.
    pub is_healthy: bool,
    /// What the caller is told beside that, of any form.
    pub result: Value,
}

/// An application that can be stopped: enables `shutdown`.
pub trait Stoppable: Send + Sync {
    /// Ends the application. Called some time after the caller had its answer, for several callers once.
    fn shutdown(&self);
}

/// An application whose log can be turned up and down: enables `debuglvl`, `infolvl`, `warnlvl` and `critlvl`.
pub trait LogLevels: Send + Sync {
    /// Logs from this level on.
    fn set_level(&self, level: LogLevel);
    /// The level in force.
    fn level(&self) -> LogLevel;
}

/// How much an application logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything a developer wants to see.
    Debug,
    /// What is of interest to operators.
    Info,
    /// What operators should look at.
    Warning,
    /// What operators must look at.
    Critical,
}

impl LogLevel {
    /// The level's name in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What an application tells of itself: facts to be found by, and its version.
pub trait InfoSource: Send + Sync {
    /// The application's facts, a JSON object; flat ones are the easiest to filter by.
    ///
    /// Asked for at start, after each action that changes something, every ten minutes, and when
    /// [`Backplane::refresh_facts`](crate::Backplane::refresh_facts) says so.
    fn facts(&self) -> Value;
    /// The application's version.
    fn version(&self) -> String;
}

/// What an application offers.
#[derive(Clone, Default)]
pub(crate) struct Offer {
    pub(crate) pausable: Option<Arc<dyn Pausable>>,
    pub(crate) health: Option<Arc<dyn HealthCheck>>,
    pub(crate) stoppable: Option<Arc<dyn Stoppable>>,
    pub(crate) log_levels: Option<Arc<dyn LogLevels>>,
    pub(crate) info: Option<Arc<dyn InfoSource>>,
}

impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer")
            .field("pausable", &self.pausable.is_some())
            .field("health", &self.health.is_some())
            .field("stoppable", &self.stoppable.is_some())
            .field("log_levels", &self.log_levels.is_some())
            .field("info", &self.info.is_some())
            .finish()
    }
}
