//! The log of refused logins: at most one line a minute for each address, or a node with a wrong token fills the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use muster_broker_core::auth::Refused;

/// How long an address is not named again.
const QUIET: Duration = Duration::from_secs(60);

/// Addresses that are remembered; beyond that, refusals of new ones are only counted until some are forgotten.
const PEERS_MAX: usize = 4096;

/// Remembers of whom was told.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    peers: HashMap<IpAddr, Told>,
}

#[derive(Debug)]
struct Told {
    at: Duration,
    untold: u64,
}

impl RefusalLog {
    pub(crate) fn log(&mut self, refused: &Refused, now: Duration) {
        let Some(untold) = self.note(refused.peer.ip(), now) else {
            return;
        };
        tracing::warn!(
            peer = %refused.peer,
            name = &*refused.name,
            reason = refused.denial.reason,
            since_last_line = untold,
            "login refused: {}", refused.denial.text
        );
    }

    /// Refusals of this address since the last line about it, if another is due.
    fn note(&mut self, peer: IpAddr, now: Duration) -> Option<u64> {
        if let Some(told) = self.peers.get_mut(&peer) {
            if now < told.at + QUIET {
                told.untold += 1;
                return None;
            }
            let untold = std::mem::take(&mut told.untold);
            told.at = now;
            return Some(untold);
        }
        if self.peers.len() >= PEERS_MAX {
            self.peers.retain(|_, told| now < told.at + QUIET);
        }
        if self.peers.len() >= PEERS_MAX {
            return None;
        }
        let told = Told { at: now, untold: 0 };
        self.peers.insert(peer, told);
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_named_once_a_minute_with_what_came_between() {
        let mut log = RefusalLog::default();
        let (one, other): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let at = Duration::from_secs;
        assert_eq!(log.note(one, at(0)), Some(0));
        assert_eq!(log.note(one, at(1)), None);
        assert_eq!(log.note(other, at(2)), Some(0));
        assert_eq!(log.note(one, at(59)), None);
        assert_eq!(log.note(one, at(60)), Some(2));
        assert_eq!(log.note(one, at(61)), None);
    }

    #[test]
    fn the_memory_has_a_bound_and_forgets() {
        let mut log = RefusalLog::default();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..2 * u32::try_from(PEERS_MAX).unwrap() {
            log.note(peer(number), Duration::ZERO);
        }
        assert_eq!(log.peers.len(), PEERS_MAX);
        assert_eq!(log.note(peer(u32::MAX), QUIET), Some(0));
        assert_eq!(log.peers.len(), 1);
    }
}
