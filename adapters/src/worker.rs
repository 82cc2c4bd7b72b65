//! The threads behind the queue: one that makes a spill durable, and those that own a sink each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError};
use tracing::{info, warn};

use crate::counters::{Counters, DropReason};
use crate::item::Item;
use crate::sink::{Outcome, Sink};
use crate::spill::{Numbered, Spill, SpillWriter};

/// Messages a sink gets at a time.
const BATCH_MAX: usize = 512;
/// How long a worker waits for work before it looks after its connection.
const IDLE: Duration = Duration::from_millis(100);
/// The wait after an attempt that brought nothing, first and last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long what waits in memory may take to get out when the adapter stops.
pub(crate) const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Where a worker gets its work.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The queue.
    Queue(Receiver<Item>),
    /// The spill, into which the queue goes.
    Spill(Arc<Spill>),
}

/// A worker and its sink.
pub(crate) struct Worker {
    pub(crate) name: Box<str>,
    pub(crate) source: Source,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ack_timeout: Duration,
    pub(crate) stop: Arc<AtomicBool>,
}

/// What a worker holds.
#[derive(Default)]
struct Held {
    items: Vec<Item>,
    /// Numbers in the spill, where there is one; as many as items.
    numbers: Vec<u64>,
}

impl Worker {
    /// Works until there is nothing to come, or it is told to stop and the time for the rest is over.
    pub(crate) fn run(mut self) {
        let mut held = Held::default();
        let mut wait = BACK_OFF.0;
        let mut stop_by = None;
        loop {
            let is_over = self.fill(&mut held);
            if self.stop.load(Ordering::SeqCst) {
                let by = *stop_by.get_or_insert_with(|| Instant::now() + DRAIN_MAX);
                let may_leave = matches!(self.source, Source::Spill(_));
                if Instant::now() >= by || (may_leave && wait > BACK_OFF.0) {
                    break;
                }
            }
            if held.items.is_empty() {
                if is_over {
                    break;
                }
                self.idle(Duration::ZERO);
                continue;
            }
            if self.attempt(&mut held) {
                wait = BACK_OFF.0;
            } else {
                self.idle(wait);
                wait = (wait * 2).min(BACK_OFF.1);
            }
        }
        self.give_up(held);
    }

    /// Takes more work; `true` where none will ever come.
    fn fill(&self, held: &mut Held) -> bool {
        let room = BATCH_MAX.saturating_sub(held.items.len());
        if room == 0 {
            return false;
        }
        let is_idle = held.items.is_empty();
        let wait = if is_idle { IDLE } else { Duration::ZERO };
        match &self.source {
            Source::Queue(queue) => fill_from_queue(queue, room, wait, held),
            Source::Spill(spill) => {
                let mut read: Vec<Numbered> = Vec::new();
                if let Err(error) = spill.read(room, wait, &mut read) {
                    warn!(adapter = &*self.name, %error, "cannot read the spill");
                }
                for numbered in read {
                    held.items.push(numbered.item);
                    held.numbers.push(numbered.sequence);
                }
                self.stop.load(Ordering::SeqCst) && held.items.is_empty()
            }
        }
    }

    /// Hands the batch to the sink; `false` where nothing came of it.
    fn attempt(&mut self, held: &mut Held) -> bool {
        let start = Instant::now();
        let mut outcomes = Vec::with_capacity(held.items.len());
        let stored = self
            .sink
            .store(&held.items, self.ack_timeout, &mut outcomes);
        if let Err(error) = stored {
            warn!(adapter = &*self.name, %error, "the sink fails");
            outcomes.clear();
        }
        let again = || Outcome::Retry("the sink failed".into());
        outcomes.resize_with(held.items.len(), again);
        let (mut rest, mut done) = (Held::default(), Vec::new());
        let mut why = None;
        let mut numbers = std::mem::take(&mut held.numbers).into_iter();
        for (item, outcome) in held.items.drain(..).zip(outcomes) {
            let number = numbers.next();
            if let Some(reason) = self.book(&item, outcome) {
                why = Some(reason);
                rest.items.push(item);
                rest.numbers.extend(number);
            } else {
                done.extend(number);
            }
        }
        let has_moved = !done.is_empty() || why.is_none();
        let waits = rest.items.len();
        if let Some(why) = why {
            self.counters.retries.add(waits as u64);
            info!(adapter = &*self.name, waits, "to be sent again: {why}");
        }
        *held = rest;
        if let Source::Spill(spill) = &self.source
            && let Err(error) = spill.done(done)
        {
            warn!(adapter = &*self.name, %error, "cannot note what is done");
        }
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counters.output.timed.add(1);
        self.counters.output.nanos.add(nanos);
        has_moved
    }

    /// Counts what became of an item; says why where it must be tried again.
    fn book(&self, item: &Item, outcome: Outcome) -> Option<Box<str>> {
        let counters = &self.counters;
        match outcome {
            Outcome::Stored | Outcome::Duplicate => {
                counters.stored.add(1);
                counters.output.messages.add(1);
                counters.output.bytes.add(item.envelope.len() as u64);
                if outcome == Outcome::Duplicate {
                    counters.duplicates.add(1);
                }
            }
            Outcome::Unconfirmed => {
                counters.give_up(DropReason::Unconfirmed, 1);
                counters.output.errors.add(1);
            }
            Outcome::Rejected(why) => {
                counters.give_up(DropReason::Rejected, 1);
                counters.output.errors.add(1);
                warn!(
                    adapter = &*self.name,
                    subject = &*item.subject,
                    "refused for good: {why}"
                );
            }
            Outcome::Retry(why) => return Some(why),
        }
        None
    }

    fn idle(&mut self, wait: Duration) {
        let until = Instant::now() + wait;
        loop {
            if let Err(error) = self.sink.idle(wait.min(IDLE)) {
                warn!(adapter = &*self.name, %error, "the sink fails");
                return;
            }
            if Instant::now() >= until || self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// What is left in memory is lost, and counted; what is in a spill stays there.
    fn give_up(&self, held: Held) {
        let Source::Queue(queue) = &self.source else {
            return;
        };
        let left = held.items.len() + queue.try_iter().count();
        if left > 0 {
            self.counters.give_up(DropReason::Stopped, left as u64);
            self.counters.output.errors.add(left as u64);
            warn!(
                adapter = &*self.name,
                left, "messages are lost with the end of the adapter"
            );
        }
    }
}

fn fill_from_queue(queue: &Receiver<Item>, room: usize, wait: Duration, held: &mut Held) -> bool {
    if !wait.is_zero() {
        match queue.recv_timeout(wait) {
            Ok(item) => held.items.push(item),
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
    held.items
        .extend(queue.try_iter().take(room.saturating_sub(1)));
    false
}

/// Moves the queue into the spill until there is nothing to come.
pub(crate) fn spill_queue(
    name: &str,
    queue: &Receiver<Item>,
    mut writer: SpillWriter,
    counters: &Counters,
) {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        batch.push(first);
        batch.extend(queue.try_iter().take(BATCH_MAX - 1));
        match writer.append(&batch) {
            Ok(appended) => {
                counters.taken.add(appended.taken as u64);
                counters.give_up(DropReason::SpillFull, appended.refused as u64);
                counters.input.errors.add(appended.refused as u64);
            }
            Err(error) => {
                counters.give_up(DropReason::SpillFailed, batch.len() as u64);
                counters.input.errors.add(batch.len() as u64);
                warn!(adapter = name, %error, "cannot write the spill");
            }
        }
        batch.clear();
    }
}
