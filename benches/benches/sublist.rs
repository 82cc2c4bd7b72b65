//! What does the sublist cost at a thousand, a hundred thousand and a million subscriptions?
//!
//! Three populations: `literal`, one subject for each subscription, as nodes have; `shared`, one
//! subject for all, as a broadcast has; `wildcard`, one `_INBOX.<id>.*` for each, as requesters have.
//! Building a population lies outside the timed part. Subjects are asked for in an order that strides
//! over the population, so that the large ones do not answer from the processor's caches.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use muster_broker_core::sublist::{Interest, MatchCache, Member, Sublist};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// Prime, and so coprime to all sizes.
const STRIDE: u32 = 7_919;
/// Subjects that a cache of the usual size can hold.
const HOT: u32 = 512;
const CACHE: usize = 4_096;

#[derive(Clone, Copy)]
enum Population {
    Literal,
    Shared,
    Wildcard,
}

impl Population {
    const ALL: [Self; 3] = [Self::Literal, Self::Shared, Self::Wildcard];

    fn name(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Shared => "shared",
            Self::Wildcard => "wildcard",
        }
    }

    fn filter(self, i: u32) -> String {
        match self {
            Self::Literal => format!("mcollective.node.host{i}.example.net"),
            Self::Shared => "mcollective.broadcast.agent.rpcutil".to_owned(),
            Self::Wildcard => format!("_INBOX.client{i}.*"),
        }
    }

    fn subject(self, i: u32) -> String {
        match self {
            Self::Literal | Self::Shared => self.filter(i),
            Self::Wildcard => format!("_INBOX.client{i}.4711"),
        }
    }

    fn build(self, size: u32) -> Sublist {
        let sublist = Sublist::new(1);
        for i in 0..size {
            sublist.insert(self.filter(i).as_bytes(), None, member(i));
        }
        sublist
    }

    /// The published subjects of a sample that strides over the population.
    fn subjects(self, size: u32, count: u32) -> Vec<String> {
        let strided = (0..count.min(size)).map(|i| i * (STRIDE % size) % size);
        strided.map(|i| self.subject(i)).collect()
    }
}

fn member(slot: u32) -> Member {
    Member {
        slot,
        generation: 0,
        sid: 1,
    }
}

/// Hands out the items in turn, for ever.
struct Turn<'a, T> {
    items: &'a [T],
    next: usize,
}

impl<'a, T> Turn<'a, T> {
    fn new(items: &'a [T]) -> Self {
        Self { items, next: 0 }
    }

    fn take(&mut self) -> &'a T {
        let item = &self.items[self.next];
        self.next = (self.next + 1) % self.items.len();
        item
    }
}

/// One subscription comes and goes again; the population stays.
fn insert_remove(c: &mut Criterion) {
    let mut group = c.benchmark_group("sublist/insert+remove");
    group.throughput(Throughput::Elements(1));
    for population in Population::ALL {
        for size in SIZES {
            let sublist = population.build(size);
            let new: Vec<String> = (0..1_000).map(|i| population.filter(size + i)).collect();
            let mut turn = Turn::new(&new);
            group.bench_function(BenchmarkId::new(population.name(), size), |b| {
                b.iter(|| {
                    let interest = sublist.insert(turn.take().as_bytes(), None, member(size));
                    black_box(sublist.remove(&interest, member(size)))
                });
            });
        }
    }
}

/// A match without a cache, over more subjects than one would hold.
fn match_uncached(c: &mut Criterion) {
    let mut group = c.benchmark_group("sublist/match");
    group.throughput(Throughput::Elements(1));
    for population in Population::ALL {
        for size in SIZES {
            let sublist = population.build(size);
            let subjects = population.subjects(size, 50_000);
            let mut turn = Turn::new(&subjects);
            group.bench_function(BenchmarkId::new(population.name(), size), |b| {
                b.iter(|| black_box(sublist.matches(turn.take().as_bytes())));
            });
        }
    }
}

/// A match that the cache answers.
fn match_cached(c: &mut Criterion) {
    let mut group = c.benchmark_group("sublist/match_cached");
    group.throughput(Throughput::Elements(1));
    for population in Population::ALL {
        for size in SIZES {
            let sublist = population.build(size);
            let subjects = population.subjects(size, HOT);
            let mut cache = MatchCache::new(CACHE, 1);
            for subject in subjects.iter().chain(&subjects) {
                cache.matches(&sublist, subject.as_bytes());
            }
            let mut turn = Turn::new(&subjects);
            group.bench_function(BenchmarkId::new(population.name(), size), |b| {
                b.iter(|| black_box(cache.matches(&sublist, turn.take().as_bytes())));
            });
        }
    }
}

/// A match while others come and go: before each, an inbox takes the place of an older one. With the
/// cache, this shows that strangers' inboxes leave the hot subjects in it.
fn match_under_churn(c: &mut Criterion) {
    let mut group = c.benchmark_group("sublist/match_under_churn");
    group.throughput(Throughput::Elements(1));
    for cached in [false, true] {
        for size in SIZES {
            let sublist = Population::Literal.build(size);
            let subjects = Population::Literal.subjects(size, HOT);
            let inboxes: Vec<String> = (0..10_000)
                .map(|i| Population::Wildcard.filter(i))
                .collect();
            let mut inbox = Turn::new(&inboxes);
            let mut live: Vec<Interest> = (0..100)
                .map(|_| sublist.insert(inbox.take().as_bytes(), None, member(0)))
                .collect();
            let mut oldest = 0;
            let mut cache = MatchCache::new(CACHE, 1);
            let mut turn = Turn::new(&subjects);
            let name = if cached { "cached" } else { "uncached" };
            group.bench_function(BenchmarkId::new(name, size), |b| {
                b.iter(|| {
                    let new = sublist.insert(inbox.take().as_bytes(), None, member(0));
                    let old = std::mem::replace(&mut live[oldest], new);
                    sublist.remove(&old, member(0));
                    oldest = (oldest + 1) % live.len();
                    let subject = turn.take().as_bytes();
                    black_box(if cached {
                        cache.matches(&sublist, subject)
                    } else {
                        sublist.matches(subject)
                    })
                });
            });
        }
    }
}

/// A match of a broadcast while its members come and go: each one after a change copies the chunk
/// that the last snapshot still shares.
fn shared_under_churn(c: &mut Criterion) {
    let mut group = c.benchmark_group("sublist/shared_under_churn");
    group.throughput(Throughput::Elements(1));
    for size in SIZES {
        let sublist = Population::Shared.build(size);
        let subject = Population::Shared.subject(0);
        let interest = sublist.insert(subject.as_bytes(), None, member(size));
        let mut cache = MatchCache::new(CACHE, 1);
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                at = (at + STRIDE) % size;
                sublist.remove(&interest, member(at));
                black_box(cache.matches(&sublist, subject.as_bytes()));
                sublist.insert(subject.as_bytes(), None, member(at));
                black_box(cache.matches(&sublist, subject.as_bytes()))
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1));
    targets = insert_remove, match_uncached, match_cached, match_under_churn, shared_under_churn
}
criterion_main!(benches);
