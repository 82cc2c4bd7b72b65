//! Whom to dial, and when: the explicit routes for ever, those learnt of by gossip for a while.

use std::time::Duration;

use muster_wire::route_info::GossipMode;

use super::config::RouteUrl;

/// Pause before a lost or refused route is dialled again, beside the jitter.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// Most that two brokers' dials are kept apart by chance.
pub(super) const JITTER: Duration = Duration::from_millis(100);

/// The longest pause where it doubles.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Peers learnt of by gossip that are dialled at a time; further news is dropped and counted.
pub(super) const IMPLICIT_MAX: usize = 256;

/// The number of a target, unique in one run of the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// A place to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its number.
    pub id: TargetId,
    /// Where it is.
    pub url: RouteUrl,
    /// Whether it is in the configuration, rather than learnt of.
    pub explicit: bool,
    /// How the news of it was to be spread; the dialler repeats it.
    pub gossip: GossipMode,
}

/// Where a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// To be dialled at this time.
    Due(Duration),
    /// A dial or a handshake is under way.
    Dialling,
    /// The peer is connected, by this route or by another one.
    Met,
    /// It is this broker itself; it is left alone.
    Own,
}

/// A target and how it went so far.
#[derive(Debug)]
pub(super) struct Aim {
    pub(super) target: Target,
    pub(super) standing: Standing,
    /// Attempts that failed since it last was connected.
    pub(super) failures: u32,
    /// Who was found there.
    pub(super) server_id: Option<Box<str>>,
}

impl Aim {
    pub(super) fn new(target: Target, due: Duration, server_id: Option<Box<str>>) -> Self {
        Self {
            target,
            standing: Standing::Due(due),
            failures: 0,
            server_id,
        }
    }

    /// An attempt failed. `false` if it was the last one.
    pub(super) fn retry(
        &mut self,
        now: Duration,
        jitter: Duration,
        retries: u32,
        backoff: bool,
    ) -> bool {
        if self.standing == Standing::Own {
            return true;
        }
        self.failures = self.failures.saturating_add(1);
        if !self.target.explicit && self.failures > retries {
            return false;
        }
        // A peer learnt of may be gone for good, so its attempts become rare in any case.
        let doubled = RETRY.saturating_mul(1 << (self.failures - 1).min(5));
        let pause = if backoff || !self.target.explicit {
            doubled.min(RETRY_MAX)
        } else {
            RETRY
        };
        self.standing = Standing::Due(now + pause + jitter);
        true
    }

    /// The connection to it is lost: begin anew.
    pub(super) fn lost(&mut self, now: Duration, jitter: Duration) {
        if self.standing == Standing::Own {
            return;
        }
        self.failures = 0;
        let pause = if self.target.explicit {
            RETRY
        } else {
            Duration::ZERO
        };
        self.standing = Standing::Due(now + pause + jitter);
    }
}
