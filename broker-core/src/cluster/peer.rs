//! A peer and the connections to it: which one carries messages, and which one goes when there are several.
//!
//! Both sides may dial at the same time, and then there are two connections to one peer.
//!
//! - A *real* nats-server keeps the one it registered first and closes the other by itself. Were we to close one as well, it might be
//!   the one it keeps. So the surplus stands by until the peer has chosen.
//! - Two of ours keep the one dialled by the greater server id. The other is closed a second later by who dialled it: by then the
//!   interest of both sides has gone over the one that stays. Where one side dialled both, the first one stays.
//! - Two connections after five seconds mean that the peer has given one up without our noticing: the older one goes.

use std::time::Duration;

use muster_wire::route_info::RouteInfo;

use super::Origin;
use super::config::RouteUrl;
use super::gossip::News;
use super::target::TargetId;
use crate::ids::ConnRef;

/// How long the dialler of a connection too many leaves it open.
pub(super) const SURPLUS_LINGER: Duration = Duration::from_secs(1);

/// How long the peer has to close what is too many.
pub(super) const SURPLUS_MAX: Duration = Duration::from_secs(5);

/// One connection to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) conn: ConnRef,
    /// The target it was dialled for, if this broker dialled.
    pub(super) dialled: Option<TargetId>,
    pub(super) since: Duration,
}

/// A registered peer.
#[derive(Debug)]
pub(super) struct Peer {
    /// Its first INFO.
    pub(super) info: RouteInfo,
    /// How others reach its listener; none if it did not say.
    pub(super) place: Option<RouteUrl>,
    /// Oldest first, never empty.
    pub(super) links: Vec<Link>,
    /// Which of them carries messages.
    pub(super) primary: ConnRef,
    pub(super) lame_duck: bool,
    /// How it came, which decides how far the news of it goes.
    pub(super) origin: Origin,
}

impl Peer {
    pub(super) fn is_ours(&self) -> bool {
        self.info.muster.is_some()
    }

    /// What others are told of it; nothing where they could not reach it.
    pub(super) fn news(&self) -> Option<News> {
        let place = self.place.as_ref()?;
        Some(News {
            info: RouteInfo {
                ip: Some(place.dial_url()),
                ..self.info.clone()
            },
            origin: self.origin.clone(),
        })
    }

    /// Which connection of two of ours is to stay: the first of those dialled by the greater id.
    fn preferred(&self, own_id: &str) -> ConnRef {
        let dialler = own_id > self.info.server_id.as_str();
        let by_greater = self
            .links
            .iter()
            .find(|link| link.dialled.is_some() == dialler);
        by_greater.map_or(self.primary, |link| link.conn)
    }

    /// Takes a connection out. Returns the one that carries messages from now on, if that changed.
    pub(super) fn remove(&mut self, conn: ConnRef, own_id: &str) -> Option<ConnRef> {
        self.links.retain(|link| link.conn != conn);
        if self.primary != conn {
            return None;
        }
        let newest = self.links.last()?.conn;
        self.primary = newest;
        if self.is_ours() {
            self.primary = self.preferred(own_id);
        }
        Some(self.primary)
    }

    /// When a connection too many is to be looked at.
    pub(super) fn surplus_due(&self, own_id: &str) -> Option<Duration> {
        let newest = self.links.last().filter(|_| self.links.len() > 1)?;
        let linger = if self.lingering(own_id).is_some() {
            SURPLUS_LINGER
        } else {
            SURPLUS_MAX
        };
        Some(newest.since + linger)
    }

    /// The connection that is to go at `now`, if any.
    pub(super) fn surplus(&self, own_id: &str, now: Duration) -> Option<ConnRef> {
        self.surplus_due(own_id).filter(|due| *due <= now)?;
        self.lingering(own_id)
            .or_else(|| self.links.first().map(|link| link.conn))
    }

    /// The connection too many that this broker dialled and is to close, where the rule of two of ours says so.
    fn lingering(&self, own_id: &str) -> Option<ConnRef> {
        if !self.is_ours() {
            return None;
        }
        let stays = self.preferred(own_id);
        let mut others = self.links.iter().filter(|link| link.conn != stays);
        others
            .find(|link| link.dialled.is_some())
            .map(|link| link.conn)
    }
}
