//! `--provision N`: emulated nodes without configuration, and a provisioner in this process that gives them theirs.
//!
//! The nodes are real cores in the provisioning collective. Their agent has signing requests that were made before, since
//! making keys is work of the nodes' own machines; configuring and restarting are noted only. The provisioner is the
//! daemon's: its requests are signed, its checks are made, each node goes through inventory, request, helper,
//! configuration and restart. The helper is a function here, or the process that is named.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use muster_client::Moment;
use muster_client::fleet::{Caller, CallerSecurity, FleetConfig};
use muster_protocol::caller::choria_caller;
use muster_protocol::ddl::Ddl;
use muster_protocol::security::Signer;
use muster_protocol::subject::PROVISIONING_COLLECTIVE;
use muster_provisioner::call::Action;
use muster_provisioner::config::ProvisionerConfig;
use muster_provisioner::daemon::{Parts, Provisioner, load_flow};
use muster_provisioner::helper::process::ProcessHelper;
use muster_provisioner::helper::{Helper, HelperError};
use muster_provisioner::metrics::Metrics;
use muster_reactor::process::usage;
use muster_server::NodeScratch;
use muster_server::agent::{HostView, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};

use crate::args::Args;
use crate::fleet_nodes::Common;
use crate::nodes::Reactors;
use crate::progress::Progress;
use crate::run::{start_broker, wait_for_nodes};
use crate::setup::{AnyError, CLIENT_NAME, Keys, node_name};

/// What every node becomes.
const DECISION: &[u8] =
    br#"{"configuration":{"plugin.choria.server.provision":"false","collectives":"mcollective"}}"#;
/// How long nothing may happen before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent of all nodes.
#[derive(Debug)]
pub(crate) struct Unprovisioned {
    /// Replies of `gencsr`, by node.
    requests: HashMap<String, String>,
    configured: AtomicU64,
    restarted: AtomicU64,
}

impl RpcAgent for Unprovisioned {
    fn ddl(&self) -> &Ddl {
        Ddl::builtin("choria_provision").expect("it is built in")
    }

    fn call(&self, call: &RpcCall<'_>, host: &HostView<'_>) -> RpcAnswer {
        match call.action {
            "gencsr" => {
                let made = self.requests.get(host.identity).cloned();
                RpcOutcome::ok(made.unwrap_or_else(|| "{}".to_owned())).into()
            }
            "configure" => {
                self.configured.fetch_add(1, Ordering::Relaxed);
                RpcOutcome::ok(r#"{"message":"Wrote 3 lines"}"#).into()
            }
            _ => {
                self.restarted.fetch_add(1, Ordering::Relaxed);
                RpcOutcome::ok(r#"{"message":"Restarting"}"#).into()
            }
        }
    }
}

/// A helper that takes no time.
#[derive(Debug)]
struct Instantly;

impl Helper for Instantly {
    fn run(&self, _: &[u8]) -> Result<Vec<u8>, HelperError> {
        Ok(DECISION.to_vec())
    }
}

/// Runs it, and says what came of it.
pub(crate) fn run(args: &Args, nodes: usize) -> Result<String, AnyError> {
    let args = Args {
        nodes,
        ..args.clone()
    };
    let keys = Arc::new(Keys::new(args.tls)?);
    let broker = start_broker(&args, &keys)?;
    let progress = Arc::new(Progress::default());
    let agent = Arc::new(Unprovisioned {
        requests: requests(nodes)?,
        configured: AtomicU64::new(0),
        restarted: AtomicU64::new(0),
    });
    let config = keys.client_config(broker.address());
    let common = Common::unprovisioned(
        keys.security()?,
        args.verify,
        config.clone(),
        args.seed,
        &agent,
    )?;
    let common = Arc::new(common);
    let (of_nodes, noted) = (Arc::clone(&keys), Arc::clone(&progress));
    let reactors = Reactors::start(nodes, NodeScratch::new, move |number, at: Moment| {
        let tls = of_nodes.node_tls(&node_name(number))?;
        Ok(common.node(number, tls, Arc::clone(&noted), at))
    })?;
    wait_for_nodes(&args, &reactors, &progress)?;
    let before = (
        usage(None)?.cpu,
        broker.usage().map(|usage| usage.cpu),
        reactors.cpu(),
    );
    let begun = Instant::now();
    let provisioner = start_provisioner(&args, &keys, config)?;
    wait_for_end(&provisioner, nodes)?;
    let took = begun.elapsed();
    std::thread::sleep(Duration::from_millis(200));
    let own = usage(None)?.cpu.saturating_sub(before.0);
    let of_nodes = reactors.cpu().saturating_sub(before.2);
    let of_broker = broker.usage().zip(before.1);
    let of_broker = of_broker.map(|(after, before)| after.cpu.saturating_sub(before));
    let configured = agent.configured.load(Ordering::Relaxed);
    let restarted = agent.restarted.load(Ordering::Relaxed);
    let mut text = String::new();
    let seconds = took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts of nodes")]
    let rate = nodes as f64 * 60.0 / seconds;
    writeln!(
        text,
        "provisioned {nodes} nodes in {seconds:.2} s: {rate:.0} a minute, {} workers, helper {}",
        args.workers,
        args.helper.as_deref().unwrap_or("in process"),
    )?;
    writeln!(text, "nodes configured {configured}, restarted {restarted}")?;
    writeln!(
        text,
        "cpu: provisioner {:.2} s, nodes {:.2} s, broker {:.2} s",
        own.saturating_sub(of_nodes).as_secs_f64(),
        of_nodes.as_secs_f64(),
        of_broker.unwrap_or_default().as_secs_f64(),
    )?;
    write_times(&mut text, provisioner.metrics())?;
    provisioner.stop();
    if configured != nodes as u64 || restarted != nodes as u64 {
        return Err(format!("not each node was configured once:\n{text}").into());
    }
    Ok(text)
}

fn write_times(text: &mut String, metrics: &Metrics) -> Result<(), AnyError> {
    let mean = |timing: &muster_provisioner::metrics::Timing| {
        let count = u32::try_from(timing.count()).unwrap_or(u32::MAX).max(1);
        (timing.total() / count).as_secs_f64() * 1000.0
    };
    for action in Action::ALL {
        let timing = &metrics.rpc_time[action.index()];
        if timing.count() > 0 {
            writeln!(
                text,
                "{action}: {} calls, {:.2} ms",
                timing.count(),
                mean(timing)
            )?;
        }
    }
    let helper = &metrics.helper_time;
    writeln!(
        text,
        "helper: {} runs, {:.2} ms",
        helper.count(),
        mean(helper)
    )?;
    let errors = metrics.provision_errors.get();
    writeln!(
        text,
        "provision errors: {errors}, dropped for a full queue: {}",
        metrics.queue_full.get()
    )?;
    Ok(())
}

fn wait_for_end(provisioner: &Provisioner, nodes: usize) -> Result<(), AnyError> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let done = provisioner.metrics().provisioned.get();
        if done >= nodes as u64 {
            return Ok(());
        }
        if done != last {
            (last, moved) = (done, Instant::now());
        }
        if moved.elapsed() > PATIENCE {
            let page = provisioner.metrics().render("loadgen");
            return Err(format!("{done} of {nodes} nodes are provisioned:\n{page}").into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A signing request for each node, as `gencsr` gives it.
fn requests(nodes: usize) -> Result<HashMap<String, String>, AnyError> {
    // One key does for all: whose it is matters to nobody here.
    let key = rcgen::KeyPair::generate()?;
    (0..nodes)
        .map(|number| {
            let name = node_name(number);
            let mut params = rcgen::CertificateParams::new(Vec::<String>::new())?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name.as_str());
            let csr = params.serialize_request(&key)?.pem()?;
            let reply = serde_json::json!({"csr": csr, "ssldir": "/ssl", "public_key": ""});
            Ok((name, reply.to_string()))
        })
        .collect()
}

fn start_provisioner(
    args: &Args,
    keys: &Keys,
    client: muster_client::nats::ClientConfig,
) -> Result<Provisioner, AnyError> {
    let yaml = format!(
        "helper: none\nworkers: {}\nfeatures: {{pki: true}}\n",
        args.workers
    );
    let config = ProvisionerConfig::from_yaml(&yaml, "loadgen", NonZeroUsize::MIN)?;
    let read = |path: &Path| std::fs::read_to_string(path);
    let flow = load_flow(&config, read)?;
    let helper: Arc<dyn Helper> = match &args.helper {
        None => Arc::new(Instantly),
        Some(path) => Arc::new(ProcessHelper::new(
            std::slice::from_ref(path),
            std::env::vars_os().collect(),
            std::env::current_dir()?,
        )),
    };
    let signer = Signer::from_pem(&keys.client.cert_pem, &keys.client.key_pem)?;
    let caller = Caller {
        sender: CLIENT_NAME.to_owned(),
        caller_id: choria_caller(CLIENT_NAME),
        security: CallerSecurity::X509(Arc::new(signer)),
        main_collective: PROVISIONING_COLLECTIVE.to_owned(),
        collective: PROVISIONING_COLLECTIVE.to_owned(),
        ttl: Duration::from_secs(60),
    };
    let fleet = FleetConfig {
        caller,
        client,
        tls: keys.client_tls()?,
        prepare_timeout: Duration::from_secs(10),
        discovery_timeout: Duration::from_secs(2),
        require_filter: false,
    };
    Ok(Provisioner::start(Parts {
        config,
        fleet,
        flow,
        helper,
    })?)
}
