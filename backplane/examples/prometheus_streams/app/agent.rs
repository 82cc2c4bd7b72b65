//! The agent `prometheus_streams`, and the facts that change with its breaker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_protocol::ddl::Ddl;
use muster_server::Facts;
use muster_server::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use muster_server::embed::FactsSource;
use parking_lot::Mutex;

use super::{Streams, VERSION};

/// The description that callers have in their library folder too.
const DDL: &str = include_str!("../choria/agent/prometheus_streams.json");
/// How often facts are made anew though nothing was switched.
const FACTS_INTERVAL: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct StreamsAgent {
    ddl: Ddl,
    streams: Arc<Streams>,
    facts: Arc<BreakerFacts>,
}

impl StreamsAgent {
    pub(super) fn new(
        streams: Arc<Streams>,
        facts: Arc<BreakerFacts>,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            ddl: Ddl::parse(DDL.as_bytes())?,
            streams,
            facts,
        })
    }
}

impl RpcAgent for StreamsAgent {
    fn ddl(&self) -> &Ddl {
        &self.ddl
    }

    fn call(&self, call: &RpcCall<'_>, _host: &HostView<'_>) -> RpcAnswer {
        let poller = &self.streams.poller;
        let data = if call.action == "switch" {
            let paused = poller.flip();
            self.facts.changed.store(true, Ordering::Release);
            format!(r#"{{"mode":"poller","paused":{paused}}}"#)
        } else {
            let paused = poller.is_paused();
            format!(r#"{{"version":"{VERSION}","mode":"poller","paused":{paused}}}"#)
        };
        RpcOutcome::ok(data).into()
    }
}

/// The process's facts, made anew when its breaker was switched and from time to time.
#[derive(Debug)]
pub(super) struct BreakerFacts {
    streams: Arc<Streams>,
    changed: AtomicBool,
    /// When they are made anew anyway.
    due: Mutex<Duration>,
}

impl BreakerFacts {
    pub(super) fn new(streams: Arc<Streams>) -> Self {
        Self {
            streams,
            changed: AtomicBool::new(true),
            due: Mutex::default(),
        }
    }
}

impl FactsSource for BreakerFacts {
    fn poll_facts(&self, now: Duration) -> Option<Facts> {
        let mut due = self.due.lock();
        let is_changed = self.changed.swap(false, Ordering::AcqRel);
        if !is_changed && now < *due {
            return None;
        }
        *due = now + FACTS_INTERVAL;
        Facts::parse(self.streams.facts().to_string()).ok()
    }
}
