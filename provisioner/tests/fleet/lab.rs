//! A broker, nodes that play being without configuration, and a provisioner, all in this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use muster_broker::{Broker, BrokerConfig};
use muster_client::fleet::{FleetSettings, Surroundings};
use muster_protocol::ddl::{Ddl, Inputs};
use muster_protocol::rpc::StatusCode;
use muster_provisioner::config::ProvisionerConfig;
use muster_provisioner::daemon::{Parts, Provisioner, load_flow};
use muster_provisioner::helper::process::ProcessHelper;
use muster_provisioner::metrics::Metrics;
use muster_server::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome};
use muster_server::daemon::Daemon;
use muster_server::embed::Running;
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;
use parking_lot::Mutex;

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What nodes want to see.
pub(crate) const TOKEN: &str = "s3cret";

pub(crate) struct Lab {
    pub(crate) broker: Broker,
    pub(crate) folder: tempfile::TempDir,
    calls: (Sender<Heard>, Receiver<Heard>),
}

/// What a node was asked to do.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) node: String,
    pub(crate) action: String,
    pub(crate) inputs: Inputs,
}

/// How a node misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Good,
    /// Its signing request is for this name.
    AsksFor(&'static str),
    /// It wants another token.
    OtherToken,
    /// It takes no configuration so many times.
    Refuses(usize),
}

#[derive(Debug)]
struct Agent {
    node: String,
    manner: Manner,
    refused: AtomicUsize,
    calls: Mutex<Sender<Heard>>,
}

impl RpcAgent for Agent {
    fn ddl(&self) -> &Ddl {
        Ddl::builtin("choria_provision").unwrap()
    }

    fn call(&self, call: &RpcCall<'_>, _: &HostView<'_>) -> RpcAnswer {
        let heard = Heard {
            node: self.node.clone(),
            action: call.action.to_owned(),
            inputs: call.inputs.clone(),
        };
        let wanted = match self.manner {
            Manner::OtherToken => "other",
            Manner::Good | Manner::AsksFor(_) | Manner::Refuses(_) => TOKEN,
        };
        if call.text("token") != wanted {
            let text = "Incorrect provision token supplied";
            return RpcOutcome::failed(StatusCode::Aborted, text).into();
        }
        let _ = self.calls.lock().send(heard);
        let data = match (call.action, self.manner) {
            ("gencsr", Manner::AsksFor(name)) => request(name),
            ("gencsr", _) => request(&self.node),
            ("configure", Manner::Refuses(times))
                if self.refused.fetch_add(1, Ordering::SeqCst) < times =>
            {
                return RpcOutcome::failed(StatusCode::Aborted, "no space").into();
            }
            _ => serde_json::json!({"message": "done"}),
        };
        RpcOutcome::ok(data.to_string()).into()
    }
}

fn request(name: &str) -> serde_json::Value {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    serde_json::json!({"csr": csr, "ssldir": "/node/ssl", "public_key": "K"})
}

impl Lab {
    pub(crate) fn new() -> Self {
        let broker = Broker::start(BrokerConfig {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            shards: Some(1),
            ..BrokerConfig::default()
        });
        Self {
            broker: broker.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            calls: channel(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A node that announces itself as one without configuration.
    pub(crate) fn node(&self, name: &str, manner: Manner) -> Running {
        let text = format!(
            "identity = {name}\ncollectives = provisioning\nplugin.choria.middleware_hosts = {}\n\
             plugin.choria.use_srv = false\nrpcauthorization = false\nlogfile = discard\n",
            self.broker.address()
        );
        let settings = Settings::parse(&text, "node");
        let mut config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory()).unwrap();
        config.classes_file = PathBuf::new();
        "provision_mode_server".clone_into(&mut config.announce.component);
        let agent = Agent {
            node: name.to_owned(),
            manner,
            refused: AtomicUsize::new(0),
            calls: Mutex::new(self.calls.0.clone()),
        };
        Daemon::new(config)
            .with_agent(Arc::new(Rpc::new(agent)))
            .start()
            .unwrap()
    }

    /// A helper in shell, which finds its input on its standard input.
    pub(crate) fn helper(&self, script: &str) -> String {
        let path = self.path("helper.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        format!("/bin/sh {}", path.display())
    }

    /// A helper that gives every node the same configuration.
    pub(crate) fn good_helper(&self) -> String {
        self.helper(
            r#"cat > /dev/null; echo '{"configuration":{"plugin.choria.server.provision":"false"}}'"#,
        )
    }

    pub(crate) fn provisioner(&self, helper: &str, more: &str) -> Provisioner {
        let yaml = format!(
            "workers: 4\nhelper: {helper}\ntoken: {TOKEN}\nchoria_insecure: true\n{more}\n"
        );
        let cpus = NonZeroUsize::new(4).unwrap();
        let config = ProvisionerConfig::from_yaml(&yaml, "p.yaml", cpus).unwrap();
        let text = format!(
            "identity = p1.example.net\nplugin.choria.middleware_hosts = {}\n",
            self.broker.address()
        );
        let around = Surroundings {
            certname: Some("p1.example.net".to_owned()),
            insecure: true,
            ..Surroundings::default()
        };
        let settings = Settings::parse(&text, "client");
        let fleet = FleetSettings::read(&settings, &around).unwrap();
        let fleet = fleet
            .load(|path: &Path| std::fs::read_to_string(path))
            .unwrap();
        let flow = load_flow(&config, |path| std::fs::read_to_string(path)).unwrap();
        let helper = ProcessHelper::new(
            &config.helper,
            vec![("PATH".into(), "/usr/bin:/bin".into())],
            self.folder.path().to_owned(),
        )
        .with_time_max(Duration::from_secs(2));
        Provisioner::start(Parts {
            config,
            fleet,
            flow,
            helper: Arc::new(helper),
        })
        .unwrap()
    }

    /// The next call any node hears.
    pub(crate) fn heard(&self) -> Heard {
        self.calls
            .1
            .recv_timeout(PATIENCE)
            .expect("a node is called")
    }

    /// The next call of this action.
    pub(crate) fn heard_of(&self, action: &str) -> Heard {
        loop {
            let heard = self.heard();
            if heard.action == action {
                return heard;
            }
        }
    }

    /// Everything heard so far.
    pub(crate) fn all_heard(&self) -> Vec<Heard> {
        self.calls.1.try_iter().collect()
    }
}

/// Waits until what was counted is as wanted.
pub(crate) fn await_counts(provisioner: &Provisioner, wanted: impl Fn(&Metrics) -> bool) {
    let give_up = Instant::now() + PATIENCE;
    let seen = AtomicBool::new(false);
    while !seen.load(Ordering::Relaxed) {
        let metrics = provisioner.metrics();
        seen.store(wanted(metrics), Ordering::Relaxed);
        assert!(Instant::now() < give_up, "{}", metrics.render("test"));
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
