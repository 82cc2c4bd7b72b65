//! What is due: dials, connections too many, and the list clients are told.

use std::time::Duration;

use muster_wire::route_info::GossipMode;

use super::config::RouteUrl;
use super::figures::DialFailure;
use super::note::ClusterNote;
use super::target::{Aim, JITTER, Standing, Target, TargetId};
use super::{Cluster, ClusterAction, RETELL_EVERY, URLS_AFTER, URLS_EVERY};
use crate::close::CloseReason;

/// By chance between nothing and the most, so that two brokers that lost each other do not dial at the same moment.
pub(super) fn jitter(rng: &mut fastrand::Rng) -> Duration {
    JITTER.mul_f64(rng.f64())
}

impl Cluster {
    /// What is to be done next; call it until there is nothing, whenever [`Cluster::next_deadline`] has come or something was handled.
    pub fn poll_action(&mut self, now: Duration) -> Option<ClusterAction> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        if self.retell_due.is_some_and(|due| due <= now) {
            self.retell_due = (!self.peers.is_empty()).then_some(now + RETELL_EVERY);
            self.retell();
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
        }
        self.poll_urls(now)
            .or_else(|| self.poll_surplus(now))
            .or_else(|| self.poll_dial(now))
    }

    /// When [`Cluster::poll_action`] has something to do without anything being handled.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        if !self.actions.is_empty() {
            return Some(Duration::ZERO);
        }
        let dials = self.aims.values().filter_map(|aim| match aim.standing {
            Standing::Due(due) => Some(due),
            Standing::Dialling | Standing::Met | Standing::Own => None,
        });
        let own_id = &self.own.server_id;
        let surplus = self.peers.values();
        let surplus = surplus.filter_map(|peer| peer.surplus_due(own_id));
        let single = [self.urls_due, self.retell_due];
        dials
            .chain(surplus)
            .chain(single.into_iter().flatten())
            .min()
    }

    /// Notes that the list for clients may have changed.
    pub(super) fn urls_changed(&mut self, now: Duration) {
        let rested = self
            .urls_last
            .map_or(Duration::ZERO, |last| last + URLS_EVERY);
        let due = rested.max(now + URLS_AFTER);
        self.urls_due = Some(self.urls_due.map_or(due, |earlier| earlier.min(due)));
    }

    fn poll_urls(&mut self, now: Duration) -> Option<ClusterAction> {
        self.urls_due.filter(|due| *due <= now)?;
        self.urls_due = None;
        let urls = self.connect_urls();
        if urls == self.urls_told {
            return None;
        }
        self.urls_told = urls;
        self.urls_last = Some(now);
        Some(ClusterAction::ConnectUrls)
    }

    /// A connection too many is closed once; that it is gone is told by `handle_closed`.
    fn poll_surplus(&mut self, now: Duration) -> Option<ClusterAction> {
        let own_id = &self.own.server_id;
        let mut peers = self.peers.values_mut();
        let (peer, conn) =
            peers.find_map(|peer| peer.surplus(own_id, now).map(|conn| (peer, conn)))?;
        // Looked at anew later, should the close not come about.
        if let Some(newest) = peer.links.last_mut() {
            newest.since = now;
        }
        self.figures.surplus_closed += 1;
        Some(ClusterAction::Close {
            conn,
            reason: CloseReason::DuplicateRoute,
        })
    }

    fn poll_dial(&mut self, now: Duration) -> Option<ClusterAction> {
        loop {
            let mut aims = self.aims.values_mut();
            let aim = aims.find(|aim| matches!(aim.standing, Standing::Due(due) if due <= now))?;
            let known = aim
                .server_id
                .as_deref()
                .filter(|id| self.peers.contains_key(*id));
            let url = &aim.target.url;
            let there = || {
                let mut peers = self.peers.values();
                peers.find(|peer| {
                    peer.place
                        .as_ref()
                        .is_some_and(|p| p.is_place(&url.host, url.port))
                })
            };
            // Whoever dialled us need not be dialled.
            let met = known.map(Into::into);
            let met = met.or_else(|| there().map(|peer| peer.info.server_id.as_str().into()));
            if let Some(id) = met {
                aim.server_id = Some(id);
                aim.standing = Standing::Met;
                continue;
            }
            aim.standing = Standing::Dialling;
            self.figures.dials += 1;
            return Some(ClusterAction::Dial(aim.target.clone()));
        }
    }

    pub(super) fn aim_at(
        &mut self,
        url: RouteUrl,
        explicit: bool,
        gossip: GossipMode,
        now: Duration,
        server_id: Option<Box<str>>,
    ) {
        let id = TargetId(self.next_target);
        self.next_target = self.next_target.wrapping_add(1);
        let target = Target {
            id,
            url,
            explicit,
            gossip,
        };
        self.aims.insert(id, Aim::new(target, now, server_id));
    }

    /// A server was found: what aims at it need not be dialled.
    pub(super) fn met(&mut self, dialled: Option<TargetId>, id: &str, place: Option<&RouteUrl>) {
        for aim in self.aims.values_mut() {
            let found = dialled == Some(aim.target.id);
            let same_server = aim.server_id.as_deref() == Some(id);
            let same_place = place.is_some_and(|place| {
                aim.target.url.is_place(&place.host, place.port) && aim.standing != Standing::Own
            });
            // A dial under way ends by itself, and then it is known who was there.
            let under_way = aim.standing == Standing::Dialling && !found;
            if (found || same_server || same_place) && !under_way {
                aim.server_id = Some(id.into());
                aim.standing = Standing::Met;
                aim.failures = 0;
            }
        }
    }

    pub(super) fn dial_failed(&mut self, target: TargetId, failure: DialFailure, now: Duration) {
        let place = DialFailure::ALL.iter().position(|kind| *kind == failure);
        if let Some(count) = place.and_then(|place| self.figures.dial_failures.get_mut(place)) {
            *count += 1;
        }
        let jitter = jitter(&mut self.rng);
        let Some(aim) = self.aims.get_mut(&target) else {
            return;
        };
        if aim.standing == Standing::Own {
            return;
        }
        let id = aim.server_id.as_deref();
        if id.is_some_and(|id| self.peers.contains_key(id)) {
            aim.standing = Standing::Met;
            return;
        }
        let url = aim.target.url.clone();
        if !aim.retry(
            now,
            jitter,
            self.config.connect_retries,
            self.config.backoff,
        ) {
            self.aims.remove(&target);
            return self.note(ClusterNote::GaveUp { url });
        }
        let note = ClusterNote::DialFailed { url, failure };
        if self.quiet.is_news(&note, now) {
            self.note(note);
        }
    }
}
