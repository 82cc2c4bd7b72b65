//! The figures of all adapters in Prometheus' text format.
//!
//! The `choria_adapter_*` series are those of the adapters of today, with their labels, so that dashboards go on; what they
//! do not tell has `muster_adapter_*` names. Today's adapters have a series for each of their workers; here the workers
//! of an adapter share one, numbered 0.

use std::fmt::Write as _;

use crate::counters::{Count, DropReason, Side};
use crate::daemon::Running;

/// Appends the figures.
pub(crate) fn render(adapters: &[Running], identity: &str, out: &mut String) {
    let identity = escape(identity);
    type Figure = fn(&Side) -> &Count;
    let sides: [(&str, &str, Figure); 4] = [
        ("received_msgs", "Messages handled by an adapter.", |side| {
            &side.messages
        }),
        (
            "published_msgs",
            "Messages published by an adapter.",
            |side| &side.messages,
        ),
        ("errors", "Messages an adapter gave up.", |side| {
            &side.errors
        }),
        ("bytes", "Bytes an adapter handled.", |side| &side.bytes),
    ];
    for (name, help, figure) in sides {
        head(out, &format!("choria_adapter_{name}"), "counter", help);
        for adapter in adapters {
            let counters = &adapter.counters;
            for (role, side) in [("input", &counters.input), ("output", &counters.output)] {
                if name == "published_msgs" && role == "input" {
                    continue;
                }
                let (adapter, value) = (escape(&adapter.name), figure(side).get());
                let _ = writeln!(
                    out,
                    "choria_adapter_{name}{{name=\"{adapter}.0\",role=\"{role}\",identity=\"{identity}\"}} {value}"
                );
            }
        }
    }
    times(adapters, &identity, out);
    queues(adapters, &identity, out);
    own(adapters, out);
}

fn times(adapters: &[Running], identity: &str, out: &mut String) {
    head(
        out,
        "choria_adapter_time",
        "summary",
        "Time spent on messages, in seconds.",
    );
    for adapter in adapters {
        let counters = &adapter.counters;
        for (role, side) in [("input", &counters.input), ("output", &counters.output)] {
            let labels = format!(
                "{{name=\"{}.0\",role=\"{role}\",identity=\"{identity}\"}}",
                escape(&adapter.name)
            );
            let seconds = std::time::Duration::from_nanos(side.nanos.get()).as_secs_f64();
            let _ = writeln!(out, "choria_adapter_time_sum{labels} {seconds}");
            let _ = writeln!(
                out,
                "choria_adapter_time_count{labels} {}",
                side.timed.get()
            );
        }
    }
}

fn queues(adapters: &[Running], identity: &str, out: &mut String) {
    type Figure = fn(&Running) -> usize;
    let figures: [(&str, &str, Figure); 2] = [
        ("queue_length", "Messages in the queue.", |adapter| {
            adapter.queue_length()
        }),
        ("queue_capacity", "Messages the queue holds.", |adapter| {
            adapter.queue_capacity
        }),
    ];
    for (name, help, figure) in figures {
        head(out, &format!("choria_adapter_{name}"), "gauge", help);
        for adapter in adapters {
            let (adapter, value) = (escape(&adapter.name), figure(adapter));
            let _ = writeln!(
                out,
                "choria_adapter_{name}{{name=\"{adapter}\",identity=\"{identity}\"}} {value}"
            );
        }
    }
}

fn own(adapters: &[Running], out: &mut String) {
    type Figure = fn(&Running) -> u64;
    let figures: [(&str, &str, Figure); 9] = [
        ("received_total", "Messages that came.", |a| {
            a.counters.received.get()
        }),
        ("filtered_total", "Messages the filter kept out.", |a| {
            a.counters.filtered.get()
        }),
        ("unchanged_total", "Messages the limiter held back.", |a| {
            a.counters.unchanged.get()
        }),
        (
            "taken_total",
            "Messages in the queue or safe on disk.",
            |a| a.counters.taken.get(),
        ),
        ("stored_total", "Messages the sink has.", |a| {
            a.counters.stored.get()
        }),
        ("duplicates_total", "Messages the sink had already.", |a| {
            a.counters.duplicates.get()
        }),
        (
            "retries_total",
            "Attempts that had to be made again.",
            |a| a.counters.retries.get(),
        ),
        ("spill_waiting", "Messages in the spill.", |a| {
            a.spill.as_ref().map_or(0, |s| s.waiting())
        }),
        ("spill_bytes", "Bytes of the spill on disk.", |a| {
            a.spill.as_ref().map_or(0, |s| s.bytes())
        }),
    ];
    for (name, help, figure) in figures {
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        head(out, &format!("muster_adapter_{name}"), kind, help);
        for adapter in adapters {
            let (adapter, value) = (escape(&adapter.name), figure(adapter));
            let _ = writeln!(out, "muster_adapter_{name}{{name=\"{adapter}\"}} {value}");
        }
    }
    let help = "Messages given up, by reason.";
    head(out, "muster_adapter_dropped_total", "counter", help);
    for adapter in adapters {
        for reason in DropReason::ALL {
            let mut value = adapter.counters.dropped(reason);
            if reason == DropReason::Damaged {
                value += adapter.spill.as_ref().map_or(0, |spill| spill.damaged());
            }
            let (adapter, reason) = (escape(&adapter.name), reason.name());
            let _ = writeln!(
                out,
                "muster_adapter_dropped_total{{name=\"{adapter}\",reason=\"{reason}\"}} {value}"
            );
        }
    }
}

pub(crate) fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
