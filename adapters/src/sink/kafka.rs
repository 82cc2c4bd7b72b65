//! The sink for Kafka, by librdkafka: no thread of an async runtime, only those of the library.
//!
//! Every message is keyed by its sender, so that what one node says keeps its order within a partition, and carries its id
//! in the header `muster-id`, by which a consumer can tell what came twice. The producer is idempotent: its own retries
//! double nothing. What is sent again by us, after the library gave up or a restart, may be there twice.
//!
//! Settings are the library's own, passed through: `security.protocol`, `sasl.mechanisms`, `ssl.ca.location` and so on.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;

use super::{Outcome, Sink};
use crate::item::Item;

/// How long messages that were given up may take to be reported so.
const PURGE_MAX: Duration = Duration::from_secs(2);

/// The sink.
pub struct Kafka {
    producer: ThreadedProducer<Reports, NoCustomPartitioner>,
    reports: Receiver<Report>,
    batches: u64,
}

/// What became of a message: its batch, its place in it.
struct Report {
    batch: u64,
    place: usize,
    outcome: Outcome,
}

/// Takes the library's delivery reports, on a thread of the library.
struct Reports(Sender<Report>);

impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka").finish_non_exhaustive()
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("kafka: {error}: {reason}");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<(u64, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let (batch, place) = *opaque;
        let outcome = match result {
            Ok(_) => Outcome::Stored,
            Err((error, _)) => failure(error),
        };
        // Where nobody listens any more, nobody wants to know.
        let _ = self.0.send(Report {
            batch,
            place,
            outcome,
        });
    }
}

impl Kafka {
    /// A sink with the library's settings over ours; `timeout` is how long it may try.
    ///
    /// # Errors
    /// The library refuses a setting, in its words.
    pub fn new(settings: &[(String, String)], timeout: Duration) -> Result<Self, String> {
        let mut config = ClientConfig::new();
        let timeout = timeout.as_millis().to_string();
        config
            .set("client.id", "muster")
            .set("enable.idempotence", "true")
            .set("compression.type", "zstd")
            .set("linger.ms", "5")
            .set("delivery.timeout.ms", &timeout);
        for (key, value) in settings {
            config.set(key, value);
        }
        let (sender, reports) = channel();
        let producer = config.create_with_context(Reports(sender));
        Ok(Self {
            producer: producer.map_err(|error| error.to_string())?,
            reports,
            batches: 0,
        })
    }

    fn send(&self, item: &Item, place: usize) -> Option<Outcome> {
        let id = item.id.to_string();
        let header = Header {
            key: "muster-id",
            value: Some(&id),
        };
        let record = BaseRecord::with_opaque_to(&item.subject, Box::new((self.batches, place)))
            .key(&*item.sender)
            .payload(&*item.envelope)
            .headers(OwnedHeaders::new().insert(header));
        self.producer
            .send(record)
            .err()
            .map(|(error, _)| failure(&error))
    }

    fn collect(&self, found: &mut [Option<Outcome>], until: Instant) {
        let mut missing = found.iter().filter(|outcome| outcome.is_none()).count();
        while missing > 0 {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(report) = self.reports.recv_timeout(left) else {
                return;
            };
            if report.batch == self.batches
                && let Some(outcome @ None) = found.get_mut(report.place)
            {
                *outcome = Some(report.outcome);
                missing -= 1;
            }
        }
    }
}

impl Sink for Kafka {
    fn store(
        &mut self,
        batch: &[Item],
        limit: Duration,
        outcomes: &mut Vec<Outcome>,
    ) -> io::Result<()> {
        self.batches += 1;
        let sends = batch.iter().enumerate();
        let mut found: Vec<_> = sends.map(|(place, item)| self.send(item, place)).collect();
        // The library gives up by itself within the limit; a little later it must have said so.
        self.collect(&mut found, Instant::now() + limit + limit / 2);
        if found.contains(&None) {
            self.producer
                .purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
            self.collect(&mut found, Instant::now() + PURGE_MAX);
        }
        let unanswered = || Outcome::Retry("no delivery report in time".into());
        outcomes.extend(
            found
                .into_iter()
                .map(|found| found.unwrap_or_else(unanswered)),
        );
        Ok(())
    }

    fn idle(&mut self, wait: Duration) -> io::Result<()> {
        // The library keeps its connections by itself; the caller counts on the time to pass.
        std::thread::park_timeout(wait);
        Ok(())
    }
}

/// What a refusal means for a message.
fn failure(error: &KafkaError) -> Outcome {
    let text = error.to_string().into();
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidRecord,
        ) => Outcome::Rejected(text),
        _ => Outcome::Retry(text),
    }
}
