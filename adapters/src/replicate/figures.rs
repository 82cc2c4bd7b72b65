//! The figures of replicators, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::counters::Count;
use crate::metrics::{escape, head};

/// The figures of one stream.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) received: Count,
    pub(super) received_bytes: Count,
    pub(super) copied: Count,
    pub(super) copied_bytes: Count,
    pub(super) failed: Count,
    pub(super) skipped: Count,
    pub(super) too_old: Count,
    pub(super) sequence: AtomicU64,
    pub(super) seen: AtomicU64,
    pub(super) advisories: [Count; 4],
    pub(super) advisories_lost: Count,
}

/// One stream's name and figures.
pub(super) type Named = (String, String, Arc<Figures>);

pub(super) fn render(streams: &[Named], replicator: &str, out: &mut String) {
    type Figure = fn(&Figures) -> u64;
    let figures: [(&str, &str, &str, Figure); 14] = [
        ("received_msgs", "counter", "Messages read.", |f| {
            f.received.get()
        }),
        ("received_bytes", "counter", "Bytes read.", |f| {
            f.received_bytes.get()
        }),
        ("copied_msgs", "counter", "Messages copied.", |f| {
            f.copied.get()
        }),
        ("copied_bytes", "counter", "Bytes copied.", |f| {
            f.copied_bytes.get()
        }),
        ("failed_msgs", "counter", "Copies to be made again.", |f| {
            f.failed.get()
        }),
        ("skipped_msgs", "counter", "Messages held back.", |f| {
            f.skipped.get()
        }),
        (
            "too_old_msgs",
            "counter",
            "Messages that were too old.",
            |f| f.too_old.get(),
        ),
        (
            "current_sequence",
            "gauge",
            "The latest message read.",
            |f| f.sequence.load(Ordering::Relaxed),
        ),
        ("limiter_memory_seen", "gauge", "Values known.", |f| {
            f.seen.load(Ordering::Relaxed)
        }),
        ("advisories_new", "counter", "Values seen first.", |f| {
            f.advisories[0].get()
        }),
        ("advisories_timeout", "counter", "Values missed.", |f| {
            f.advisories[1].get()
        }),
        ("advisories_recover", "counter", "Values back.", |f| {
            f.advisories[2].get()
        }),
        ("advisories_expire", "counter", "Values forgotten.", |f| {
            f.advisories[3].get()
        }),
        (
            "advisories_errors",
            "counter",
            "Advisories given up.",
            |f| f.advisories_lost.get(),
        ),
    ];
    for (name, kind, help, figure) in figures {
        head(out, &format!("choria_stream_replicator_{name}"), kind, help);
        for (worker, stream, values) in streams {
            let (worker, stream, replicator) = (escape(worker), escape(stream), escape(replicator));
            let _ = writeln!(
                out,
                "choria_stream_replicator_{name}{{stream=\"{stream}\",replicator=\"{replicator}\",name=\"{worker}\"}} {}",
                figure(values)
            );
        }
    }
}
