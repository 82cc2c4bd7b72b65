//! `/connz`: connections, open and closed.
//!
//! Each shard looks at its own connections on its own thread, chooses its best `offset + limit` by the sort key, and
//! gives details of those alone; the parts are merged here. So a page of fifty thousand connections costs a shard one
//! pass over figures that allocates nothing, and the merge sees no more than it may need.
//!
//! TLS is what the routing core does not know: the shards' loops are asked for it once the page is known. Certificates are
//! shown with `auth` only, as they name who connects.

mod sort;
mod tls;

use std::time::Duration;

use muster_broker_core::ids::{AccountId, Key};
use muster_broker_core::shard::{ConnInfo, ShardCore, SubInfo};
use serde::Serialize;

use super::format::{go_duration, rfc3339, uptime};
use super::params::{Page, ParamError, Params, Subs};
use super::{Moment, heard};
use crate::Broker;
use sort::{Rank, Sort};
use tls::{Tls, sessions};

#[derive(Debug, Serialize)]
pub(super) struct Connz {
    server_id: String,
    now: String,
    num_connections: usize,
    total: usize,
    offset: usize,
    limit: usize,
    connections: Vec<Connection>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    muster_silent_shards: Vec<usize>,
}

#[derive(Debug, Serialize)]
struct Connection {
    cid: u64,
    kind: &'static str,
    #[serde(rename = "type")]
    client_type: &'static str,
    ip: String,
    port: u16,
    start: String,
    last_activity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt: Option<String>,
    uptime: String,
    idle: String,
    pending_bytes: u64,
    in_msgs: u64,
    out_msgs: u64,
    in_bytes: u64,
    out_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    stalls: u32,
    subscriptions: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(flatten)]
    tls: Tls,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorized_user: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscriptions_list_detail: Vec<SubDetail>,
}

/// One subscription, as `/connz?subs=detail` and `/subsz?subs=1` show it.
#[derive(Debug, Serialize)]
pub(super) struct SubDetail {
    account: Box<str>,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    qgroup: Option<String>,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "is_zero")]
    max: u64,
    cid: u64,
}

impl SubDetail {
    pub(super) fn new(account: &str, cid: u64, sub: SubInfo) -> Self {
        Self {
            account: account.into(),
            subject: String::from_utf8_lossy(&sub.subject).into_owned(),
            qgroup: sub
                .queue
                .map(|queue| String::from_utf8_lossy(&queue).into_owned()),
            sid: String::from_utf8_lossy(&sub.sid).into_owned(),
            msgs: sub.msgs,
            max: sub.max,
            cid,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    Any,
}

/// Whose connections are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Whose {
    account: Option<AccountId>,
    user: Option<Box<str>>,
}

impl Whose {
    fn includes(&self, info: &ConnInfo) -> bool {
        self.account.is_none_or(|account| account == info.account)
            && self
                .user
                .as_deref()
                .is_none_or(|user| info.user.as_deref() == Some(user))
    }
}

/// What a shard is asked.
#[derive(Debug, Clone)]
struct Query {
    sort: Sort,
    state: State,
    whose: Whose,
    cid: Option<u64>,
    subs: bool,
    page: Page,
}

pub(super) fn connz(broker: &Broker, params: Params<'_>) -> Result<Connz, ParamError> {
    let auth = params.bool("auth")? | params.text("user").is_some();
    let subs = params.subs()?;
    let state = state(params.text("state").unwrap_or("open"))?;
    let query = Query {
        sort: sort(params.text("sort").unwrap_or("cid"), state)?,
        state,
        whose: whose(broker, params),
        cid: Some(params.uint("cid")?).filter(|cid| *cid > 0),
        subs: subs != Subs::Omit,
        page: params.page()?,
    };
    let moment = Moment::of(broker);
    let page = query.page;
    let (parts, silent) = heard(broker.ask(move |core, now| query.part(core, now)));
    let total = parts.iter().map(|part| part.total).sum();
    let mut best: Vec<(Rank, ConnInfo)> = parts.into_iter().flat_map(|part| part.best).collect();
    best.sort_unstable_by_key(|(rank, _)| *rank);
    let shown: Vec<ConnInfo> = best
        .into_iter()
        .skip(page.offset)
        .take(page.limit)
        .map(|(_, info)| info)
        .collect();
    let mut sessions = sessions(broker, &shown, auth);
    let view = View {
        broker,
        moment,
        auth,
        subs,
    };
    let connections: Vec<Connection> = shown
        .into_iter()
        .map(|info| {
            let tls = sessions.remove(&info.cid.0).unwrap_or_default();
            view.connection(info, tls)
        })
        .collect();
    Ok(Connz {
        server_id: broker.core().config.info.server_id.clone(),
        now: rfc3339(moment.unix),
        num_connections: connections.len(),
        total,
        offset: page.offset,
        limit: page.limit,
        connections,
        muster_silent_shards: silent,
    })
}

fn state(text: &str) -> Result<State, ParamError> {
    match text.to_ascii_lowercase().as_str() {
        "open" => Ok(State::Open),
        "closed" => Ok(State::Closed),
        "any" | "all" => Ok(State::Any),
        _ => Err(ParamError::State(text.to_owned())),
    }
}

fn sort(text: &str, state: State) -> Result<Sort, ParamError> {
    let sort = Sort::named(text).ok_or_else(|| ParamError::Sort(text.to_owned()))?;
    match sort {
        Sort::Stop if state != State::Closed => Err(ParamError::ClosedOnly("stop")),
        Sort::Reason if state != State::Closed => Err(ParamError::ClosedOnly("reason")),
        _ => Ok(sort),
    }
}

fn whose(broker: &Broker, params: Params<'_>) -> Whose {
    let account = params.text("acc").map(|name| {
        let accounts = broker.core().accounts().iter();
        let named = accounts.filter(|account| *account.name == *name);
        // An account that is not there has no connections.
        named
            .map(|account| account.id)
            .next()
            .unwrap_or(AccountId(u32::MAX))
    });
    Whose {
        account,
        user: params.text("user").map(Into::into),
    }
}

fn account_name(broker: &Broker, id: AccountId) -> &str {
    let accounts = broker.core().accounts();
    let account = accounts.get(usize::try_from(id.0).unwrap_or(usize::MAX));
    account.map_or("", |account| &account.name)
}

/// One shard's part of the answer.
#[derive(Debug)]
struct Part {
    /// Connections that the page is a part of.
    total: usize,
    best: Vec<(Rank, ConnInfo)>,
}

impl Query {
    /// Runs on the shard's thread.
    fn part(&self, core: &ShardCore, now: Duration) -> Part {
        let mut total = 0;
        let mut best: Vec<(Rank, Found<'_>)> = Vec::new();
        let mut look = |info: &ConnInfo, found| {
            if !self.whose.includes(info) {
                return;
            }
            total += 1;
            if self.cid.is_none_or(|cid| cid == info.cid.0) {
                best.push((self.sort.rank(info, now), found));
            }
        };
        if self.state != State::Closed {
            core.open_figures()
                .for_each(|info| look(&info, Found::Open(info.key)));
        }
        if self.state != State::Open {
            core.closed_connections()
                .for_each(|info| look(info, Found::Closed(info)));
        }
        let end = self.page.end();
        if end < best.len() {
            best.select_nth_unstable_by_key(end, |(rank, _)| *rank);
            best.truncate(end);
        }
        let detail = |(rank, found)| match found {
            Found::Open(key) => core.connection(key, self.subs).map(|info| (rank, info)),
            Found::Closed(info) => Some((rank, info.clone())),
        };
        Part {
            total,
            best: best.into_iter().filter_map(detail).collect(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Found<'a> {
    Open(Key),
    Closed(&'a ConnInfo),
}

/// How connections are shown.
struct View<'a> {
    broker: &'a Broker,
    moment: Moment,
    auth: bool,
    subs: Subs,
}

impl View<'_> {
    fn connection(&self, info: ConnInfo, tls: Tls) -> Connection {
        let account = account_name(self.broker, info.account);
        let until = info.stopped.unwrap_or(self.moment.now);
        let user = info.user.as_deref().filter(|_| self.auth);
        let text = |subject: &[u8]| String::from_utf8_lossy(subject).into_owned();
        let (list, detail) = match self.subs {
            Subs::Omit => (Vec::new(), Vec::new()),
            Subs::Subjects => (
                info.subs.iter().map(|sub| text(&sub.subject)).collect(),
                Vec::new(),
            ),
            Subs::Detail => {
                let subs = info.subs.into_iter();
                (
                    Vec::new(),
                    subs.map(|sub| SubDetail::new(account, info.cid.0, sub))
                        .collect(),
                )
            }
        };
        Connection {
            cid: info.cid.0,
            kind: "Client",
            client_type: "nats",
            // A listener for both families sees IPv4 peers as mapped addresses.
            ip: info.peer.ip().to_canonical().to_string(),
            port: info.peer.port(),
            start: rfc3339(self.moment.unix_at(info.started)),
            last_activity: rfc3339(self.moment.unix_at(info.last_activity)),
            stop: info
                .stopped
                .map(|stopped| rfc3339(self.moment.unix_at(stopped))),
            reason: info.reason.map(|reason| reason.text()),
            rtt: info.rtt.map(go_duration),
            uptime: uptime(until.saturating_sub(info.started)),
            idle: uptime(until.saturating_sub(info.last_activity)),
            pending_bytes: info.pending_bytes,
            in_msgs: info.in_msgs,
            out_msgs: info.out_msgs,
            in_bytes: info.in_bytes,
            out_bytes: info.out_bytes,
            stalls: info.stalls,
            subscriptions: info.subscriptions,
            name: info.name.filter(|name| !name.is_empty()),
            lang: info
                .lang
                .filter(|lang| !lang.is_empty())
                .map(|lang| lang.to_string()),
            version: info
                .version
                .filter(|version| !version.is_empty())
                .map(|version| version.to_string()),
            tls,
            authorized_user: user.map(Into::into),
            account: self.auth.then(|| account.into()),
            subscriptions_list: list,
            subscriptions_list_detail: detail,
        }
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
