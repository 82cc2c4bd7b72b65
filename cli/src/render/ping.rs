//! `ping`: who is there, and how long each takes.

use std::time::Duration;

use serde::Serialize;

use super::duration::millis;
use super::plot;
use super::text::one_line;

/// The time one point of the graph stands for.
const BUCKET_MS: u128 = 50;
/// Points at most: replies after more than eight minutes are drawn at the end.
const BUCKETS_MAX: usize = 10_000;

/// Times of all replies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    replies: Vec<(String, Duration)>,
    /// From the start of the program to the request.
    pub(crate) overhead: Duration,
}

#[derive(Serialize)]
struct Document<'a> {
    replies: Vec<Reply<'a>>,
    no_responses: &'a [String],
    stats: Stats,
}

#[derive(Serialize)]
struct Reply<'a> {
    sender: &'a str,
    time_ms: f64,
}

#[derive(Serialize)]
struct Stats {
    replies: usize,
    max_ms: f64,
    min_ms: f64,
    avg_ms: f64,
    overhead_ms: f64,
}

/// One node's line.
pub(crate) fn line(sender: &str, time: Duration) -> String {
    format!("{:<40} time={} ms\n", one_line(sender), millis(time))
}

impl Times {
    pub(crate) fn add(&mut self, sender: &str, time: Duration) {
        self.replies.push((sender.to_owned(), time));
    }

    pub(crate) fn len(&self) -> usize {
        self.replies.len()
    }

    /// The lines below all nodes.
    pub(crate) fn statistics(&self) -> String {
        let Some((max, min, avg)) = self.extremes() else {
            return "\n\n---- ping statistics ----\nno responses received\n".to_owned();
        };
        let (replies, overhead) = (self.len(), self.overhead);
        let [max, min, avg, overhead] = [max, min, avg, overhead].map(millis);
        format!(
            "\n\n---- ping statistics ----\n{replies} replies max: {max}ms min: {min}ms avg: {avg}ms overhead: {overhead}ms\n"
        )
    }

    /// How many replies came in each 50 ms, as a line.
    pub(crate) fn graph(&self) -> String {
        let mut buckets = Vec::new();
        for (_, time) in &self.replies {
            let bucket = usize::try_from(time.as_millis() / BUCKET_MS).unwrap_or(usize::MAX);
            let bucket = bucket.min(BUCKETS_MAX - 1);
            if bucket >= buckets.len() {
                buckets.resize(bucket + 1, 0.0);
            }
            buckets[bucket] += 1.0;
        }
        format!(
            "\n{}\n",
            plot::draw(&buckets, &format!("Responses per {BUCKET_MS}ms"))
        )
    }

    /// Everything for machines.
    pub(crate) fn json(&self, no_responses: &[String]) -> String {
        let (max, min, avg) = self.extremes().unwrap_or_default();
        // Microseconds are exact as whole numbers; more digits would be noise.
        let in_ms = |time: Duration| time.as_micros() as f64 / 1000.0;
        let replies = self.replies.iter();
        let replies = replies.map(|(sender, time)| Reply {
            sender,
            time_ms: in_ms(*time),
        });
        let document = Document {
            replies: replies.collect(),
            no_responses,
            stats: Stats {
                replies: self.len(),
                max_ms: in_ms(max),
                min_ms: in_ms(min),
                avg_ms: in_ms(avg),
                overhead_ms: in_ms(self.overhead),
            },
        };
        super::rpc_json::pretty(&document)
    }

    fn extremes(&self) -> Option<(Duration, Duration, Duration)> {
        let times = self.replies.iter().map(|(_, time)| *time);
        let (max, min) = (times.clone().max()?, times.clone().min()?);
        let count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        Some((max, min, times.sum::<Duration>() / count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Times {
        let mut times = Times {
            overhead: Duration::from_micros(12_400),
            ..Times::default()
        };
        for (sender, micros) in [
            ("n1.example.net", 20_118),
            ("n2.example.net", 24_020),
            ("n3.example.net", 130_000),
        ] {
            times.add(sender, Duration::from_micros(micros));
        }
        times
    }

    #[test]
    fn nodes_and_statistics() {
        let times = sample();
        let lines: String = times
            .replies
            .iter()
            .map(|(sender, time)| line(sender, *time))
            .collect();
        insta::assert_snapshot!(lines + &times.statistics());
    }

    #[test]
    fn nobody_there() {
        insta::assert_snapshot!(Times::default().statistics());
    }

    #[test]
    fn graph() {
        insta::assert_snapshot!(sample().graph());
    }

    #[test]
    fn for_machines() {
        insta::assert_snapshot!(sample().json(&["gone.example.net".to_owned()]));
    }
}
