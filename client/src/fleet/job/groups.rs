//! The groups of an operation: all nodes at once, or those of a batch one group after another.

use std::time::Duration;

use super::super::error::BuildError;
use super::super::event::FleetEvent;
use super::super::identity::{Caller, CallerSecurity};
use super::super::operation::Results;
use super::super::plan::Addressing;
use super::super::request::{RequestParts, sign_request};
use super::super::route::with_reply_to;
use super::{Job, SLICE_BYTES, SLICE_INTERVAL, Stage};
use crate::moment::Moment;
use crate::nats::{ClientCore, PublishError, State};

/// Whether a group has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    /// It has.
    Yes,
    /// Not yet: time went by while a service signed the request, so it begins at a moment that is read anew.
    AfterSigning,
}

impl Job {
    /// How many targets there are in all; see [`Route`].
    pub(super) fn targets(&self) -> usize {
        match self.route.addressing {
            Addressing::Broadcast | Addressing::Service => 1,
            Addressing::Direct => self.collector.expected().unwrap_or(0),
        }
    }

    /// Begins a group: makes its request, has it signed, and starts the clocks.
    ///
    /// A service may take seconds to sign, and the clocks must not run meanwhile. So what it has signed is kept, and the group begins at the next call.
    pub(super) fn begin_group(
        &mut self,
        client: &ClientCore,
        caller: &Caller,
        at: Moment,
    ) -> Result<Begun, BuildError> {
        let parts = RequestParts {
            agent: &self.route.agent,
            body: &self.body,
            filter: &self.filter,
        };
        let signed = match (self.signed.take(), &caller.security) {
            (Some(signed), _) => signed,
            (None, CallerSecurity::Remote { .. }) => {
                self.signed = Some(sign_request(caller, &parts, self.id, at.unix)?);
                self.signed_due = Some(at.now + SLICE_INTERVAL);
                return Ok(Begun::AfterSigning);
            }
            (None, _) => sign_request(caller, &parts, self.id, at.unix)?,
        };
        let broker = client.connected_server();
        let broker = broker.map_or_else(|| "unknown".to_owned(), |addr| format!("nats://{addr}"));
        let mut payload = signed.into_transport(caller, self.id, &broker);
        if let Results::SendTo(subject) = &self.results {
            payload = with_reply_to(&payload, subject);
        }
        if self.publish_began.is_none() {
            self.collector.mark_sent(at.now);
            self.publish_began = Some(at.now);
        }
        self.collector.extend(at.now + self.timeout);
        let targets = self.targets();
        self.group_end = self.batch.map_or(targets, |batch| {
            targets.min(self.next.saturating_add(batch.size.get()))
        });
        self.stage = Stage::Publishing {
            payload,
            again: at.now,
        };
        Ok(Begun::Yes)
    }

    /// Hands messages to the connection until its output is full or those of the group are all handed over.
    pub(super) fn publish(
        &mut self,
        client: &mut ClientCore,
        at: Moment,
        tell: &mut impl FnMut(FleetEvent),
    ) -> Result<(), PublishError> {
        let Stage::Publishing { payload, again } = &mut self.stage else {
            return Ok(());
        };
        *again = at.now + SLICE_INTERVAL;
        if client.state() != State::Ready {
            // Not into the reconnect buffer: it is small, and what it can not hold would be lost unnoticed.
            return Ok(());
        }
        self.collector.extend(at.now + self.timeout);
        while self.next < self.group_end && client.output().len() < SLICE_BYTES {
            let range = self.next..self.group_end;
            let sent = self
                .route
                .send(client, payload, self.id, &self.collector, range)?;
            self.next += sent.targets;
            self.messages += sent.messages;
            self.unsent += sent.unsent;
        }
        if self.next == self.group_end {
            self.handle_group_sent(client, at.now, tell);
        }
        Ok(())
    }

    fn handle_group_sent(
        &mut self,
        client: &mut ClientCore,
        now: Duration,
        tell: &mut impl FnMut(FleetEvent),
    ) {
        let is_last = self.next == self.targets();
        self.stage = if is_last && self.results != Results::Collect {
            Stage::Confirming {
                flush: client.flush(),
                confirmed: false,
            }
        } else {
            Stage::Collecting
        };
        if is_last {
            let began = self.publish_began.unwrap_or(now);
            self.publish_time = now.saturating_sub(began);
            tell(FleetEvent::Published {
                messages: self.messages,
            });
        }
    }

    /// Where the present group is over and another one follows: waits for its turn.
    pub(super) fn pause_after_group(&mut self, now: Duration) -> bool {
        if !matches!(self.stage, Stage::Collecting) || self.next == self.targets() {
            return false;
        }
        let is_over = self.results != Results::Collect
            || self
                .collector
                .has_replied_up_to(&mut self.answered, self.group_end)
            || now >= self.collector.deadline();
        if is_over {
            let sleep = self.batch.map_or(Duration::ZERO, |batch| batch.sleep);
            self.stage = Stage::Pausing { until: now + sleep };
        }
        is_over
    }
}
