//! The stream adapters in the broker's process, and alone in it where the broker is switched off.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_adapters::config::{NetworkError, SinkConfig};
use muster_adapters::{Access, Accesses, Adapters, AdaptersConfig};
use muster_client::nats::ServerAddr;
use muster_reactor::http::{HttpRequest, HttpResponse, HttpServer};
use muster_reactor::signal::Signals;
use muster_settings::{Settings, SettingsErrors};

use super::daemon::wait_for_end;
use crate::exit::{Exit, Failure};
use crate::files::{self, PidFile};

/// How often the state of limiters is looked at.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// The content type of Prometheus' text format 0.0.4.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What runs in the process beside a broker.
#[derive(Debug)]
pub(crate) struct Hosted {
    /// Whether there is a broker at all.
    pub(crate) network: bool,
    adapters: Option<AdaptersConfig>,
}

impl Default for Hosted {
    fn default() -> Self {
        Self {
            network: true,
            adapters: None,
        }
    }
}

impl Hosted {
    /// Reads what is configured.
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsErrors> {
        let adapters = AdaptersConfig::read(settings);
        let mut reader = settings.reader();
        let network = reader.bool("plugin.choria.broker_network", true);
        reader.finish()?;
        let adapters = adapters?;
        Ok(Self {
            network,
            adapters: (!adapters.adapters.is_empty()).then_some(adapters),
        })
    }

    /// Starts the adapters, if there are any; `own` is where the broker of this process listens.
    pub(crate) fn start(&self, own: Option<SocketAddr>) -> Result<Option<Adapters>, Failure> {
        let Some(config) = &self.adapters else {
            return Ok(None);
        };
        let accesses = accesses(config, own).map_err(Failure::new)?;
        let adapters = Adapters::start(config, &accesses).map_err(Failure::new)?;
        Ok(Some(adapters))
    }

    /// Runs the adapters without a broker.
    pub(crate) fn run_alone(
        &self,
        signals: &Signals,
        monitor: Option<SocketAddr>,
        pid: Option<&Path>,
    ) -> Result<Exit, Failure> {
        let adapters = self.start(None)?;
        let monitor = monitor.map(|address| {
            let render = adapters.as_ref().map(Adapters::renderer);
            let answer = move |request: &HttpRequest| match &*request.path {
                "/metrics" | "/choria/prometheus" => {
                    let mut out = String::new();
                    render.iter().for_each(|render| render(&mut out));
                    HttpResponse::new(200, METRICS_TYPE, out)
                }
                _ => HttpResponse::text(404, "404 page not found\n"),
            };
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
        wait_for_end(signals, SAVE_EVERY, || {
            if let Some(adapters) = &adapters {
                adapters.save();
            }
        })?;
        drop(adapters);
        drop((monitor, pid));
        Ok(Exit::Success)
    }
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
