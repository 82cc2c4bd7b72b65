//! What a client's driver does: connects, reads, writes and sets the timer for one endpoint.

use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::{Action, LinkEnd};
use muster_server::NodeScratch;
use muster_testkit::{Arrival, End, LinkModel};

use crate::endpoint::Endpoint;
use crate::net::{Event, LinkId, Net};

/// Bytes read at a time.
const READ_AT_ONCE: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: LinkModel,
    pub(crate) link: Option<LinkId>,
    /// The broker it connects to.
    pub(crate) home: usize,
    index: usize,
    /// Counts attempts to connect, so that a late one is known as such.
    attempt: u32,
    /// The earliest timer that is in the queue.
    timer: Option<Duration>,
    /// A station that does not read lets its link fill up.
    pub(crate) reading: bool,
    /// Nothing passes between it and the broker.
    pub(crate) parted: bool,
}

impl Station {
    pub(crate) fn new(endpoint: Endpoint, index: usize, model: LinkModel) -> Self {
        Self {
            endpoint,
            model,
            link: None,
            home: 0,
            index,
            attempt: 0,
            timer: None,
            reading: true,
            parted: false,
        }
    }

    /// Begins an attempt to connect.
    pub(crate) fn dial(&mut self, net: &mut Net) {
        self.attempt += 1;
        let wait = net
            .rng
            .time(self.model.delay_min..=self.model.delay_max * 2);
        net.after(
            wait,
            Event::Connect {
                station: self.index,
                attempt: self.attempt,
            },
        );
    }

    /// Whether this attempt still counts and gets through.
    pub(crate) fn takes(&self, attempt: u32) -> bool {
        self.attempt == attempt && self.link.is_none() && !self.parted
    }

    /// The connection stands.
    pub(crate) fn connected(&mut self, link: LinkId, net: &mut Net, scratch: &mut NodeScratch) {
        self.link = Some(link);
        let now = net.now();
        if let Some(client) = self.endpoint.client() {
            client.handle_connected(now);
        }
        self.settle(net, scratch);
    }

    pub(crate) fn read(&mut self, net: &mut Net, scratch: &mut NodeScratch) {
        while let Some(link) = self
            .link
            .filter(|link| self.reading && net.is_readable(*link, End::Near))
        {
            let max = if net.rng.percent(20) {
                net.rng.within(1..=300)
            } else {
                READ_AT_ONCE
            };
            let mut bytes = Vec::new();
            match net.receive(link, End::Near, max, &mut bytes) {
                Arrival::Nothing => break,
                Arrival::Bytes(_) => self.endpoint.handle_bytes(&bytes, moment(net), scratch),
                Arrival::Shut | Arrival::Broken => {
                    self.drop_link(net);
                    self.endpoint.handle_disconnected(moment(net), scratch);
                }
            }
        }
        self.settle(net, scratch);
    }

    pub(crate) fn handle_timer(&mut self, net: &mut Net, scratch: &mut NodeScratch) {
        let at = moment(net);
        if self.timer.is_some_and(|timer| timer <= at.now) {
            self.timer = None;
        }
        if self
            .endpoint
            .next_timeout()
            .is_some_and(|due| due <= at.now)
        {
            self.endpoint.handle_timeout(at, scratch);
        }
        self.settle(net, scratch);
    }

    /// Does what the endpoint wants done: actions, output, timer.
    pub(crate) fn settle(&mut self, net: &mut Net, scratch: &mut NodeScratch) {
        loop {
            let action = self
                .endpoint
                .client()
                .and_then(|client| client.poll_action());
            match action {
                None => break,
                Some(Action::Connect(_)) => self.dial(net),
                Some(Action::Close(end)) => {
                    if end == LinkEnd::Requested {
                        self.write(net);
                    }
                    self.attempt += 1;
                    self.drop_link(net);
                }
                Some(Action::StartTls) => {
                    self.drop_link(net);
                    self.endpoint.handle_disconnected(moment(net), scratch);
                }
            }
        }
        self.write(net);
        if let Endpoint::Raw(raw) = &mut self.endpoint
            && raw.wants_close()
            && self.link.is_some()
        {
            raw.handle_closed(net.now());
            self.drop_link(net);
        }
        self.endpoint.take_events();
        if let Some(due) = self.endpoint.next_timeout()
            && self.timer.is_none_or(|timer| due < timer)
        {
            self.timer = Some(due);
            net.queue.push(due.max(net.now()), Event::Timer(self.index));
        }
    }

    fn write(&mut self, net: &mut Net) {
        let Some(link) = self.link else { return };
        let output = self.endpoint.output();
        if !output.is_empty() {
            let taken = net.send(link, End::Near, output);
            self.endpoint.advance(taken);
        }
    }

    fn drop_link(&mut self, net: &mut Net) {
        if let Some(link) = self.link.take() {
            net.shut(link, End::Near);
        }
    }
}

pub(crate) fn moment(net: &Net) -> Moment {
    Moment {
        now: net.clock.now(),
        unix: net.clock.unix(),
    }
}
