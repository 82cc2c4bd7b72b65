//! Messages between brokers: those of peers, and who of a queue group gets one.
//!
//! Members here and at peers have equal chances, each.
//! A message of a peer goes to members here alone; only for a queue group that has nobody left here it is sent on, so that
//! who was told of a member that has just gone loses nothing. What a peer is sent is in `route_deliver.rs`.

use std::time::Duration;

use muster_wire::route_op::RouteMsg;
use smallvec::SmallVec;

use super::publish::{Article, Delivery, Message, Progress, Source};
use super::{Flow, ShardCore};
use crate::conn::{Fanout, Parked};
use crate::ids::{ConnRef, Key};
use crate::sublist::{Matches, Member, QueueGroup, Remote};
use crate::table::Life;

/// What became of a queue group's message among its members here.
enum Served {
    Done {
        behind: bool,
    },
    /// All that could take it have much to read; this is the first of them.
    Behind(Member),
    Nobody,
}

impl ShardCore {
    /// `RMSG` and `HMSG` of a peer.
    pub(super) fn handle_route_message(
        &mut self,
        key: Key,
        message: RouteMsg<'_>,
        ended: &[u8],
        now: Duration,
    ) -> Flow {
        let Some(conn) = self.conn_mut(key) else {
            return Flow::Closed;
        };
        let (me, parked) = (conn.me, conn.parked.take());
        let echo = conn.route.as_deref().is_some_and(|route| route.echo);
        let known = self.broker.account_named(message.account);
        let account = known.map(|account| account.id);
        let mut fanout = match (parked.map(|parked| *parked), account) {
            (Some(Parked::Fanout(fanout)), Some(_)) => fanout,
            (_, account) => {
                self.count_routed(key, ended.len() - 2);
                let Some(account) = account else {
                    self.counters.route_unknown_account += 1;
                    return Flow::Next;
                };
                self.start_fanout(account, message.subject, ended)
            }
        };
        let article = Article {
            from: Source::Route {
                queues: message.queues,
                echo,
            },
            account: account.unwrap_or(crate::account::DEFAULT_ACCOUNT_ID),
            publisher: me,
            subject: message.subject,
            reply: message.reply,
            headers_len: message.headers_len,
            ended,
        };
        match self.spread(article, &mut fanout) {
            Progress::OutOfBudget => {
                self.counters.sliced_fanouts += u64::from(fanout.has_begun());
                self.park(key, Parked::Fanout(fanout));
                self.ready.push_back(key);
                Flow::Stay
            }
            Progress::Done | Progress::HeldBy(_) => self.finish_routed(key, &fanout, now),
        }
    }

    fn count_routed(&mut self, key: Key, size: usize) {
        let size = size as u64;
        self.counters.in_msgs += 1;
        self.counters.in_bytes += size;
        self.counters.route_in_msgs += 1;
        self.counters.route_in_bytes += size;
        if let Some(conn) = self.conn_mut(key) {
            conn.in_msgs += 1;
            conn.in_bytes += size;
        }
    }

    /// Where a receiver is behind, the route waits for a moment, but for no more than half of the time: behind it wait
    /// the messages for everyone else.
    fn finish_routed(&mut self, key: Key, fanout: &Fanout, now: Duration) -> Flow {
        self.counters.unheard_msgs += u64::from(!fanout.heard);
        let stall = self.broker.config.stall;
        let Some(conn) = self.conn_mut(key).filter(|_| fanout.behind) else {
            return Flow::Next;
        };
        let Some(route) = conn
            .route
            .as_deref_mut()
            .filter(|route| route.stall_after <= now)
        else {
            return Flow::Next;
        };
        let until = now + stall;
        route.stall_after = until + stall;
        conn.stalls = conn.stalls.saturating_add(1);
        self.counters.stalled_publishers += 1;
        self.park(key, Parked::Stalled { until });
        self.schedule(key);
        Flow::Pause
    }

    /// The queue groups of a message and then the peers.
    pub(super) fn fan_out_cluster(
        &mut self,
        message: &Message<'_>,
        matches: &Matches,
        single: bool,
        fanout: &mut Fanout,
    ) -> Progress {
        let wanted = |place: usize| match message.article.from {
            Source::Client { .. } => (place < matches.groups().len()).then_some(Some(place)),
            Source::Route { queues, .. } => {
                let name = queues.iter().nth(place)?;
                let groups = matches.groups();
                Some(groups.binary_search_by(|group| group.name().cmp(name)).ok())
            }
        };
        while let Some(place) = wanted(fanout.group) {
            if self.deliveries_left == 0 {
                return Progress::OutOfBudget;
            }
            self.deliveries_left -= 1;
            match place {
                None => self.counters.route_unserved_queues += 1,
                Some(place) => {
                    let group = &matches.groups()[place];
                    let held = match message.article.from {
                        Source::Client { .. } => {
                            self.serve_for_client(message, (group, place), single, fanout)
                        }
                        Source::Route { echo, .. } => {
                            self.serve_for_peer(message, (group, place), echo, fanout);
                            None
                        }
                    };
                    if let Some(receiver) = held {
                        return Progress::HeldBy(receiver);
                    }
                }
            }
            fanout.group += 1;
        }
        self.fan_out_peers(message, matches, single, fanout)
    }

    /// One draw over all members, here and at peers; who cannot take it is passed over.
    /// Returns who the publisher must wait for, where there is nobody else.
    fn serve_for_client(
        &mut self,
        message: &Message<'_>,
        (group, place): (&QueueGroup, usize),
        single: bool,
        fanout: &mut Fanout,
    ) -> Option<ConnRef> {
        let locals = group.len() as u64;
        let remotes: u64 = group.remotes().iter().map(|r| u64::from(r.weight)).sum();
        if locals + remotes == 0 {
            return None;
        }
        let drawn = self.rng.u64(..locals + remotes);
        if let Some(at) = drawn.checked_sub(locals)
            && let Some(peer) = self.usable_peer(group.remotes(), at, None)
        {
            fanout.assigned.push((peer, place));
            return None;
        }
        let first = usize::try_from(drawn.min(locals.saturating_sub(1))).unwrap_or_default();
        let hold = single || locals + remotes > 1;
        let behind = match self.serve_here(message, group, first, hold) {
            Served::Done { behind } => {
                fanout.heard = true;
                fanout.behind |= behind;
                return None;
            }
            Served::Behind(member) => Some(member),
            Served::Nobody => None,
        };
        let at = if remotes > 0 {
            self.rng.u64(..remotes)
        } else {
            0
        };
        if let Some(peer) = self.usable_peer(group.remotes(), at, None) {
            fanout.assigned.push((peer, place));
            return None;
        }
        let member = behind?;
        if single {
            return Some(conn_of(member));
        }
        self.force(message, member, fanout);
        None
    }

    /// A member here; where nobody is left, another peer that has members, and else the sender, whose own may have come back.
    fn serve_for_peer(
        &mut self,
        message: &Message<'_>,
        (group, place): (&QueueGroup, usize),
        echo: bool,
        fanout: &mut Fanout,
    ) {
        let first = self.rng.usize(..group.len().max(1));
        match self.serve_here(message, group, first, group.len() > 1) {
            Served::Done { behind } => {
                fanout.heard = true;
                fanout.behind |= behind;
                return;
            }
            Served::Behind(member) => return self.force(message, member, fanout),
            Served::Nobody => {}
        }
        let sender = message.article.publisher;
        let others: SmallVec<[Remote; 8]> = group
            .remotes()
            .iter()
            .copied()
            .filter(|remote| peer_of(*remote) != sender)
            .collect();
        let weight: u64 = others.iter().map(|r| u64::from(r.weight)).sum();
        let at = if weight > 0 {
            self.rng.u64(..weight)
        } else {
            0
        };
        let back = (others.len() < group.remotes().len() && echo).then_some(sender);
        match self.usable_peer(&others, at, back) {
            Some(peer) => {
                self.counters.route_bounced_queues += 1;
                fanout.assigned.push((peer, place));
            }
            None => self.counters.route_unserved_queues += 1,
        }
    }

    /// Tries the members here, beginning with one; with `hold` those that are behind are passed over.
    fn serve_here(
        &mut self,
        message: &Message<'_>,
        group: &QueueGroup,
        first: usize,
        hold: bool,
    ) -> Served {
        let mut full = None;
        for step in 0..group.len() {
            let member = group.member((first + step) % group.len());
            match self.deliver(message, member, hold) {
                Delivery::Done { behind } => return Served::Done { behind },
                Delivery::Skipped | Delivery::Lost => {}
                Delivery::Full => full = full.or(Some(member)),
            }
        }
        full.map_or(Served::Nobody, Served::Behind)
    }

    fn force(&mut self, message: &Message<'_>, member: Member, fanout: &mut Fanout) {
        if let Delivery::Done { .. } = self.deliver(message, member, false) {
            fanout.heard = true;
            fanout.behind = true;
        }
    }

    /// The peer at this place of the weights, or else the next that is there, or else the last resort.
    fn usable_peer(
        &self,
        remotes: &[Remote],
        mut at: u64,
        last_resort: Option<ConnRef>,
    ) -> Option<ConnRef> {
        let drawn = remotes.iter().position(|remote| {
            let weight = u64::from(remote.weight);
            let here = at < weight;
            at = at.saturating_sub(weight);
            here
        });
        let (before, after) = remotes.split_at(drawn.unwrap_or(0));
        let chances = after.iter().chain(before).filter(|r| r.weight > 0);
        chances
            .map(|remote| peer_of(*remote))
            .chain(last_resort)
            .find(|peer| {
                let open = self
                    .broker
                    .table
                    .with(*peer, |shared| shared.life == Life::Open);
                open == Some(true)
            })
    }
}

fn conn_of(member: Member) -> ConnRef {
    ConnRef {
        slot: member.slot,
        generation: member.generation,
    }
}

pub(super) fn peer_of(remote: Remote) -> ConnRef {
    ConnRef {
        slot: remote.slot,
        generation: remote.generation,
    }
}
