//! One operation under way: the request, its books, and how far it has got.
//!
//! ```text
//! Subscribing ──the broker has the subscription──▶ Publishing ──all sent──▶ Collecting ──▶ over
//!      │ no connection in time                      ▲   │ deadline           │  complete, window, deadline
//!      ▼                                            │   ▼                    │
//!   failed                                          │  over                  │ a group of a batch is over
//!                                                   └────────── Pausing ◀────┘
//! ```
//!
//! A request whose replies go elsewhere subscribes to nothing, and goes from Publishing to Confirming: it is over when the broker has it.
//!
//! What was handed to a connection is never published again, also when that connection breaks: a node must not act twice.

mod groups;

use std::mem;
use std::time::Duration;

use muster_protocol::filter::Filter;
use muster_protocol::request_id::RequestId;
use muster_protocol::rpc::{RpcReply, StatusCode};

use super::collect::{Collector, Outcome, ReplyView};
use super::error::{Failure, StartError};
use super::event::{FleetEvent, NodeReply};
use super::identity::Caller;
use super::operation::{Batch, Operation, ReplyFilter, Results};
use super::plan::{Addressing, Plan};
use super::request::{RequestParts, SignedDocument, check, reply_subject};
use super::route::{Federations, Route};
use super::summary::{Aggregates, Ended, Summary};
use crate::moment::Moment;
use crate::nats::{ClientCore, Sid, State, is_sendable};
use groups::Begun;

/// Output that may wait for the socket before further direct messages are published.
/// Fifty thousand of them are 150 MB: more than a connection may owe, and than anybody wants to hold.
const SLICE_BYTES: usize = 1024 * 1024;
/// How soon it is looked again whether the output has drained.
const SLICE_INTERVAL: Duration = Duration::from_micros(500);

/// One operation under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    /// The subscription to the replies; none where they go elsewhere.
    pub(super) sid: Option<Sid>,
    pub(super) links_lost: u32,
    stage: Stage,
    body: String,
    filter: Filter,
    route: Route,
    timeout: Duration,
    is_rpc: bool,
    results: Results,
    batch: Option<Batch>,
    reply_filter: Option<ReplyFilter>,
    collector: Collector,
    aggregates: Aggregates,
    failed: usize,
    filtered: usize,
    begun: Moment,
    /// When the first message was handed to the connection.
    publish_began: Option<Duration>,
    publish_time: Duration,
    /// Targets dealt with; see [`Route`].
    next: usize,
    /// Where the present group ends, in targets.
    group_end: usize,
    /// Targets before the first one that has not replied, as far as was looked.
    answered: usize,
    messages: usize,
    unsent: usize,
    progress_told: usize,
    /// What a service has just signed for the group that is to begin.
    signed: Option<SignedDocument>,
    /// When to go on with it.
    signed_due: Option<Duration>,
}

/// How far an operation has got.
#[derive(Debug)]
enum Stage {
    /// The reply subject is subscribed; the broker has not confirmed it.
    Subscribing {
        /// The flush that confirms it.
        flush: u64,
        confirmed: bool,
        give_up: Duration,
    },
    /// Messages are being handed to the connection.
    Publishing {
        /// The transport.
        payload: Vec<u8>,
        /// When further ones can be handed over.
        again: Duration,
    },
    /// Replies are waited for.
    Collecting,
    /// The next group of a batch is not due yet.
    Pausing { until: Duration },
    /// Nobody waits for replies; the broker has not confirmed the request.
    Confirming { flush: u64, confirmed: bool },
}

/// How an operation ended.
pub(super) enum End {
    Over(Ended),
    Failed(Failure),
}

impl Job {
    /// Subscribes to the replies and asks the broker to confirm it.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a session has, each of its own type"
    )]
    pub(super) fn begin(
        operation: Operation,
        caller: &Caller,
        federations: &Federations,
        id: RequestId,
        seed: u64,
        client: &mut ClientCore,
        at: Moment,
        give_up: Duration,
    ) -> Result<Self, StartError> {
        let plan = Plan::of(operation)?;
        let parts = RequestParts {
            agent: &plan.agent,
            body: &plan.body,
            filter: &plan.filter,
        };
        check(caller, &parts, id).map_err(StartError::Build)?;
        let route = Route {
            addressing: plan.addressing,
            collective: caller.collective.clone(),
            agent: plan.agent,
            federations: federations.clone(),
        };
        let reply_to = match &plan.options.results {
            Results::SendTo(subject) => subject.clone(),
            Results::Collect | Results::Discard => reply_subject(caller, id),
        };
        if !is_sendable(reply_to.as_bytes()) {
            return Err(StartError::BadSubject(reply_to.into()));
        }
        if let Some(subject) = route.unsendable() {
            return Err(StartError::BadSubject(subject.into()));
        }
        let sid = (plan.options.results == Results::Collect)
            .then(|| client.subscribe(reply_to.as_bytes(), None));
        let flush = client.flush();
        Ok(Self {
            id,
            sid,
            links_lost: 0,
            stage: Stage::Subscribing {
                flush,
                confirmed: false,
                give_up,
            },
            body: plan.body,
            filter: plan.filter,
            route,
            timeout: plan.timeout,
            is_rpc: plan.is_rpc,
            results: plan.options.results,
            batch: plan.options.batch,
            reply_filter: plan.options.reply_filter,
            collector: Collector::new(id, plan.expect, seed, at.now, at.now + plan.timeout),
            aggregates: plan.aggregates,
            failed: 0,
            filtered: 0,
            begun: at,
            publish_began: None,
            publish_time: Duration::ZERO,
            next: 0,
            group_end: 0,
            answered: 0,
            messages: 0,
            unsent: 0,
            progress_told: 0,
            signed: None,
            signed_due: None,
        })
    }

    /// The broker has dealt with everything up to this flush.
    pub(super) fn handle_flushed(&mut self, number: u64) {
        if let Stage::Subscribing {
            flush, confirmed, ..
        }
        | Stage::Confirming { flush, confirmed } = &mut self.stage
        {
            *confirmed |= number >= *flush;
        }
    }

    /// A payload came on the reply subject.
    pub(super) fn handle_reply(&mut self, payload: &[u8], now: Duration) -> Option<NodeReply> {
        let mut told = None;
        let Self {
            is_rpc,
            aggregates,
            failed,
            filtered,
            reply_filter,
            ..
        } = self;
        let mut counted = false;
        let outcome = self
            .collector
            .handle_reply(payload, now, &mut |reply: ReplyView<'_>| {
                counted = true;
                let rpc = is_rpc.then(|| RpcReply::parse(reply.body));
                let good = match &rpc {
                    Some(Ok(rpc)) => rpc.statuscode == StatusCode::Ok,
                    Some(Err(_)) => false,
                    None => true,
                };
                *failed += usize::from(!good);
                let reply = NodeReply {
                    sender: reply.sender.into(),
                    body: reply.body.into(),
                    time: reply.time,
                    elapsed: reply.elapsed,
                };
                if let Some(filter) = reply_filter
                    && !filter.lets_through(&reply)
                {
                    *filtered += 1;
                    return;
                }
                if let (true, Some(Ok(rpc))) = (good, &rpc) {
                    aggregates.add(rpc);
                }
                told = Some(reply);
            });
        debug_assert_eq!(counted, outcome == Outcome::Counted);
        told
    }

    /// Goes on as far as it can; says how it ended, if it did.
    pub(super) fn advance(
        &mut self,
        client: &mut ClientCore,
        caller: &Caller,
        at: Moment,
        tell: &mut impl FnMut(FleetEvent),
    ) -> Option<End> {
        self.signed_due = None;
        if let Stage::Subscribing {
            confirmed, give_up, ..
        } = self.stage
        {
            // Confirmed and lost again: the next connection has the subscription before anything is published on it.
            if confirmed && client.state() == State::Ready {
                match self.begin_group(client, caller, at) {
                    Ok(Begun::Yes) => {}
                    Ok(Begun::AfterSigning) => return None,
                    Err(error) => return Some(End::Failed(Failure::Build(error))),
                }
            } else if at.now >= give_up {
                let waited = at.now.saturating_sub(self.begun.now);
                return Some(End::Failed(Failure::NotConnected { waited, last: None }));
            } else {
                return None;
            }
        }
        let received = self.collector.received();
        if mem::replace(&mut self.progress_told, received) != received {
            tell(FleetEvent::Progress {
                received,
                expected: self.collector.expected(),
            });
        }
        loop {
            if let Stage::Pausing { until } = self.stage {
                if at.now < until {
                    return None;
                }
                match self.begin_group(client, caller, at) {
                    Ok(Begun::Yes) => {}
                    Ok(Begun::AfterSigning) => return None,
                    Err(error) => return Some(self.broken(Failure::Build(error))),
                }
            }
            if let Err(error) = self.publish(client, at, tell) {
                return Some(self.broken(Failure::Publish(error)));
            }
            if !self.pause_after_group(at.now) {
                return self.ended(at.now).map(End::Over);
            }
        }
    }

    /// When [`advance`](Self::advance) must be called, unless something happens before.
    pub(super) fn due(&self) -> Duration {
        if let Some(due) = self.signed_due {
            return due;
        }
        match self.stage {
            Stage::Subscribing { give_up, .. } => give_up,
            Stage::Publishing { again, .. } => again.min(self.collector.deadline()),
            Stage::Collecting | Stage::Confirming { .. } => self.collector.deadline(),
            Stage::Pausing { until } => until,
        }
    }

    pub(super) fn summary(self, ended: Ended, now: Duration) -> Summary {
        let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let collector = &self.collector;
        let waited_for = self.results == Results::Collect;
        let unsent = match self.route.addressing {
            // Before the first group the names are not missing for want of a link, but since nothing was begun.
            Addressing::Direct if self.publish_began.is_some() => {
                self.unsent + self.targets().saturating_sub(self.next)
            }
            Addressing::Direct | Addressing::Broadcast | Addressing::Service => self.unsent,
        };
        Summary {
            request_id: self.id,
            ended,
            started: self.begun.unix,
            expected: collector.expected().filter(|_| waited_for),
            replied: collector.replied().map(str::to_owned).collect(),
            ok: collector.received() - self.failed,
            failed: self.failed,
            filtered: self.filtered,
            no_responses: if waited_for {
                own(collector.missing())
            } else {
                Vec::new()
            },
            unexpected: own(collector.unexpected()),
            drops: collector.drops(),
            unsent,
            links_lost: self.links_lost,
            publish_time: self.publish_time,
            request_time: self
                .publish_began
                .map_or(Duration::ZERO, |began| now.saturating_sub(began)),
            last_reply: collector.latest_elapsed(),
            aggregates: self.aggregates,
        }
    }

    fn ended(&self, now: Duration) -> Option<Ended> {
        match self.stage {
            Stage::Collecting if self.next < self.targets() => return None,
            Stage::Collecting if self.collector.is_complete() => return Some(Ended::Complete),
            Stage::Confirming {
                confirmed: true, ..
            } => return Some(Ended::Sent),
            Stage::Subscribing { .. } | Stage::Pausing { .. } => return None,
            Stage::Collecting | Stage::Confirming { .. } | Stage::Publishing { .. } => {}
        }
        (now >= self.collector.deadline()).then(|| {
            if self.collector.ends_by_window() {
                Ended::Window
            } else {
                Ended::Deadline
            }
        })
    }

    /// A failure once nodes have been asked: what they answered is not thrown away.
    fn broken(&self, failure: Failure) -> End {
        if self.next == 0 {
            End::Failed(failure)
        } else {
            End::Over(Ended::Broken)
        }
    }
}
