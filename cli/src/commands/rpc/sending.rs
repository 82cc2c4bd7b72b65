//! How a request is sent: to how many nodes, in which portions, and where the replies go.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use muster_client::fleet::{Batch, Limit, LimitMethod, NodeReply, ReplyFilter, Results};
use muster_protocol::expr;
use muster_reactor::clock::random_seed;

use super::super::ask::Targets;
use crate::connection::seconds;
use crate::exit::Failure;

/// The wait between batches where none is given.
const BATCH_SLEEP: Duration = Duration::from_secs(1);

/// How a request is sent.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Request")]
pub(super) struct SendingArgs {
    /// Ask so many of the nodes, or that share of them.
    #[arg(long, visible_aliases = ["ln", "limit-nodes"], value_name = "N|N%", value_parser = limit)]
    limit: Option<Limit>,
    /// Ask one of the nodes.
    #[arg(short = '1', long, conflicts_with = "limit")]
    one: bool,
    /// Choose the nodes of a limit at random, the same ones for the same seed.
    #[arg(long, value_name = "SEED")]
    limit_seed: Option<u64>,
    /// Ask the nodes in batches of so many, or of that share of them.
    #[arg(long, value_name = "N|N%", value_parser = limit)]
    batch: Option<Limit>,
    /// Seconds between batches; 1 unless given.
    #[arg(long, visible_alias = "batch-sleep-time", value_name = "SECONDS", value_parser = seconds, requires = "batch")]
    batch_sleep: Option<Duration>,
    /// Show and sum up only replies for which an expression is true, such as: ok() and data('load') > 2.
    #[arg(long, value_name = "EXPRESSION")]
    filter_replies: Option<String>,
    /// Let the replies go to this subject; the request's id is printed.
    #[arg(short, long, value_name = "SUBJECT", conflicts_with = "filter_replies")]
    reply_to: Option<String>,
    /// Wait for no replies; the request's id is printed.
    #[arg(long, visible_alias = "nr", conflicts_with_all = ["reply_to", "filter_replies"])]
    no_results: bool,
    /// Without effect: one connection is enough.
    #[arg(long, hide = true, value_name = "N")]
    workers: Option<u32>,
}

/// A filter of replies that remembers which it could not judge.
#[derive(Clone)]
pub(super) struct Judge {
    expression: Arc<expr::ReplyFilter>,
    unjudged: Arc<Mutex<Unjudged>>,
}

#[derive(Default)]
struct Unjudged {
    count: usize,
    first: String,
}

impl SendingArgs {
    /// Whether nobody here hears the replies.
    pub(super) fn is_unheard(&self) -> bool {
        self.no_results || self.reply_to.is_some()
    }

    /// Whether the nodes must be known by name.
    pub(super) fn needs_names(&self) -> bool {
        self.limit.is_some() || self.one || self.batch.is_some()
    }

    pub(super) fn results(&self) -> Results {
        match &self.reply_to {
            Some(subject) => Results::SendTo(subject.clone()),
            None if self.no_results => Results::Discard,
            None => Results::Collect,
        }
    }

    /// A request that nobody watches does not go to the whole fleet by an oversight.
    pub(super) fn check(&self, targets: &Targets) -> Result<(), Failure> {
        let is_for_all = targets.is_broadcast() && targets.filter.is_empty();
        if self.is_unheard() && !self.needs_names() && is_for_all {
            return Err(Failure::new(
                "a request without replies needs a filter; -I /./ means every node",
            ));
        }
        Ok(())
    }

    /// The nodes within the limit.
    pub(super) fn limit(
        &self,
        names: Vec<String>,
        is_random: bool,
    ) -> Result<Vec<String>, Failure> {
        let limit = match self.limit {
            Some(limit) => limit,
            None if self.one => Limit::Count(1),
            None => return Ok(names),
        };
        let method = match self.limit_seed {
            Some(seed) => LimitMethod::Random { seed },
            None if is_random => LimitMethod::Random {
                seed: random_seed(),
            },
            None => LimitMethod::First,
        };
        limit.apply(names, method).map_err(Failure::new)
    }

    /// The batches of so many nodes; a share of them is rounded up, so that no batch is empty.
    pub(super) fn batch(&self, nodes: usize) -> Result<Option<Batch>, Failure> {
        let size = match self.batch {
            None => return Ok(None),
            Some(Limit::Count(count)) => count,
            Some(Limit::Percent(percent)) => nodes.saturating_mul(percent.into()).div_ceil(100),
        };
        Ok(Some(Batch {
            size: NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN),
            sleep: self.batch_sleep.unwrap_or(BATCH_SLEEP),
        }))
    }

    /// The filter of replies.
    pub(super) fn judge(&self) -> Result<Option<Judge>, Failure> {
        let Some(text) = &self.filter_replies else {
            return Ok(None);
        };
        let expression = expr::ReplyFilter::parse(text)
            .map_err(|error| Failure::new(format!("--filter-replies {text:?}: {error}")))?;
        Ok(Some(Judge {
            expression: Arc::new(expression),
            unjudged: Arc::default(),
        }))
    }
}

impl Judge {
    /// The filter for a request.
    pub(super) fn filter(&self) -> ReplyFilter {
        let judge = self.clone();
        ReplyFilter::new(move |reply| judge.lets_through(reply))
    }

    fn lets_through(&self, reply: &NodeReply) -> bool {
        // A body of no RPC agent has nothing to judge by; it counts as failed, and is not hidden.
        let Ok(body) = reply.rpc() else { return true };
        let judged = self.expression.matches(&body, &reply.sender, reply.time);
        judged.unwrap_or_else(|error| {
            let mut unjudged = self.unjudged();
            if unjudged.count == 0 {
                unjudged.first = format!("{}: {error}", reply.sender);
            }
            unjudged.count += 1;
            false
        })
    }

    fn unjudged(&self) -> MutexGuard<'_, Unjudged> {
        self.unjudged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which replies could not be judged, on the standard error.
    pub(super) fn report(&self) {
        let unjudged = self.unjudged();
        if unjudged.count > 0 {
            let Unjudged { count, first } = &*unjudged;
            eprintln!("warning: --filter-replies could not judge {count} replies; of {first}");
        }
    }
}

fn limit(text: &str) -> Result<Limit, String> {
    Limit::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sending: SendingArgs,
    }

    fn sending(words: &[&str]) -> SendingArgs {
        let words = ["x"].iter().chain(words);
        Line::try_parse_from(words).unwrap().sending
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("n{number}")).collect()
    }

    #[test]
    fn limits_are_numbers_or_shares() {
        let limited = |words: &[&str]| sending(words).limit(names(10), false).unwrap().len();
        assert_eq!(limited(&[]), 10);
        for words in [&["--limit", "1"][..], &["--ln", "10%"], &["-1"], &["--one"]] {
            assert_eq!(limited(words), 1, "{words:?}");
        }
        let nobody = sending(&["--limit", "5%"]).limit(names(10), false);
        assert!(nobody.unwrap_err().to_string().contains("5%"));
    }

    #[test]
    fn a_seed_chooses_the_same_nodes() {
        let chosen = |seed| {
            let sending = sending(&["--limit", "5", "--limit-seed", seed]);
            sending.limit(names(50), false).unwrap()
        };
        assert_eq!(chosen("1"), chosen("1"));
        assert_ne!(chosen("1"), chosen("2"));
    }

    #[test]
    fn batches_are_never_empty() {
        let batch = |words: &[&str]| sending(words).batch(30).unwrap();
        assert_eq!(batch(&[]), None);
        let of = |size, sleep| {
            Some(Batch {
                size: NonZeroUsize::new(size).unwrap(),
                sleep: Duration::from_secs(sleep),
            })
        };
        assert_eq!(batch(&["--batch", "10"]), of(10, 1));
        assert_eq!(
            batch(&["--batch", "1%", "--batch-sleep-time", "5"]),
            of(1, 5)
        );
    }

    #[test]
    fn what_cannot_be_judged_is_held_back_and_remembered() {
        let judge = |text: &str| {
            let judge = sending(&["--filter-replies", text]).judge();
            judge.unwrap().unwrap()
        };
        let replies = samples::fact_replies();
        let shown = |judge: &Judge| -> Vec<usize> {
            let replies = replies.iter().enumerate();
            let shown = replies.filter(|(_, reply)| judge.lets_through(reply));
            shown.map(|(number, _)| number).collect()
        };
        // The last of the samples has no body of an RPC agent.
        assert_eq!(shown(&judge("ok() && data('value') == 'c1'")), [0, 6]);
        assert_eq!(shown(&judge("aborted()")), [1, 6]);
        let odd = judge("data('value') > 1");
        assert_eq!(shown(&odd), [6]);
        assert!(odd.unjudged().count >= 2 && odd.unjudged().first.starts_with("node1"));
        let broken = sending(&["--filter-replies", "ok("]).judge();
        assert!(broken.is_err());
    }
}
