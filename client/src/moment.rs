//! One moment on both clocks, as a driver hands it to a core.

use std::time::Duration;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment {
    /// Monotonic time since any fixed start.
    pub now: Duration,
    /// Wall-clock time since the Unix epoch.
    pub unix: Duration,
}
