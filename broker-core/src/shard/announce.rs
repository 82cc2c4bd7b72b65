//! What clients are told of the other brokers while they are connected.
//!
//! A change goes to each client that understands an INFO at any time and has had its first PONG, in bounded slices a turn.
//! Who is told nothing because it was not ready yet finds the list in the INFO behind that PONG.

use std::sync::Arc;

use muster_wire::encode::put_info;

use super::ShardCore;
use crate::conn::Phase;

/// Connections looked at in one turn; an INFO is some 2 µs.
const SLICE: u32 = 512;

/// What is in force, and how far the word of it has come.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Overrides the list of the configuration.
    pub(super) urls: Option<Arc<[String]>>,
    pub(super) lame_duck: bool,
    next: Option<u32>,
}

impl Announced {
    pub(super) fn is_under_way(&self) -> bool {
        self.next.is_some()
    }
}

impl ShardCore {
    /// Tells clients, from now on and those that are here, that these are the brokers to connect to, `host:port` each;
    /// with `lame_duck` also that this one is going to stop.
    pub fn announce(&mut self, urls: Arc<[String]>, lame_duck: bool) {
        let known = self.announced.urls.as_deref();
        let known = known.unwrap_or(&self.broker.config.info.connect_urls);
        if *known == *urls && self.announced.lame_duck == lame_duck {
            return;
        }
        self.announced = Announced {
            urls: Some(urls),
            lame_duck,
            next: Some(0),
        };
    }

    /// Goes on telling, for one turn's share.
    pub(super) fn announce_some(&mut self) {
        let Some(from) = self.announced.next else {
            return;
        };
        let end = self.conns.capacity();
        let until = from.saturating_add(SLICE).min(end);
        for index in from..until {
            let Some(conn) = self.conns.get(index) else {
                continue;
            };
            let told = conn.phase == Phase::Active && conn.greeted && conn.options.async_info;
            if told {
                let info = self.info(conn.cid.0, conn.peer);
                let key = conn.key(index);
                self.append(key, 512, |out| put_info(out, &info));
            }
        }
        self.announced.next = (until < end).then_some(until);
    }
}
