//! Monitoring over HTTP: nats-server's JSON for its tools, native series for Prometheus.
//!
//! | path | shows | from |
//! |---|---|---|
//! | `/varz` | the broker as a whole | published counters |
//! | `/connz` | connections, open and closed | the shards, each on its own thread |
//! | `/subsz` | subscriptions of an account | the sublist, then the shards for details |
//! | `/routez` | routes to other brokers | the shards |
//! | `/healthz` | whether clients are served | – |
//! | `/metrics` | Prometheus text | published counters |
//!
//! It only looks: no request changes anything, and no shard ever waits for one. Keys, their order, sort options
//! and error texts are nats-server's, since its exporters and dashboards read them. What a shard did not say in
//! time is never passed over in silence: the answer then has the key `muster_silent_shards`, which nats-server has not.
//!
//! Not here: the system account's requests, which ask for the same figures over NATS.

mod cluster;
mod connz;
mod format;
mod healthz;
mod metrics;
mod params;
mod routez;
mod subsz;
mod usage;
mod varz;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_reactor::clock::unix_now;
use muster_reactor::http::{HttpRequest, HttpResponse, HttpServer};
use serde::Serialize;

use crate::Broker;
use params::{ParamError, Params};
use usage::UsageSampler;

/// Starts monitoring of `broker` on `address`. Call it on a thread of the main descriptor table.
///
/// The server holds the broker: drop it before the last handle of the broker is to stop it.
///
/// # Errors
/// The address cannot be listened on.
pub fn serve(broker: Arc<Broker>, address: SocketAddr) -> io::Result<HttpServer> {
    serve_with(broker, address, Guests::default())
}

/// What else runs in the process, and shows itself here.
#[derive(Default)]
pub struct Guests {
    /// Each appends series of its own to `/metrics`.
    pub metrics: Vec<Renderer>,
    /// Further pages, by path.
    pub pages: Vec<(&'static str, Page)>,
}

/// Appends series to a page of Prometheus' text format.
pub type Renderer = Box<dyn Fn(&mut String) + Send + Sync>;

/// Makes one page.
pub type Page = Box<dyn Fn() -> HttpResponse + Send + Sync>;

impl std::fmt::Debug for Guests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pages: Vec<&str> = self.pages.iter().map(|(path, _)| *path).collect();
        f.debug_struct("Guests")
            .field("metrics", &self.metrics.len())
            .field("pages", &pages)
            .finish()
    }
}

/// As [`serve`], with what else runs in the process.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(
    broker: Arc<Broker>,
    address: SocketAddr,
    guests: Guests,
) -> io::Result<HttpServer> {
    let monitor = Arc::new(Monitor {
        broker,
        guests,
        address: OnceLock::new(),
        usage: UsageSampler::new(),
        requests: std::array::from_fn(|_| AtomicU64::new(0)),
    });
    let handler = Arc::clone(&monitor);
    let server = HttpServer::start(
        address,
        "monitor",
        Arc::new(move |request| handler.answer(request)),
    )?;
    let _ = monitor.address.set(server.address());
    Ok(server)
}

/// The content type of `/metrics`, as Prometheus' text format 0.0.4 names it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be asked for. The order is that of [`Endpoint::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Index,
    Connz,
    Healthz,
    Metrics,
    Routez,
    Subsz,
    Varz,
}

impl Endpoint {
    const ALL: [Self; 7] = [
        Self::Index,
        Self::Connz,
        Self::Healthz,
        Self::Metrics,
        Self::Routez,
        Self::Subsz,
        Self::Varz,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Connz => "/connz",
            Self::Healthz => "/healthz",
            Self::Metrics => "/metrics",
            Self::Routez => "/routez",
            Self::Subsz => "/subsz",
            Self::Varz => "/varz",
        }
    }

    fn at(path: &str) -> Option<Self> {
        let path = match path {
            "/subscriptionsz" => "/subsz",
            "/choria/prometheus" | "/choria/metrics" => "/metrics",
            path => path,
        };
        Self::ALL
            .into_iter()
            .find(|endpoint| endpoint.path() == path)
    }

    fn about(self) -> &'static str {
        match self {
            Self::Index => "this page",
            Self::Connz => "connections; sort, limit, offset, state, subs, auth, cid, user, acc",
            Self::Healthz => "whether the broker serves clients",
            Self::Metrics => "everything that is counted, for Prometheus",
            Self::Routez => "routes to other brokers",
            Self::Subsz => "subscriptions; subs, limit, offset, acc, test",
            Self::Varz => "the broker as a whole",
        }
    }
}

/// The state behind all endpoints.
#[derive(Debug)]
struct Monitor {
    broker: Arc<Broker>,
    guests: Guests,
    /// Where monitoring listens; set as soon as it does.
    address: OnceLock<SocketAddr>,
    usage: UsageSampler,
    requests: [AtomicU64; Endpoint::ALL.len()],
}

impl Monitor {
    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let Some(endpoint) = Endpoint::at(&request.path) else {
            let guest = self
                .guests
                .pages
                .iter()
                .find(|(path, _)| *path == request.path);
            return match guest {
                Some((_, page)) => page(),
                None => HttpResponse::text(404, "404 page not found\n"),
            };
        };
        self.requests[endpoint as usize].fetch_add(1, Ordering::Relaxed);
        let params = Params::new(&request.query);
        let result = match endpoint {
            Endpoint::Index => Ok(HttpResponse::new(200, "text/html; charset=utf-8", index())),
            Endpoint::Connz => connz::connz(&self.broker, params).map(|connz| json(&connz)),
            Endpoint::Healthz => healthz::healthz(params),
            Endpoint::Metrics => Ok(HttpResponse::new(200, METRICS_TYPE, self.metrics())),
            Endpoint::Routez => routez::routez(&self.broker, params).map(|routez| json(&routez)),
            Endpoint::Subsz => subsz::subsz(&self.broker, params).map(|subsz| json(&subsz)),
            Endpoint::Varz => Ok(json(&self.varz())),
        };
        result.unwrap_or_else(|error: ParamError| HttpResponse::text(400, error.to_string()))
    }

    /// How often each path was asked for.
    fn request_counts(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self
            .requests
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        Endpoint::ALL
            .iter()
            .map(|endpoint| endpoint.path())
            .zip(counts)
    }
}

/// The shards' monotonic time beside the wall clock, both of one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    now: Duration,
    unix: Duration,
}

impl Moment {
    fn of(broker: &Broker) -> Self {
        Self {
            now: broker.clock().now(),
            unix: unix_now(),
        }
    }

    /// The wall-clock time of an earlier monotonic one.
    fn unix_at(&self, at: Duration) -> Duration {
        self.unix.saturating_sub(self.now.saturating_sub(at))
    }
}

/// Parts answers of all shards into those that came and the shards that gave none in time.
fn heard<T>(answers: Vec<Option<T>>) -> (Vec<T>, Vec<usize>) {
    let silent = answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| answer.is_none());
    let silent = silent.map(|(shard, _)| shard).collect();
    (answers.into_iter().flatten().collect(), silent)
}

fn json<T: Serialize>(value: &T) -> HttpResponse {
    match serde_json::to_vec_pretty(value) {
        Ok(body) => HttpResponse::new(200, "application/json", body),
        // No key here is anything but a string; if one were, the client should hear of it.
        Err(error) => HttpResponse::text(500, error.to_string()),
    }
}

fn index() -> String {
    let rows = Endpoint::ALL
        .into_iter()
        .filter(|endpoint| *endpoint != Endpoint::Index)
        .map(|endpoint| {
            let (path, about) = (endpoint.path(), endpoint.about());
            format!("<dt><a href=\"{path}\">{path}</a></dt><dd>{about}</dd>\n")
        });
    let rows: String = rows.collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>muster broker</title></head>\n\
         <body>\n<h1>muster broker</h1>\n<dl>\n{rows}</dl>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_lie_in_their_own_order() {
        for (place, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint as usize, place);
            assert_eq!(Endpoint::at(endpoint.path()), Some(endpoint));
        }
        assert_eq!(Endpoint::at("/subscriptionsz"), Some(Endpoint::Subsz));
        assert_eq!(Endpoint::at("/Varz"), None);
    }

    #[test]
    fn silent_shards_are_named() {
        assert_eq!(
            heard(vec![Some('a'), None, Some('c')]),
            (vec!['a', 'c'], vec![1])
        );
    }
}
