//! What runs in the broker's process beside the broker, and alone in it where the broker is switched off: stream adapters
//! and the federation broker.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_adapters::config::{NetworkError, SinkConfig};
use muster_adapters::{Access, Accesses, Adapters, AdaptersConfig};
use muster_broker::monitor;
use muster_client::nats::ServerAddr;
use muster_federation::{Federation, FederationConfig, FederationSettings};
use muster_reactor::http::{HttpRequest, HttpResponse, HttpServer};
use muster_reactor::process::cores;
use muster_reactor::signal::Signals;
use muster_settings::{Settings, SettingsErrors};

use super::daemon::wait_for_end;
use crate::connection::surroundings_of_daemon;
use crate::exit::{Exit, Failure};
use crate::files::{self, PidFile};
use crate::host;

/// How often the state of limiters is looked at.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The content type of Prometheus' text format 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is to run in the process.
#[derive(Debug)]
pub(crate) struct Hosted {
    /// Whether there is a broker at all.
    pub(crate) network: bool,
    adapters: Option<AdaptersConfig>,
    federation: Option<FederationConfig>,
}

/// What runs in the process beside a broker. Dropping it stops it.
#[derive(Debug, Default)]
pub(crate) struct Running {
    adapters: Option<Adapters>,
    federation: Option<Arc<Federation>>,
}

impl Default for Hosted {
    fn default() -> Self {
        Self {
            network: true,
            adapters: None,
            federation: None,
        }
    }
}

/// The settings of what may run beside a broker, without the files they name.
pub(crate) fn check(
    settings: &Settings,
) -> Result<(AdaptersConfig, FederationSettings), SettingsErrors> {
    let adapters = AdaptersConfig::read(settings);
    let hostname = host::hostname().unwrap_or_default();
    let federation = FederationSettings::read(settings, &hostname, cores());
    Ok((adapters?, federation?))
}

impl Hosted {
    /// Reads what is configured, and the files it names.
    pub(crate) fn read(settings: &Settings) -> Result<Self, Failure> {
        let mut reader = settings.reader();
        let network = reader.bool("plugin.choria.broker_network", true);
        reader.finish().map_err(Failure::new)?;
        let (adapters, federation) = check(settings).map_err(Failure::new)?;
        let federation = if federation.enabled {
            Some(load_federation(federation, settings)?)
        } else {
            None
        };
        Ok(Self {
            network,
            adapters: (!adapters.adapters.is_empty()).then_some(adapters),
            federation,
        })
    }

    /// A federation broker and nothing else, whether it is switched on or not.
    pub(crate) fn federation_alone(settings: &Settings) -> Result<Self, Failure> {
        let (_, federation) = check(settings).map_err(Failure::new)?;
        Ok(Self {
            network: false,
            adapters: None,
            federation: Some(load_federation(federation, settings)?),
        })
    }

    /// Starts all of it; `own` is where the broker of this process listens.
    pub(crate) fn start(&self, own: Option<SocketAddr>) -> Result<Running, Failure> {
        let adapters = match &self.adapters {
            Some(config) => {
                let accesses = accesses(config, own).map_err(Failure::new)?;
                Some(Adapters::start(config, &accesses).map_err(Failure::new)?)
            }
            None => None,
        };
        let federation = self.federation.as_ref().map(Federation::start).transpose();
        let federation = federation.map_err(|error| {
            Failure::new(format!("cannot start the federation broker: {error}"))
        })?;
        Ok(Running {
            adapters,
            federation: federation.map(Arc::new),
        })
    }

    /// Runs it without a broker.
    pub(crate) fn run_alone(
        &self,
        signals: &Signals,
        monitor: Option<SocketAddr>,
        pid: Option<&Path>,
    ) -> Result<Exit, Failure> {
        let running = self.start(None)?;
        let monitor = monitor.map(|address| {
            let guests = running.guests();
            let answer = move |request: &HttpRequest| answer(&guests, &request.path);
            HttpServer::start(address, "monitor", Arc::new(answer)).map_err(|error| {
                Failure::new(format!("cannot serve monitoring on {address}: {error}"))
            })
        });
        let monitor = monitor.transpose()?;
        let pid = pid.map(PidFile::write).transpose()?;
        if let Some(monitor) = &monitor {
            eprintln!("Serving monitoring on http://{}", monitor.address());
        }
        eprintln!("Server is ready");
        wait_for_end(signals, SAVE_EVERY, || running.look_after())?;
        // Its pages hold the federation broker, whose last handle stops it.
        drop(monitor);
        drop(running);
        drop(pid);
        Ok(Exit::Success)
    }
}

impl Running {
    /// Does what has to be done now and then.
    pub(crate) fn look_after(&self) {
        if let Some(adapters) = &self.adapters {
            adapters.save();
        }
    }

    /// What it shows on the broker's monitoring port.
    pub(crate) fn guests(&self) -> monitor::Guests {
        let mut guests = monitor::Guests::default();
        if let Some(adapters) = &self.adapters {
            guests.metrics.push(Box::new(adapters.renderer()));
        }
        if let Some(federation) = &self.federation {
            let shown = Arc::clone(federation);
            guests
                .metrics
                .push(Box::new(move |page| shown.write_metrics(page)));
            let shown = Arc::clone(federation);
            let page = move || match serde_json::to_vec_pretty(&shown.status()) {
                Ok(body) => HttpResponse::new(200, "application/json", body),
                Err(error) => HttpResponse::text(500, error.to_string()),
            };
            guests.pages.push(("/choria/federation", Box::new(page)));
        }
        guests
    }
}

fn answer(guests: &monitor::Guests, path: &str) -> HttpResponse {
    if matches!(path, "/metrics" | "/choria/prometheus" | "/choria/metrics") {
        let mut out = String::new();
        guests.metrics.iter().for_each(|render| render(&mut out));
        return HttpResponse::new(200, METRICS_TYPE, out);
    }
    let page = guests.pages.iter().find(|(known, _)| *known == path);
    page.map_or_else(
        || HttpResponse::text(404, "404 page not found\n"),
        |(_, page)| page(),
    )
}

fn load_federation(
    federation: FederationSettings,
    settings: &Settings,
) -> Result<FederationConfig, Failure> {
    let (around, domain) = surroundings_of_daemon();
    federation
        .load(settings, &around, &domain, files::read)
        .map_err(Failure::new)
}

fn accesses(config: &AdaptersConfig, own: Option<SocketAddr>) -> Result<Accesses, NetworkError> {
    let own = own.map(reachable);
    let ingest = config.network.access(own, files::read)?;
    let stream = |sink: &SinkConfig| -> Result<Access, NetworkError> {
        match sink {
            SinkConfig::JetStream(stream) if !stream.servers.is_empty() => {
                let (servers, tls) = (&stream.servers, stream.tls);
                config.network.access_to(servers, tls, files::read)
            }
            _ => Ok(ingest.clone()),
        }
    };
    let streams = config.adapters.iter().map(|adapter| stream(&adapter.sink));
    Ok(Accesses {
        streams: streams.collect::<Result<_, _>>()?,
        ingest,
    })
}

/// Where a listener can be reached from this host.
fn reachable(address: SocketAddr) -> ServerAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    ServerAddr::new(ip.to_string(), address.port())
}
