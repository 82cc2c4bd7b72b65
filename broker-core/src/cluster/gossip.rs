//! News of servers, told from peer to peer, so that a newcomer needs one seed only.
//!
//! Who registers a newcomer tells its other peers, and they dial the newcomer; the newcomer itself is told nothing.

use std::time::Duration;

use muster_wire::route_info::{GossipMode, RouteInfo};

use super::config::RouteUrl;
use super::peer::Peer;
use super::target::{IMPLICIT_MAX, Standing, TargetId};
use super::{Cluster, ClusterAction, Origin};

/// Addresses of clients that are taken from one peer.
const URLS_MAX: usize = 16;

/// Bytes of one of them.
const URL_MAX: usize = 300;

/// What is told of a peer.
#[derive(Debug)]
pub(super) struct News {
    /// With the address to dial it at.
    pub(super) info: RouteInfo,
    pub(super) origin: Origin,
}

/// Keeps what a peer says of its clients' addresses within bounds, for it goes into every client's INFO.
pub(super) fn bound_urls(urls: &mut Vec<String>) {
    urls.retain(|url| {
        url.len() <= URL_MAX && RouteUrl::parse(url, 0).is_ok_and(|url| url.port != 0)
    });
    urls.truncate(URLS_MAX);
}

impl Cluster {
    /// Tells all peers of each other again.
    pub(super) fn retell(&mut self) {
        let all: Vec<News> = self.peers.values().filter_map(Peer::news).collect();
        for news in all {
            self.spread(&news);
        }
    }

    /// Tells the other peers of one.
    pub(super) fn spread(&mut self, news: &News) {
        let origin = &news.origin;
        let by_gossip = matches!(origin, Origin::Dialled(target) if !target.explicit);
        let told = news.info.gossip_mode;
        let spreads = match told {
            GossipMode::Disabled => false,
            GossipMode::Override => true,
            GossipMode::Usual => !by_gossip,
        };
        if !spreads {
            return;
        }
        let mut info = news.info.clone();
        let others = self.peers.iter();
        for (_, peer) in others.filter(|(id, _)| ***id != *news.info.server_id) {
            info.gossip_mode = self.mode_for(peer, origin);
            self.figures.gossip_sent += 1;
            self.actions.push_back(ClusterAction::Tell {
                conn: peer.primary,
                info: Box::new(info.clone()),
            });
        }
    }

    fn mode_for(&self, receiver: &Peer, origin: &Origin) -> GossipMode {
        let explicit = |target: Option<TargetId>| {
            let aim = target.and_then(|target| self.aims.get(&target));
            aim.is_some_and(|aim| aim.target.explicit)
        };
        let receiver_explicit = receiver.links.iter().any(|link| explicit(link.dialled));
        match origin {
            Origin::Accepted if receiver_explicit => GossipMode::Override,
            Origin::Accepted => GossipMode::Disabled,
            Origin::Dialled(target) if target.explicit => GossipMode::Override,
            Origin::Dialled(_) => GossipMode::Usual,
        }
    }

    /// News of a server: dial it if it is not known.
    pub(super) fn handle_gossip(&mut self, info: &RouteInfo, now: Duration) {
        let url = info
            .ip
            .as_deref()
            .and_then(|ip| RouteUrl::parse(ip, info.port).ok())
            .filter(|url| url.port != 0);
        let known = info.server_id.is_empty()
            || info.server_id == self.own.server_id
            || self.peers.contains_key(info.server_id.as_str());
        let Some(url) = url.filter(|_| !known) else {
            self.figures.gossip_ignored += 1;
            return;
        };
        let own = self.config.advertise.as_ref() == Some(&url);
        let configured = self.config.routes.iter().any(|route| {
            route.is_place(&url.host, url.port) || route.is_place(&info.host, info.port)
        });
        if own || configured || self.aim_anew(&url, info, now) {
            self.figures.gossip_ignored += 1;
            return;
        }
        let implicit = self.aims.values().filter(|aim| !aim.target.explicit);
        if implicit.count() >= IMPLICIT_MAX {
            self.figures.gossip_ignored += 1;
            return;
        }
        self.figures.gossip_taken += 1;
        let id = info.server_id.as_str().into();
        self.aim_at(url, false, info.gossip_mode, now, Some(id));
    }

    /// A place that is an aim already, perhaps of a server started anew: it is dialled at once, unless it is being dialled.
    fn aim_anew(&mut self, url: &RouteUrl, info: &RouteInfo, now: Duration) -> bool {
        let aims = self.aims.values_mut();
        let mut there = aims.filter(|aim| aim.target.url == *url);
        let Some(aim) = there.next() else {
            return false;
        };
        if let Standing::Due(_) = aim.standing {
            aim.standing = Standing::Due(now);
            aim.failures = 0;
            aim.server_id = Some(info.server_id.as_str().into());
        }
        true
    }
}
