//! What a peer is sent: a message once, whatever matched there, with the names of the queue groups it is to serve one member
//! each of. A peer without headers gets the body alone.

use muster_wire::route_op::put_route_msg_head;
use smallvec::SmallVec;

use super::ShardCore;
use super::publish::{Article, Delivery, Message, Progress, Source};
use super::route_publish::peer_of;
use crate::conn::Fanout;
use crate::ids::ConnRef;
use crate::sublist::{Matches, Remote};
use crate::table::{Life, Shared};

impl ShardCore {
    /// One message a peer: to those with plain interest, and to those that were given a queue group.
    pub(super) fn fan_out_peers(
        &mut self,
        message: &Message<'_>,
        matches: &Matches,
        single: bool,
        fanout: &mut Fanout,
    ) -> Progress {
        let plain: &[Remote] = match message.article.from {
            Source::Client { .. } => matches.remotes(),
            Source::Route { .. } => &[],
        };
        let assigned = fanout.assigned.iter().map(|(peer, _)| *peer);
        let mut peers: SmallVec<[ConnRef; 8]> =
            plain.iter().copied().map(peer_of).chain(assigned).collect();
        peers.sort_unstable();
        peers.dedup();
        while let Some(peer) = peers.get(fanout.peer).copied() {
            if self.deliveries_left == 0 {
                return Progress::OutOfBudget;
            }
            self.deliveries_left -= 1;
            let queues = fanout.assigned.iter().filter(|(to, _)| *to == peer);
            let names: SmallVec<[&[u8]; 4]> = queues
                .map(|(_, place)| matches.groups()[*place].name())
                .collect();
            match self.deliver_to_peer(message, peer, &names, single) {
                Delivery::Done { behind } => {
                    fanout.heard = true;
                    fanout.behind |= behind;
                }
                Delivery::Skipped | Delivery::Lost => {}
                Delivery::Full => return Progress::HeldBy(peer),
            }
            fanout.peer += 1;
        }
        Progress::Done
    }

    fn deliver_to_peer(
        &mut self,
        message: &Message<'_>,
        peer: ConnRef,
        queues: &[&[u8]],
        hold: bool,
    ) -> Delivery {
        let pending_max = self.broker.config.route_pending_max();
        let name = &self.broker.account(message.article.account).name;
        let delivered = self.broker.table.with(peer, |shared| {
            if shared.life != Life::Open {
                return (Delivery::Skipped, 0, None);
            }
            if hold && shared.owed > message.hold_above {
                return (Delivery::Full, 0, None);
            }
            let wake =
                |shared: &mut Shared| shared.mark_dirty().then(|| (shared.owner, shared.key()));
            if shared.owed + message.ended.len() as u64 > pending_max {
                shared.life = Life::Cut;
                return (Delivery::Lost, 0, wake(shared));
            }
            let size = append_routed(shared, message, name.as_bytes(), queues);
            let behind = shared.owed > message.hold_above;
            (Delivery::Done { behind }, size, wake(shared))
        });
        let Some((delivery, size, wake)) = delivered else {
            return Delivery::Skipped;
        };
        match delivery {
            Delivery::Done { .. } => {
                self.counters.out_msgs += 1;
                self.counters.out_bytes += size;
                self.counters.route_out_msgs += 1;
                self.counters.route_out_bytes += size;
            }
            Delivery::Lost => self.counters.dropped_msgs += 1,
            Delivery::Skipped | Delivery::Full => {}
        }
        if let Some((owner, key)) = wake {
            self.notify(owner, peer, key);
        }
        delivery
    }
}

/// Appends the message for a peer, under its lock; returns how many bytes of headers and payload that were.
fn append_routed(
    shared: &mut Shared,
    message: &Message<'_>,
    account: &[u8],
    queues: &[&[u8]],
) -> u64 {
    let Article {
        subject,
        reply,
        headers_len,
        ..
    } = message.article;
    let (headers_len, skip) = if shared.headers {
        (headers_len, 0)
    } else {
        (0, headers_len)
    };
    let body = &message.ended[skip..];
    let names: usize = queues.iter().map(|name| name.len() + 1).sum();
    let head = account.len() + subject.len() + reply.map_or(0, <[u8]>::len) + names + 40;
    let copied = if message.shared.is_some() {
        0
    } else {
        body.len()
    };
    let tail = shared.out.tail(head + copied);
    let before = tail.len();
    let names = queues.iter().copied();
    let size = body.len() - 2;
    put_route_msg_head(tail, (account, subject, reply), names, headers_len, size);
    match message.shared {
        None => {
            tail.extend_from_slice(body);
            shared.owed += (tail.len() - before) as u64;
        }
        Some(bytes) => {
            shared.owed += (tail.len() - before + body.len()) as u64;
            shared.out.push_shared(bytes.slice(skip..));
        }
    }
    shared.out_msgs += 1;
    shared.out_bytes += size as u64;
    size as u64
}
