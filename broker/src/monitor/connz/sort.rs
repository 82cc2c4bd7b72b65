//! The orders of `/connz`.

use std::time::Duration;

use muster_broker_core::shard::ConnInfo;

/// What connections are sorted by. What has a beginning or a text ascends, what is large or recent comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Cid,
    Start,
    Subs,
    Pending,
    MsgsTo,
    MsgsFrom,
    BytesTo,
    BytesFrom,
    Last,
    Idle,
    Uptime,
    Stop,
    Reason,
    Rtt,
}

/// A connection's place: the smaller comes first. Equal keys are told apart by the cid, so pages do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    figure: u64,
    text: &'static str,
    cid: u64,
}

impl Sort {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cid" => Self::Cid,
            "start" => Self::Start,
            "subs" => Self::Subs,
            "pending" => Self::Pending,
            "msgs_to" => Self::MsgsTo,
            "msgs_from" => Self::MsgsFrom,
            "bytes_to" => Self::BytesTo,
            "bytes_from" => Self::BytesFrom,
            "last" => Self::Last,
            "idle" => Self::Idle,
            "uptime" => Self::Uptime,
            "stop" => Self::Stop,
            "reason" => Self::Reason,
            "rtt" => Self::Rtt,
            _ => return None,
        })
    }

    pub(super) fn rank(self, info: &ConnInfo, now: Duration) -> Rank {
        let until = info.stopped.unwrap_or(now);
        let ascending = |figure| figure;
        let descending = |figure: u64| u64::MAX - figure;
        let figure = match self {
            Self::Cid | Self::Reason => 0,
            Self::Start => ascending(nanos(info.started)),
            Self::Uptime => ascending(nanos(until.saturating_sub(info.started))),
            Self::Subs => descending(u64::try_from(info.subscriptions).unwrap_or(u64::MAX)),
            Self::Pending => descending(info.pending_bytes),
            Self::MsgsTo => descending(info.out_msgs),
            Self::MsgsFrom => descending(info.in_msgs),
            Self::BytesTo => descending(info.out_bytes),
            Self::BytesFrom => descending(info.in_bytes),
            Self::Last => descending(nanos(info.last_activity)),
            Self::Idle => descending(nanos(until.saturating_sub(info.last_activity))),
            Self::Stop => descending(info.stopped.map_or(0, nanos)),
            Self::Rtt => descending(info.rtt.map_or(0, nanos)),
        };
        let text = match (self, info.reason) {
            (Self::Reason, Some(reason)) => reason.text(),
            _ => "",
        };
        Rank {
            figure,
            text,
            cid: info.cid.0,
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use muster_broker_core::close::CloseReason;
    use muster_broker_core::ids::{AccountId, Cid, Key};

    use super::*;

    fn info(cid: u64) -> ConnInfo {
        ConnInfo {
            cid: Cid(cid),
            key: Key {
                index: 0,
                generation: 0,
            },
            peer: SocketAddr::from(([127, 0, 0, 1], 1)),
            started: Duration::from_secs(cid),
            last_activity: Duration::from_secs(100 - cid),
            stopped: None,
            reason: None,
            rtt: None,
            pending_bytes: 0,
            in_msgs: 0,
            out_msgs: 0,
            in_bytes: 0,
            out_bytes: 0,
            stalls: 0,
            subscriptions: 0,
            subs: Vec::new(),
            account: AccountId(0),
            user: None,
            name: None,
            lang: None,
            version: None,
        }
    }

    /// The cids in the order of a sort key.
    fn check(name: &str, mut infos: Vec<ConnInfo>, expected: &[u64]) {
        let sort = Sort::named(name).unwrap();
        infos.sort_by_key(|info| sort.rank(info, Duration::from_secs(200)));
        let cids: Vec<u64> = infos.iter().map(|info| info.cid.0).collect();
        assert_eq!(cids, expected, "{name}");
    }

    #[test]
    fn orders() {
        let some = || {
            let mut infos = vec![info(3), info(1), info(2)];
            for (figure, info) in (10..).zip(&mut infos) {
                info.in_msgs = figure;
                info.out_msgs = 2 * figure;
                info.in_bytes = 3 * figure;
                info.out_bytes = 4 * figure;
                info.pending_bytes = figure;
                info.subscriptions = usize::try_from(figure).unwrap();
                info.rtt = Some(Duration::from_micros(figure));
                info.stopped = Some(Duration::from_secs(100 + figure));
            }
            infos[0].reason = Some(CloseReason::ClientClosed);
            infos[1].reason = Some(CloseReason::WriteError);
            infos[2].reason = Some(CloseReason::StaleConnection);
            infos
        };
        check("cid", some(), &[1, 2, 3]);
        check("start", some(), &[1, 2, 3]);
        check("last", some(), &[1, 2, 3]);
        check("reason", some(), &[3, 2, 1]);
        check("uptime", some(), &[3, 1, 2]);
        check("idle", some(), &[2, 3, 1]);
        for name in [
            "subs",
            "pending",
            "msgs_to",
            "msgs_from",
            "bytes_to",
            "bytes_from",
            "rtt",
            "stop",
        ] {
            check(name, some(), &[2, 1, 3]);
        }
    }

    #[test]
    fn equal_figures_go_by_cid() {
        check("subs", vec![info(2), info(3), info(1)], &[1, 2, 3]);
        check(
            "idle",
            vec![
                info(2),
                ConnInfo {
                    cid: Cid(9),
                    ..info(2)
                },
                info(1),
            ],
            &[2, 9, 1],
        );
    }
}
