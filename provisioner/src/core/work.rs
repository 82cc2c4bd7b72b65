//! Nodes in work: from the queue, step by step, to their end.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::LinkEnd;
use muster_protocol::rpc::RpcReply;

use super::{HelperRun, Level, ProvisionerCore, Source};
use crate::call::{Action, CallFailure};
use crate::election;
use crate::helper::{Decision, HelperError};
use crate::host::{FlowError, Host, Outcome, Step};
use crate::metrics::Drop;
use crate::queue::{Afterwards, Identity, Taken};
use crate::rpc::Arrived;

impl ProvisionerCore {
    /// Does everything that can be done now.
    pub(super) fn advance(&mut self, at: Moment) {
        self.advance_lease(at);
        self.note_pause(at);
        while let Some((identity, action)) = self.rpc.poll_expired(at.now) {
            self.fail_call(&identity, action, CallFailure::Timeout, at);
        }
        if let Some(found) = self.rpc.poll_discovered(at.now) {
            self.say(Level::Debug, None, format!("discovered {found} nodes"));
        }
        self.discover_if_due(at);
        while let Some((due, _)) = self.timers.first()
            && *due <= at.now
        {
            if let Some((_, identity)) = self.timers.pop_first() {
                self.ready.push_back(identity);
            }
        }
        loop {
            if let Some(identity) = self.ready.pop_front() {
                self.poll_host(&identity, at);
            } else if !self.take_work(at) {
                break;
            }
        }
        self.metrics.busy_workers.set(self.queue.in_work());
        self.metrics.work_queue_entries.set(self.queue.waiting());
        let waiting = self.queue.waiting() + self.queue.in_work();
        self.metrics.waiting_nodes.set(waiting);
    }

    fn advance_lease(&mut self, at: Moment) {
        let Some(lease) = &mut self.lease else { return };
        let claim = lease.poll(at.now);
        let is_leader = lease.is_leader();
        self.metrics.leader.set(usize::from(is_leader));
        if let Some(claim) = claim {
            self.publish(election::SUBJECT, &claim.encode());
        }
    }

    /// Acts on a change between paused and not.
    fn note_pause(&mut self, at: Moment) {
        let is_paused = self.is_paused();
        if std::mem::replace(&mut self.was_paused, is_paused) == is_paused {
            return;
        }
        self.metrics.paused.set(usize::from(is_paused));
        if is_paused {
            let dropped = self.queue.clear_waiting();
            self.metrics.paused_drops.add_many(dropped);
            let in_work = self.queue.in_work();
            let text = format!(
                "paused: {dropped} nodes that waited are dropped, {in_work} in work end at their next step"
            );
            self.say(Level::Info, None, text);
            // Those that wait between two tries have no step under way.
            let waiting = std::mem::take(&mut self.timers);
            self.ready
                .extend(waiting.into_iter().map(|(_, identity)| identity));
        } else {
            self.say(Level::Info, None, "resumed".to_owned());
            self.next_discovery = at.now;
        }
    }

    fn discover_if_due(&mut self, at: Moment) {
        if !self.connected || self.is_paused() || at.now < self.next_discovery {
            return;
        }
        self.next_discovery = at.now + self.setup.interval;
        self.metrics.discover_cycles.add();
        if let Err(failure) = self.rpc.discover(&mut self.client, at) {
            self.metrics.discovery_errors.add();
            self.say(Level::Warn, None, format!("discovery failed: {failure}"));
        }
    }

    /// Takes a node into work; false if there is none, or no room.
    fn take_work(&mut self, at: Moment) -> bool {
        if self.is_paused() || !self.connected || self.hosts.len() >= self.setup.workers.get() {
            return false;
        }
        match self.queue.take(at.now) {
            None => false,
            Some(Taken::Stale(identity)) => {
                self.metrics.stale.add();
                self.metrics.provision_errors.add();
                let text = "dropped: it has waited too long".to_owned();
                self.say(Level::Warn, Some(identity), text);
                true
            }
            Some(Taken::Work(identity)) => {
                let flow = Arc::clone(&self.setup.flow);
                let host = Host::new(Arc::clone(&identity), flow, self.rng.u64(..));
                self.hosts.insert(Arc::clone(&identity), host);
                self.ready.push_back(identity);
                true
            }
        }
    }

    fn poll_host(&mut self, identity: &Identity, at: Moment) {
        let is_paused = self.is_paused();
        let Some(host) = self.hosts.get_mut(identity) else {
            return;
        };
        match host.poll(at) {
            // What is over is over, also while paused.
            Step::Done(outcome) => self.finish(identity, outcome, at),
            Step::Pending => {}
            Step::Call(_) | Step::Helper(_) | Step::Wait(_) if is_paused => {
                self.finish(identity, Outcome::Failed(FlowError::Paused), at);
            }
            Step::Wait(until) => {
                self.timers.insert((until, Arc::clone(identity)));
            }
            Step::Helper(input) => {
                self.last_run += 1;
                let id = self.last_run;
                self.running.insert(id, (Arc::clone(identity), at.now));
                self.runs.push_back(HelperRun { id, input });
            }
            Step::Call(call) => {
                if let Err(failure) = self.rpc.call(&mut self.client, identity, &call, at) {
                    self.fail_call(identity, call.action, failure, at);
                }
            }
        }
    }

    fn finish(&mut self, identity: &Identity, outcome: Outcome, at: Moment) {
        self.hosts.remove(identity);
        let node = Some(Arc::clone(identity));
        let afterwards = match &outcome {
            Outcome::Provisioned | Outcome::ShutDown => Afterwards::Rest,
            Outcome::Upgraded { .. } | Outcome::Failed(_) => Afterwards::Free,
        };
        self.queue.finish(identity, afterwards, at.now);
        match outcome {
            Outcome::Provisioned => {
                self.metrics.provisioned.add();
                self.say(Level::Info, node, "provisioned".to_owned());
            }
            Outcome::ShutDown => {
                let text = "told to end, as the helper wants it".to_owned();
                self.say(Level::Info, node, text);
            }
            Outcome::Upgraded { from, to } => {
                self.metrics.upgraded.add();
                self.say(Level::Info, node, format!("upgraded from {from} to {to}"));
            }
            Outcome::Failed(error) => {
                self.metrics.provision_errors.add();
                let level = match error {
                    FlowError::Deferred(_) | FlowError::Paused => Level::Info,
                    _ => Level::Warn,
                };
                self.say(level, node, format!("not provisioned: {error}"));
            }
        }
    }

    pub(super) fn take_arrived(&mut self, arrived: Arrived, at: Moment) {
        match arrived {
            Arrived::Discovered(identity) => self.found(&identity, Source::Discovery, at),
            Arrived::Dropped(why) => self.metrics.drop_message(why),
            Arrived::Failed {
                identity,
                action,
                failure,
            } => self.fail_call(&identity, action, failure, at),
            Arrived::Reply {
                identity,
                action,
                took,
                body,
            } => self.take_reply(&identity, action, took, &body, at),
        }
    }

    fn take_reply(
        &mut self,
        identity: &Identity,
        action: Action,
        took: Duration,
        body: &[u8],
        at: Moment,
    ) {
        self.metrics.rpc_time[action.index()].add(took);
        let reply = match RpcReply::parse(body) {
            Ok(reply) => reply,
            Err(error) => {
                let failure = CallFailure::Malformed(error.to_string());
                return self.fail_call(identity, action, failure, at);
            }
        };
        if let Some(failure) = CallFailure::of_reply(&reply) {
            return self.fail_call(identity, action, failure, at);
        }
        if let Some(host) = self.hosts.get_mut(identity) {
            host.handle_reply(&reply, at);
            self.ready.push_back(Arc::clone(identity));
        }
    }

    fn fail_call(&mut self, identity: &Identity, action: Action, failure: CallFailure, at: Moment) {
        self.metrics.rpc_errors[action.index()].add();
        let text = format!("{action}: {failure}");
        self.say(Level::Debug, Some(Arc::clone(identity)), text);
        if let Some(host) = self.hosts.get_mut(identity) {
            host.handle_failure(failure, at);
            self.ready.push_back(Arc::clone(identity));
        }
    }

    pub(super) fn take_helper(
        &mut self,
        id: u64,
        output: Result<Vec<u8>, HelperError>,
        at: Moment,
    ) {
        let Some((identity, began)) = self.running.remove(&id) else {
            return self.metrics.drop_message(Drop::LateHelper);
        };
        self.metrics.helper_time.add(at.now.saturating_sub(began));
        let decision = output.and_then(|output| Decision::parse(&output));
        match &decision {
            Err(_) => self.metrics.helper_errors.add(),
            Ok(Decision::Shutdown) => self.metrics.helper_shutdown_requests.add(),
            Ok(_) => {}
        }
        match self.hosts.get_mut(&identity) {
            Some(host) => {
                host.handle_helper(decision);
                self.ready.push_back(identity);
            }
            None => self.metrics.drop_message(Drop::LateHelper),
        }
    }

    pub(super) fn take_disconnected(&mut self, end: LinkEnd, at: Moment) {
        self.connected = false;
        self.say(Level::Warn, None, format!("connection lost: {end}"));
        if let Some(lease) = &mut self.lease {
            lease.handle_disconnected(at.now);
        }
        for (identity, action) in self.rpc.take_all() {
            self.fail_call(&identity, action, CallFailure::NotConnected, at);
        }
    }
}
