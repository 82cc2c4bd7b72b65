//! One operation under way: the request, its books, and how far it has got.
//!
//! ```text
//! Subscribing ──the broker has the subscription──▶ Publishing ──all sent──▶ Collecting ──▶ over
//!      │ no connection in time                          │ deadline            complete, window, deadline
//!      ▼                                                ▼
//!   failed                                             over
//! ```
//!
//! What was handed to a connection is never published again, also when that connection breaks: a node must not act twice.

use std::mem;
use std::time::Duration;

use muster_protocol::filter::Filter;
use muster_protocol::request_id::RequestId;
use muster_protocol::rpc::{RpcReply, StatusCode};
use muster_protocol::subject;

use super::collect::{Collector, Outcome, ReplyView};
use super::error::{BuildError, Failure, StartError};
use super::event::{FleetEvent, NodeReply};
use super::identity::Caller;
use super::operation::Operation;
use super::plan::{Addressing, Plan};
use super::request::{RequestParts, check, encode_request, reply_subject};
use super::summary::{Aggregates, Ended, Summary};
use crate::moment::Moment;
use crate::nats::{ClientCore, PublishError, Sid, State, is_sendable};

/// Output that may wait for the socket before further direct messages are published.
/// Fifty thousand of them are 150 MB: more than a connection may owe, and than anybody wants to hold.
const SLICE_BYTES: usize = 1024 * 1024;
/// How soon it is looked again whether the output has drained.
const SLICE_INTERVAL: Duration = Duration::from_micros(500);

/// One operation under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    pub(super) sid: Sid,
    pub(super) stage: Stage,
    pub(super) links_lost: u32,
    agent: String,
    body: String,
    filter: Filter,
    addressing: Addressing,
    timeout: Duration,
    is_rpc: bool,
    collector: Collector,
    aggregates: Aggregates,
    failed: usize,
    begun: Moment,
    /// When the first message was handed to the connection.
    publish_began: Option<Duration>,
    publish_time: Duration,
    unsent: usize,
    progress_told: usize,
}

/// How far an operation has got.
#[derive(Debug)]
pub(super) enum Stage {
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
        /// How many messages are dealt with.
        next: usize,
        /// When further ones can be handed over.
        again: Duration,
    },
    /// Replies are waited for.
    Collecting,
}

/// How an operation ended.
pub(super) enum End {
    Over(Ended),
    Failed(Failure),
}

impl Job {
    /// Subscribes to the replies and asks the broker to confirm it.
    pub(super) fn begin(
        operation: Operation,
        caller: &Caller,
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
        let reply_to = reply_subject(caller, id);
        for subject in [
            reply_to.as_str(),
            &subject::broadcast(&caller.collective, &plan.agent),
        ] {
            if !is_sendable(subject.as_bytes()) {
                return Err(StartError::BadSubject(subject.into()));
            }
        }
        let sid = client.subscribe(reply_to.as_bytes(), None);
        let flush = client.flush();
        Ok(Self {
            id,
            sid,
            stage: Stage::Subscribing {
                flush,
                confirmed: false,
                give_up,
            },
            links_lost: 0,
            agent: plan.agent,
            body: plan.body,
            filter: plan.filter,
            addressing: plan.addressing,
            timeout: plan.timeout,
            is_rpc: plan.is_rpc,
            collector: Collector::new(id, plan.expect, seed, at.now, at.now + plan.timeout),
            aggregates: plan.aggregates,
            failed: 0,
            begun: at,
            publish_began: None,
            publish_time: Duration::ZERO,
            unsent: 0,
            progress_told: 0,
        })
    }

    /// The broker has dealt with everything up to this flush.
    pub(super) fn handle_flushed(&mut self, number: u64) {
        if let Stage::Subscribing {
            flush, confirmed, ..
        } = &mut self.stage
        {
            *confirmed |= number >= *flush;
        }
    }

    /// A payload came on the reply subject.
    pub(super) fn handle_reply(&mut self, payload: &[u8], now: Duration) -> Option<NodeReply> {
        let mut counted = None;
        let (is_rpc, aggregates, failed) = (self.is_rpc, &mut self.aggregates, &mut self.failed);
        let outcome = self
            .collector
            .handle_reply(payload, now, &mut |reply: ReplyView<'_>| {
                if is_rpc {
                    match RpcReply::parse(reply.body) {
                        Ok(rpc) if rpc.statuscode == StatusCode::Ok => aggregates.add(&rpc),
                        Ok(_) | Err(_) => *failed += 1,
                    }
                }
                counted = Some(NodeReply {
                    sender: reply.sender.into(),
                    body: reply.body.into(),
                    time: reply.time,
                    elapsed: reply.elapsed,
                });
            });
        debug_assert_eq!(counted.is_some(), outcome == Outcome::Counted);
        counted
    }

    /// Goes on as far as it can; says how it ended, if it did.
    pub(super) fn advance(
        &mut self,
        client: &mut ClientCore,
        caller: &Caller,
        at: Moment,
        tell: &mut impl FnMut(FleetEvent),
    ) -> Option<End> {
        if let Stage::Subscribing {
            confirmed, give_up, ..
        } = self.stage
        {
            // Confirmed and lost again: the next connection has the subscription before anything is published on it.
            if confirmed && client.state() == State::Ready {
                if let Err(error) = self.begin_publishing(client, caller, at) {
                    return Some(End::Failed(Failure::Build(error)));
                }
            } else if at.now >= give_up {
                let waited = at.now.saturating_sub(self.begun.now);
                return Some(End::Failed(Failure::NotConnected { waited, last: None }));
            } else {
                return None;
            }
        }
        if let Err(error) = self.publish(client, caller, at, tell) {
            return Some(End::Failed(Failure::Publish(error)));
        }
        let received = self.collector.received();
        if mem::replace(&mut self.progress_told, received) != received {
            tell(FleetEvent::Progress {
                received,
                expected: self.collector.expected(),
            });
        }
        if matches!(self.stage, Stage::Collecting) && self.collector.is_complete() {
            return Some(End::Over(Ended::Complete));
        }
        (at.now >= self.collector.deadline()).then(|| {
            let by_window = self.collector.ends_by_window();
            End::Over(if by_window {
                Ended::Window
            } else {
                Ended::Deadline
            })
        })
    }

    /// When [`advance`](Self::advance) must be called, unless something happens before.
    pub(super) fn due(&self) -> Duration {
        match self.stage {
            Stage::Subscribing { give_up, .. } => give_up,
            Stage::Publishing { again, .. } => again.min(self.collector.deadline()),
            Stage::Collecting => self.collector.deadline(),
        }
    }

    pub(super) fn summary(self, ended: Ended, now: Duration) -> Summary {
        let own = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let unsent = match self.stage {
            Stage::Publishing { next, .. } if self.addressing == Addressing::Direct => {
                self.unsent + self.collector.expected().unwrap_or(0).saturating_sub(next)
            }
            Stage::Subscribing { .. } | Stage::Publishing { .. } | Stage::Collecting => self.unsent,
        };
        let collector = &self.collector;
        Summary {
            request_id: self.id,
            ended,
            started: self.begun.unix,
            expected: collector.expected(),
            replied: collector.replied().map(str::to_owned).collect(),
            ok: collector.received() - self.failed,
            failed: self.failed,
            no_responses: own(collector.missing()),
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

    fn begin_publishing(
        &mut self,
        client: &ClientCore,
        caller: &Caller,
        at: Moment,
    ) -> Result<(), BuildError> {
        let broker = client.connected_server();
        let broker = broker.map_or_else(|| "unknown".to_owned(), |addr| format!("nats://{addr}"));
        let parts = RequestParts {
            agent: &self.agent,
            body: &self.body,
            filter: &self.filter,
        };
        let payload = encode_request(caller, &parts, self.id, at.unix, &broker)?;
        self.collector.mark_sent(at.now);
        self.publish_began = Some(at.now);
        self.stage = Stage::Publishing {
            payload,
            next: 0,
            again: at.now,
        };
        Ok(())
    }

    /// Hands messages to the connection until its output is full or all are handed over.
    fn publish(
        &mut self,
        client: &mut ClientCore,
        caller: &Caller,
        at: Moment,
        tell: &mut impl FnMut(FleetEvent),
    ) -> Result<(), PublishError> {
        let Stage::Publishing {
            payload,
            next,
            again,
        } = &mut self.stage
        else {
            return Ok(());
        };
        *again = at.now + SLICE_INTERVAL;
        if client.state() != State::Ready {
            // Not into the reconnect buffer: it is small, and what it can not hold would be lost unnoticed.
            return Ok(());
        }
        self.collector.extend(at.now + self.timeout);
        let messages = match self.addressing {
            Addressing::Broadcast => 1,
            Addressing::Direct => self.collector.expected().unwrap_or(0),
        };
        while *next < messages && client.output().len() < SLICE_BYTES {
            let subject = match self.addressing {
                Addressing::Broadcast => subject::broadcast(&caller.collective, &self.agent),
                Addressing::Direct => {
                    let node = self.collector.node(*next).unwrap_or_default();
                    subject::node(&caller.collective, node)
                }
            };
            *next += 1;
            match client.publish(subject.as_bytes(), None, payload) {
                Ok(()) => {}
                // One bad name does not keep the others from being asked; its node is named as missing.
                Err(PublishError::BadSubject) => self.unsent += 1,
                Err(error) => return Err(error),
            }
        }
        if *next == messages {
            let began = self.publish_began.unwrap_or(at.now);
            self.publish_time = at.now.saturating_sub(began);
            self.stage = Stage::Collecting;
            tell(FleetEvent::Published {
                messages: messages - self.unsent,
            });
        }
        Ok(())
    }
}
