//! Figures of one shard, published for monitoring without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one shard since its start, kept by the shard alone.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// A shard's counts as it last published them; any thread may read.
        #[derive(Debug, Default)]
        pub struct PublishedCounters {
            $($name: AtomicU64,)*
        }

        impl PublishedCounters {
            pub(crate) fn publish(&self, counters: &Counters) {
                $(self.$name.store(counters.$name, Ordering::Relaxed);)*
            }

            /// The figures as last published.
            #[must_use]
            pub fn read(&self) -> Counters {
                Counters { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }

        impl Counters {
            /// The sum of two shards' figures.
            #[must_use]
            pub fn plus(self, other: Self) -> Self {
                Self { $($name: self.$name + other.$name,)* }
            }
        }
    };
}

counters! {
    /// Connections open now.
    connections,
    /// Connections accepted in all.
    connections_total,
    /// Connections refused because the broker is full.
    connections_refused,
    /// Messages that came in.
    in_msgs,
    /// Their bytes, headers and payload.
    in_bytes,
    /// Messages appended to outbound queues by this shard.
    out_msgs,
    /// Their bytes, headers and payload.
    out_bytes,
    /// Messages that reached nobody.
    unheard_msgs,
    /// Deliveries given up because the receiver was being cut.
    dropped_msgs,
    /// No-responders messages sent.
    no_responders,
    /// Connections cut because too many bytes waited for them.
    slow_consumers_pending,
    /// Connections cut because they took nothing for the write deadline.
    slow_consumers_deadline,
    /// Connections that left our keep-alives unanswered.
    stale_connections,
    /// Publishers held back until their one receiver had drained.
    held_publishers,
    /// Microseconds publishers were held back in all.
    held_us,
    /// Publishers stalled for a moment because one of several receivers was behind.
    stalled_publishers,
    /// Publishes that were delivered in more than one slice.
    sliced_fanouts,
    /// Connections closed for a breach of the protocol.
    protocol_errors,
    /// Connections closed because credentials were missing, wrong or late.
    auth_failures,
    /// Connections closed because what they were let in for came to its end.
    auth_expired,
    /// Publishes refused for want of permission.
    denied_publishes,
    /// Subscriptions refused for want of permission.
    denied_subscriptions,
    /// Deliveries left out because the receiver may not have messages on their subject.
    denied_deliveries,
    /// TLS handshakes that failed or were late.
    tls_failures,
    /// Routes open now, with those whose handshake is not done.
    routes,
    /// Routes that were registered in all.
    routes_total,
    /// Routes cut because too much waited for them.
    routes_cut,
    /// Messages taken from routes.
    route_in_msgs,
    /// Their bytes.
    route_in_bytes,
    /// Messages appended to routes.
    route_out_msgs,
    /// Their bytes.
    route_out_bytes,
    /// Operations of peers that named an account this broker does not have.
    route_unknown_account,
    /// Subjects of peers that are none.
    route_invalid_subjects,
    /// Messages of peers for a queue group of which nobody was left here or elsewhere.
    route_unserved_queues,
    /// Messages of peers that were sent on to another member of their queue group's, because nobody was left here.
    route_bounced_queues,
    /// Match cache hits.
    cache_hits,
    /// Match cache misses.
    cache_misses,
}

impl Counters {
    /// Slow consumers of both kinds.
    #[must_use]
    pub fn slow_consumers(&self) -> u64 {
        self.slow_consumers_pending + self.slow_consumers_deadline
    }
}

/// The match caches of one shard at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Subjects held.
    pub subjects: usize,
    /// Receivers of the subject that has most of them.
    pub fanout_max: usize,
    /// Receivers of all subjects together.
    pub fanout_sum: usize,
}
