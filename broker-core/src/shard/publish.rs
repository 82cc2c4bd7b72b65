//! The way of a message: match, append to each receiver's outbound, tell the owners.

use std::time::Duration;

use bytes::Bytes;
use muster_wire::encode::{MsgHead, put_err, put_no_responders};
use muster_wire::route_op::QueueNames;
use muster_wire::subject::{is_valid_publish, matches};

use super::{Flow, ShardCore};
use crate::conn::{Fanout, Parked};
use crate::ids::{AccountId, ConnRef, Key};
use crate::inbox::Notice;
use crate::sublist::{Interest, Matches, Member};
use crate::subs::{SidNames, Sub};
use crate::table::{Life, Shared};

/// A payload of at least this size is shared by its receivers whatever their number.
const SHARED_ALWAYS: usize = 16 * 1024;

/// A payload of at least this size is shared by [`SHARED_RECEIVERS`] receivers or more.
const SHARED_WIDE: usize = 512;

/// Below this many receivers a copy is cheaper than the count of references.
const SHARED_RECEIVERS: usize = 16;

/// What was published, and by whom.
#[derive(Clone, Copy)]
pub(super) struct Article<'a> {
    pub(super) from: Source<'a>,
    pub(super) account: AccountId,
    pub(super) publisher: ConnRef,
    pub(super) subject: &'a [u8],
    pub(super) reply: Option<&'a [u8]>,
    pub(super) headers_len: usize,
    /// Headers, payload and the line end.
    pub(super) ended: &'a [u8],
}

/// Who published a message, which decides whom it may reach.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// A client: everyone, and the client itself if it wants its own.
    Client { echo: bool },
    /// A peer: the members here, and of the named queue groups one each.
    Route { queues: QueueNames<'a>, echo: bool },
}

/// One message on its way.
pub(super) struct Message<'a> {
    pub(super) article: Article<'a>,
    subject: &'a [u8],
    publisher: ConnRef,
    echo: bool,
    headers_len: usize,
    /// Headers, payload and the line end.
    pub(super) ended: &'a [u8],
    /// `ended`, where it is appended by reference.
    pub(super) shared: Option<&'a Bytes>,
    plain: &'a MsgHead,
    with_headers: &'a MsgHead,
    pub(super) hold_above: u64,
    pending_max: u64,
}

/// What became of one delivery.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// Appended; `behind` says that the receiver has much to read.
    Done { behind: bool },
    /// The receiver is gone, or it is the publisher itself that wants no echo.
    Skipped,
    /// The receiver was or is being cut; the message is lost to it.
    Lost,
    /// Not appended: the receiver has much to read, and the caller said to wait then.
    Full,
}

pub(super) enum Progress {
    Done,
    OutOfBudget,
    HeldBy(ConnRef),
}

impl ShardCore {
    pub(super) fn handle_publish(
        &mut self,
        key: Key,
        subject: &[u8],
        reply: Option<&[u8]>,
        headers_len: usize,
        ended: &[u8],
        now: Duration,
    ) -> Flow {
        let Some(conn) = self.conn_mut(key) else {
            return Flow::Closed;
        };
        let (me, echo, account) = (conn.me, conn.options.echo, conn.account);
        let restricted = conn.permissions.is_some();
        let mut fanout = match conn.parked.take().map(|parked| *parked) {
            Some(Parked::Fanout(fanout)) => fanout,
            // A held publish is matched anew: its receiver may be gone by now.
            Some(Parked::Held { .. }) => self.start_fanout(account, subject, ended),
            Some(Parked::Stalled { .. } | Parked::Budget) | None => {
                self.count_publish(key, subject, ended.len() - 2);
                if let Some(text) = refusal(subject, reply) {
                    self.append(key, text.len() + 16, |out| put_err(out, &text));
                    return Flow::Next;
                }
                if restricted && !self.may_publish(key, subject) {
                    return Flow::Next;
                }
                self.acknowledge(key);
                self.start_fanout(account, subject, ended)
            }
        };
        let article = Article {
            from: Source::Client { echo },
            account,
            publisher: me,
            subject,
            reply,
            headers_len,
            ended,
        };
        let progress = self.spread(article, &mut fanout);
        match progress {
            Progress::Done => self.finish_publish(key, subject, reply, &fanout, now),
            Progress::OutOfBudget => {
                self.counters.sliced_fanouts += u64::from(fanout.has_begun());
                self.park(key, Parked::Fanout(fanout));
                self.ready.push_back(key);
                Flow::Stay
            }
            Progress::HeldBy(receiver) => self.hold(key, me, receiver, now),
        }
    }

    /// Goes on with a message until everyone has it, or it must wait.
    pub(super) fn spread(&mut self, article: Article<'_>, fanout: &mut Fanout) -> Progress {
        let Article {
            subject,
            reply,
            headers_len,
            ended,
            ..
        } = article;
        let mut plain = std::mem::take(&mut self.plain_head);
        let mut with_headers = std::mem::take(&mut self.headers_head);
        let total = ended.len() - 2;
        plain.set_plain(subject, reply, total - headers_len);
        if headers_len > 0 {
            with_headers.set_with_headers(subject, reply, headers_len, total);
        }
        let shared = fanout.shared.take();
        let message = Message {
            article,
            subject,
            publisher: article.publisher,
            echo: !matches!(article.from, Source::Client { echo: false }),
            headers_len,
            ended,
            shared: shared.as_ref(),
            plain: &plain,
            with_headers: &with_headers,
            hold_above: self.broker.config.hold_above(),
            pending_max: self.broker.config.pending_max,
        };
        let progress = self.fan_out(&message, fanout);
        self.plain_head = plain;
        self.headers_head = with_headers;
        fanout.shared = shared;
        progress
    }

    fn count_publish(&mut self, key: Key, subject: &[u8], size: usize) {
        self.counters.in_msgs += 1;
        self.counters.in_bytes += size as u64;
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        conn.in_msgs += 1;
        conn.in_bytes += size as u64;
        if conn.options.pedantic && !is_valid_publish(subject) {
            self.append(key, 40, |out| put_err(out, "Invalid Publish Subject"));
        }
    }

    pub(super) fn start_fanout(
        &mut self,
        account: AccountId,
        subject: &[u8],
        ended: &[u8],
    ) -> Fanout {
        let matches = self.matches(account, subject);
        let receivers = receivers(&matches);
        let wide = ended.len() >= SHARED_WIDE && receivers >= SHARED_RECEIVERS;
        let by_reference = receivers > 0 && (ended.len() >= SHARED_ALWAYS || wide);
        Fanout::new(matches, by_reference.then(|| Bytes::copy_from_slice(ended)))
    }

    fn fan_out(&mut self, message: &Message<'_>, fanout: &mut Fanout) -> Progress {
        let matches = std::sync::Arc::clone(&fanout.matches);
        let from_client = matches!(message.article.from, Source::Client { .. });
        // A route is never held for one receiver: others wait behind it.
        let single = from_client && receivers(&matches) == 1;
        while fanout.chunk < matches.chunk_count() {
            let members = matches.chunk(fanout.chunk);
            while let Some(member) = members.get(fanout.place) {
                if self.deliveries_left == 0 {
                    return Progress::OutOfBudget;
                }
                self.deliveries_left -= 1;
                match self.deliver(message, *member, single) {
                    Delivery::Done { behind } => {
                        fanout.heard = true;
                        fanout.behind |= behind;
                    }
                    Delivery::Skipped | Delivery::Lost => {}
                    Delivery::Full => {
                        let receiver = ConnRef {
                            slot: member.slot,
                            generation: member.generation,
                        };
                        return Progress::HeldBy(receiver);
                    }
                }
                fanout.place += 1;
            }
            fanout.chunk += 1;
            fanout.place = 0;
        }
        if from_client && !matches.has_remotes() {
            self.fan_out_groups(message, &matches, single, fanout)
        } else {
            self.fan_out_cluster(message, &matches, single, fanout)
        }
    }

    fn fan_out_groups(
        &mut self,
        message: &Message<'_>,
        matches: &Matches,
        single: bool,
        fanout: &mut Fanout,
    ) -> Progress {
        while let Some(group) = matches.groups().get(fanout.group) {
            if self.deliveries_left == 0 {
                return Progress::OutOfBudget;
            }
            self.deliveries_left -= 1;
            let first = self.rng.usize(..group.len().max(1));
            let mut full = None;
            for step in 0..group.len() {
                let member = group.member((first + step) % group.len());
                // Among several, one that is behind is passed over; nobody is sent more than it can take while another has room.
                match self.deliver(message, member, single || group.len() > 1) {
                    Delivery::Done { behind } => {
                        fanout.heard = true;
                        fanout.behind |= behind;
                        full = None;
                        break;
                    }
                    Delivery::Skipped | Delivery::Lost => {}
                    Delivery::Full => full = full.or(Some(member)),
                }
            }
            if let Some(member) = full {
                if single {
                    let receiver = ConnRef {
                        slot: member.slot,
                        generation: member.generation,
                    };
                    return Progress::HeldBy(receiver);
                }
                if let Delivery::Done { .. } = self.deliver(message, member, false) {
                    fanout.heard = true;
                    fanout.behind = true;
                }
            }
            fanout.group += 1;
        }
        Progress::Done
    }

    pub(super) fn deliver(
        &mut self,
        message: &Message<'_>,
        member: Member,
        hold: bool,
    ) -> Delivery {
        let conn = ConnRef {
            slot: member.slot,
            generation: member.generation,
        };
        if conn == message.publisher && !message.echo {
            return Delivery::Skipped;
        }
        let Some(slot) = self.broker.table.slot(member.slot) else {
            return Delivery::Skipped;
        };
        let mut shared = slot.lock();
        if shared.generation != member.generation || shared.life != Life::Open {
            return Delivery::Skipped;
        }
        if shared.denies(message.subject, member.sid) {
            self.counters.denied_deliveries += 1;
            return Delivery::Skipped;
        }
        let delivery = append_message(&mut shared, message, member.sid, hold);
        let notify = match delivery {
            Delivery::Done { .. } | Delivery::Lost => shared.mark_dirty(),
            Delivery::Skipped | Delivery::Full => false,
        };
        let (owner, key) = (shared.owner, shared.key());
        drop(shared);
        match delivery {
            Delivery::Done { .. } => {
                self.counters.out_msgs += 1;
                self.counters.out_bytes += (message.ended.len() - 2) as u64;
            }
            Delivery::Lost => self.counters.dropped_msgs += 1,
            Delivery::Skipped | Delivery::Full => {}
        }
        if notify {
            self.notify(owner, conn, key);
        }
        delivery
    }

    pub(super) fn notify(&mut self, owner: u16, conn: ConnRef, key: Key) {
        if owner == self.id.0 {
            self.dirty.push_back(key);
        } else {
            self.posts[usize::from(owner)].push(Notice::Dirty(conn));
        }
    }

    fn finish_publish(
        &mut self,
        key: Key,
        subject: &[u8],
        reply: Option<&[u8]>,
        fanout: &Fanout,
        now: Duration,
    ) -> Flow {
        if !fanout.heard {
            self.counters.unheard_msgs += 1;
            if let Some(reply) = reply {
                self.tell_no_responders(key, subject, reply);
            }
        }
        if !fanout.behind {
            return Flow::Next;
        }
        let until = now + self.broker.config.stall;
        self.counters.stalled_publishers += 1;
        if let Some(conn) = self.conn_mut(key) {
            conn.stalls = conn.stalls.saturating_add(1);
        }
        self.park(key, Parked::Stalled { until });
        self.schedule(key);
        Flow::Pause
    }

    /// Tells the publisher that nobody listens, if it wants to know and listens for replies itself.
    fn tell_no_responders(&mut self, key: Key, subject: &[u8], reply: &[u8]) {
        let Some(conn) = self.conn(key).filter(|conn| conn.options.no_responders) else {
            return;
        };
        let (me, account) = (conn.me, conn.account);
        let replies = self.matches(account, reply);
        let Some(member) = replies.contains_slot(me.slot, me.generation) else {
            return;
        };
        let mut sid = Vec::new();
        let live = self.broker.table.with(me, |shared| {
            put_sid(shared.names.as_deref(), &mut sid, member.sid);
            shared
                .subs
                .get_mut(member.sid)
                .is_some_and(|sub| !sub.is_exhausted())
        });
        if live == Some(true) {
            self.counters.no_responders += 1;
            let size = 96 + reply.len() + subject.len();
            self.append(key, size, |out| {
                put_no_responders(out, reply, &sid, subject);
            });
        }
    }

    fn hold(&mut self, key: Key, me: ConnRef, receiver: ConnRef, now: Duration) -> Flow {
        let release_below = self.broker.config.release_below();
        let waits = self.broker.table.with(receiver, |shared| {
            // Asked again under the lock: it may have drained, or been cut, since it was found full.
            let full = shared.owed >= release_below && shared.life == Life::Open;
            if full {
                shared.held.get_or_insert_default().publishers.push(me);
            }
            full
        });
        self.park(key, Parked::Held { since: now });
        if waits == Some(true) {
            self.counters.held_publishers += 1;
            if let Some(conn) = self.conn_mut(key) {
                conn.stalls = conn.stalls.saturating_add(1);
            }
        } else {
            self.posts[usize::from(self.id.0)].push(Notice::Resume(me));
        }
        Flow::Stay
    }

    /// The receiver for which a publisher was held has room, or is gone.
    pub(super) fn release_held(&mut self, key: Key, now: Duration) {
        let Some(conn) = self.conn_mut(key) else {
            return;
        };
        let Some(Parked::Held { since }) = conn.parked.as_deref() else {
            return;
        };
        let held = now.saturating_sub(*since);
        self.counters.held_us += u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        self.process_partial(key, now);
        self.allow_input(key);
    }

    pub(super) fn park(&mut self, key: Key, parked: Parked) {
        if let Some(conn) = self.conn_mut(key) {
            conn.parked = Some(Box::new(parked));
        }
    }
}

/// Whom a message reaches at most.
fn receivers(matches: &Matches) -> usize {
    matches.plain_len() + matches.groups().len() + matches.remotes().len()
}

/// Subjects that no client may publish to: replies through gateways, and the log of replicas.
const RESERVED_SUBJECTS: [&[u8]; 2] = [b"_GR_.", b"$NRG."];

/// Replies that no client may ask for: those of gateways, of services, and acknowledgements of streams.
const RESERVED_REPLIES: [&[u8]; 3] = [b"_GR_.", b"_R_.", b"$JS.ACK."];

/// Why a client may not publish this, if it may not.
fn refusal(subject: &[u8], reply: Option<&[u8]>) -> Option<String> {
    // One comparison of a byte decides for nearly every message.
    let reserved = |name: &[u8], prefixes: &[&[u8]]| {
        matches!(name.first(), Some(b'_' | b'$'))
            && prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    if reserved(subject, &RESERVED_SUBJECTS) {
        let subject = String::from_utf8_lossy(subject);
        return Some(format!(
            "Permissions Violation for Publish to \"{subject}\""
        ));
    }
    let reply = reply.filter(|reply| reserved(reply, &RESERVED_REPLIES))?;
    let reply = String::from_utf8_lossy(reply);
    Some(format!(
        "Permissions Violation for Publish with Reply of \"{reply}\""
    ))
}

/// Appends the message to a receiver that is open, under its lock.
fn append_message(shared: &mut Shared, message: &Message<'_>, sid: u64, hold: bool) -> Delivery {
    let recycles = shared.recycles;
    let current = |sub: &&mut Sub| {
        // The snapshot may know an earlier subscription of this sid, to another subject.
        !sub.is_exhausted() && (!recycles || wants(&sub.interest, message.subject))
    };
    let Some(sub) = shared.subs.get_mut(sid).filter(current) else {
        return Delivery::Skipped;
    };
    if hold && shared.owed > message.hold_above {
        return Delivery::Full;
    }
    if shared.owed + message.ended.len() as u64 > message.pending_max {
        shared.life = Life::Cut;
        return Delivery::Lost;
    }
    sub.delivered += 1;
    shared.exhausted |= sub.is_exhausted();
    let with_headers = shared.headers && message.headers_len > 0;
    let (head, skip) = if with_headers {
        (message.with_headers, 0)
    } else {
        (message.plain, message.headers_len)
    };
    let body = &message.ended[skip..];
    // A sid written as a number has 19 digits at most; a named one makes the tail grow once more.
    let head_room = head.before().len() + 19 + head.after().len();
    let copied = if message.shared.is_some() {
        0
    } else {
        body.len()
    };
    let tail = shared.out.tail(head_room + copied);
    let before = tail.len();
    tail.extend_from_slice(head.before());
    put_sid(shared.names.as_deref(), tail, sid);
    tail.extend_from_slice(head.after());
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
    shared.out_bytes += (body.len() - 2) as u64;
    Delivery::Done {
        behind: shared.owed > message.hold_above,
    }
}

fn wants(interest: &Interest, subject: &[u8]) -> bool {
    interest.subject() == subject || matches(interest.subject(), subject)
}

fn put_sid(names: Option<&SidNames>, out: &mut Vec<u8>, sid: u64) {
    match names {
        Some(names) => names.put(out, sid),
        None => out.extend_from_slice(itoa::Buffer::new().format(sid).as_bytes()),
    }
}
