//! `/subsz`: subscriptions of all accounts or of one, and the figures of sublist and caches.
//!
//! The sublist says who subscribes to what, in the order of subjects; what only the connection knows (cid, the sid as
//! the client wrote it, messages delivered) its shard adds, some thousand subscriptions at a time.
//! A subscription that ends between the two is left out.

use std::sync::Arc;

use muster_broker_core::account::Account;
use muster_broker_core::counters::CacheFigures;
use muster_broker_core::ids::Cid;
use muster_broker_core::shard::{ShardCore, SubInfo};
use muster_broker_core::sublist::{Member, SublistStats};
use muster_wire::subject;
use serde::Serialize;

use super::connz::SubDetail;
use super::format::rfc3339;
use super::params::{Page, ParamError, Params};
use super::{Moment, heard};
use crate::Broker;

/// Members that a shard looks up at a time: a millisecond at the most.
const LOOKED_UP_AT_ONCE: usize = 4096;

#[derive(Debug, Serialize)]
pub(super) struct Subsz {
    server_id: String,
    now: String,
    num_subscriptions: u64,
    num_cache: usize,
    num_inserts: u64,
    num_removes: u64,
    num_matches: u64,
    cache_hit_rate: f64,
    max_fanout: usize,
    avg_fanout: f64,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_list: Option<Vec<SubDetail>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    muster_silent_shards: Vec<usize>,
}

pub(super) fn subsz(broker: &Broker, params: Params<'_>) -> Result<Subsz, ParamError> {
    let wanted = params.bool("subs")?;
    let page = params.page()?;
    let test = params.text("test");
    if let Some(test) = test.filter(|test| !subject::is_valid_publish(test.as_bytes())) {
        return Err(ParamError::TestSubject(test.to_owned()));
    }
    let core = broker.core();
    let acc = params.text("acc");
    let accounts: Vec<&Account> = core
        .accounts()
        .iter()
        .filter(|account| acc.is_none_or(|acc| *account.name == *acc))
        .collect();
    let stats = accounts
        .iter()
        .fold(SublistStats::default(), |sum, account| {
            let stats = account.sublist.stats();
            SublistStats {
                subscriptions: sum.subscriptions + stats.subscriptions,
                inserts: sum.inserts + stats.inserts,
                removes: sum.removes + stats.removes,
                ..sum
            }
        });
    let (caches, mut silent) = heard(broker.ask(|core: &ShardCore, _| core.cache_figures()));
    let list = wanted.then(|| list(broker, &accounts, page, test, &mut silent));
    let caches = caches
        .into_iter()
        .fold(CacheFigures::default(), |sum, cache| CacheFigures {
            subjects: sum.subjects + cache.subjects,
            fanout_max: sum.fanout_max.max(cache.fanout_max),
            fanout_sum: sum.fanout_sum + cache.fanout_sum,
        });
    let counters = core.counters();
    let looked_up = counters.cache_hits + counters.cache_misses;
    Ok(Subsz {
        server_id: core.config.info.server_id.clone(),
        now: rfc3339(Moment::of(broker).unix),
        num_subscriptions: stats.subscriptions,
        num_cache: caches.subjects,
        num_inserts: stats.inserts,
        num_removes: stats.removes,
        num_matches: looked_up,
        cache_hit_rate: ratio(counters.cache_hits, looked_up),
        max_fanout: caches.fanout_max,
        avg_fanout: ratio(count(caches.fanout_sum), count(caches.subjects)),
        total: list.as_ref().map_or(0, Vec::len),
        offset: page.offset,
        limit: page.limit,
        subscriptions_list: list,
        muster_silent_shards: silent,
    })
}

/// The page of subscriptions, those that `test` would reach if it is given.
fn list(
    broker: &Broker,
    accounts: &[&Account],
    page: Page,
    test: Option<&str>,
    silent: &mut Vec<usize>,
) -> Vec<SubDetail> {
    let (mut skip, mut left) = (page.offset, page.limit);
    let mut found = Vec::new();
    for account in accounts {
        let mut members = Vec::new();
        // The sublist counts every member it shows, so it can page only where none is passed over.
        let most = if test.is_some() {
            usize::MAX
        } else {
            skip.saturating_add(left)
        };
        account.sublist.for_each(0, most, &mut |filter, _, member| {
            let reached = test.is_none_or(|test| subject::matches(filter, test.as_bytes()));
            if !reached || left == 0 {
                return;
            }
            if skip > 0 {
                skip -= 1;
            } else {
                left -= 1;
                members.push(member);
            }
        });
        for members in members.chunks(LOOKED_UP_AT_ONCE) {
            let subs = look_up(broker, members, silent);
            found.extend(
                subs.into_iter()
                    .map(|(cid, sub)| SubDetail::new(&account.name, cid.0, sub)),
            );
        }
    }
    found
}

/// Asks the shards for what members stand for; the order stays.
fn look_up(broker: &Broker, members: &[Member], silent: &mut Vec<usize>) -> Vec<(Cid, SubInfo)> {
    let members: Arc<[Member]> = members.into();
    let (parts, unheard) = heard(broker.ask(move |core, _| {
        let placed = members.iter().enumerate();
        let own = placed.filter_map(|(place, member)| Some((place, core.subscription(*member)?)));
        own.collect::<Vec<_>>()
    }));
    silent.extend(unheard);
    silent.sort_unstable();
    silent.dedup();
    let mut found: Vec<(usize, (Cid, SubInfo))> = parts.into_iter().flatten().collect();
    found.sort_unstable_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, sub)| sub).collect()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
