//! What came of an operation.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_protocol::ddl::{Action, AggregateError, Aggregator};
use muster_protocol::request_id::RequestId;
use muster_protocol::rpc::{RpcReply, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::collect::Drops;
use muster_protocol::rfc3339::rfc3339_utc;

/// What came of an operation.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The request's id.
    pub request_id: RequestId,
    /// Why it ended.
    pub ended: Ended,
    /// Wall clock when the operation was begun.
    pub started: Duration,
    /// How many replies were waited for, where that is known.
    pub expected: Option<usize>,
    /// Nodes that replied, in the order of their replies.
    pub replied: Vec<String>,
    /// RPC replies with status OK; for a discovery, all replies.
    pub ok: usize,
    /// RPC replies with another status, or with a body that is none of an RPC agent.
    pub failed: usize,
    /// Replies a [`ReplyFilter`](super::ReplyFilter) held back; they are among those above.
    pub filtered: usize,
    /// Nodes that were asked and did not reply, sorted.
    pub no_responses: Vec<String>,
    /// Nodes that replied without being asked, sorted; at most ten thousand are named, [`Drops::unexpected`] counts all replies.
    pub unexpected: Vec<String>,
    /// What was dropped, by reason.
    pub drops: Drops,
    /// Direct messages that were never handed to the connection: it did not come back in time, or the name makes no subject.
    /// Their nodes are among `no_responses`.
    pub unsent: usize,
    /// Times the connection was lost while replies were waited for; each may have cost replies.
    pub links_lost: u32,
    /// Time to publish the request.
    pub publish_time: Duration,
    /// Time from the start of publishing to the end of the operation.
    pub request_time: Duration,
    /// Time from the start of publishing to the last reply that counts.
    pub last_reply: Option<Duration>,
    /// What was summed up.
    pub aggregates: Aggregates,
}

/// Why an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every reply that was waited for is here.
    Complete,
    /// The time came.
    Deadline,
    /// Nobody replied for the time of the window.
    Window,
    /// The owner ended it.
    Cancelled,
    /// The broker has the request, and nobody wants the replies here.
    Sent,
    /// A further group of a batch could not be sent; its nodes, and those after it, are among the unsent.
    Broken,
}

impl Summary {
    /// Whether each node that was asked replied, all with success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.failed == 0
            && self.unsent == 0
            && self.no_responses.is_empty()
            && self
                .expected
                .is_none_or(|expected| self.replied.len() >= expected)
    }

    /// The statistics as the machine formats write them. `discover_time` is that of the discovery before, which another operation took.
    #[must_use]
    pub fn stats(&self, discover_time: Duration) -> RequestStats<'_> {
        RequestStats {
            request_id: self.request_id.as_str(),
            no_responses: &self.no_responses,
            unexpected_responses: &self.unexpected,
            discovered: self.expected.unwrap_or(self.replied.len()),
            failed: self.failed,
            ok: self.ok,
            responses: self.replied.len(),
            publish_time: self.publish_time,
            request_time: self.request_time,
            discover_time,
            start_time: self.started,
        }
    }
}

/// The statistics of a request, in the field names and order of the machine formats; times are nanoseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RequestStats<'a> {
    /// The request's id.
    #[serde(rename = "requestid")]
    pub request_id: &'a str,
    /// Nodes that were asked and did not reply.
    pub no_responses: &'a [String],
    /// Nodes that replied without being asked.
    pub unexpected_responses: &'a [String],
    /// How many nodes were asked.
    pub discovered: usize,
    /// Replies that report a failure.
    pub failed: usize,
    /// Replies that report success.
    pub ok: usize,
    /// Nodes that replied.
    pub responses: usize,
    /// Time to publish the request.
    #[serde(serialize_with = "as_nanos")]
    pub publish_time: Duration,
    /// Time from the start of publishing to the end.
    #[serde(serialize_with = "as_nanos")]
    pub request_time: Duration,
    /// Time of the discovery before.
    #[serde(serialize_with = "as_nanos")]
    pub discover_time: Duration,
    /// Wall clock at the start of the request.
    #[serde(rename = "start_time_utc", serialize_with = "as_utc")]
    pub start_time: Duration,
}

fn as_nanos<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

fn as_utc<S: Serializer>(unix: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339_utc(*unix))
}

/// What an action's DDL wants summed up over the good replies.
///
/// Serialises as the machine formats write `summaries`: an object with what came of each output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aggregates {
    outputs: BTreeMap<String, Aggregator>,
    problems: Vec<AggregateError>,
}

impl Aggregates {
    /// What the action wants summed up. Of two functions for one output the later one counts, as with peers.
    #[must_use]
    pub fn of(action: &Action) -> Self {
        let mut aggregates = Self::default();
        for aggregate in &action.aggregate {
            match Aggregator::new(aggregate) {
                Ok(aggregator) => {
                    let output = aggregator.output().to_owned();
                    aggregates.outputs.insert(output, aggregator);
                }
                Err(problem) => aggregates.problems.push(problem),
            }
        }
        aggregates
    }

    /// Whether nothing is summed up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// What the action wants and nobody can do, for a warning.
    #[must_use]
    pub fn problems(&self) -> &[AggregateError] {
        &self.problems
    }

    /// Adds a reply, if it is a good one. An output it does not have is not counted.
    pub fn add(&mut self, reply: &RpcReply<'_>) {
        if self.outputs.is_empty() || reply.statuscode != StatusCode::Ok {
            return;
        }
        // Data that is no object has no outputs; the reply itself is counted elsewhere.
        let Ok(Value::Object(data)) = serde_json::from_str(reply.data) else {
            return;
        };
        for (output, aggregator) in &mut self.outputs {
            if let Some(value) = data.get(output) {
                aggregator.add(value);
            }
        }
    }

    /// The outputs by name; [`Aggregator::result`] says what came of each.
    pub fn outputs(&self) -> impl Iterator<Item = (&str, &Aggregator)> {
        self.outputs
            .iter()
            .map(|(output, aggregator)| (output.as_str(), aggregator))
    }
}

impl Serialize for Aggregates {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.outputs.serialize(serializer)
    }
}
