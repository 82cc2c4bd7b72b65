//! Hears everything on the provisioning network, as the provisioner's own user may, and keeps it unwrapped.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use libtest_mimic::Failed;
use muster_client::Moment;
use muster_client::driver::{Driver, DriverOptions, Endpoint};
use muster_client::fleet::{FleetSettings, Surroundings};
use muster_client::nats::{ClientCore, Event, EventSink, Message, ProtocolError};
use muster_protocol::Scratch;
use muster_protocol::reply::parse_reply;
use muster_protocol::transport::Transport;
use muster_reactor::clock::Clock;
use muster_reactor::rustls::ClientConfig as TlsConfig;
use muster_settings::Settings;

pub(crate) struct Recorder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<String>,
}

struct Ear {
    core: ClientCore,
    tls: Option<Arc<TlsConfig>>,
    heard: Heard,
}

#[derive(Default)]
struct Heard(String);

impl EventSink for Heard {
    fn message(&mut self, message: Message<'_>) {
        self.0.push_str(&String::from_utf8_lossy(message.payload));
        self.0.push('\n');
        if let Ok(reply) = parse_reply(message.payload, &mut Scratch::new()) {
            self.push_json(reply.body);
        }
        let mut document = Vec::new();
        if let Ok(transport) = Transport::parse(message.payload)
            && transport.decode_data(&mut document).is_ok()
        {
            self.push_json(&document);
        }
    }

    fn event(&mut self, _: Event) {}
}

impl Heard {
    /// Keeps a text with its escapes taken off, however often they were put on.
    fn push_json(&mut self, bytes: &[u8]) {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for _ in 0..4 {
            text = text
                .replace("\\\\", "\\")
                .replace("\\n", "\n")
                .replace("\\\"", "\"");
        }
        self.0.push_str(&text);
        self.0.push('\n');
    }
}

impl Endpoint for Ear {
    type Shared = ();

    fn client(&mut self) -> &mut ClientCore {
        &mut self.core
    }

    fn handle_bytes(&mut self, bytes: &[u8], at: Moment, (): &mut ()) -> Result<(), ProtocolError> {
        self.core.handle_bytes(bytes, at.now, &mut self.heard)
    }

    fn handle_timeout(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_timeout(at.now, &mut self.heard);
    }

    fn handle_connect_failed(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_connect_failed(at.now, &mut self.heard);
    }

    fn handle_disconnected(&mut self, at: Moment, (): &mut ()) {
        self.core.handle_disconnected(at.now, &mut self.heard);
    }

    fn next_timeout(&mut self) -> Option<Duration> {
        self.core.poll_timeout()
    }

    fn tls(&self) -> Option<Arc<TlsConfig>> {
        self.tls.clone()
    }
}

impl Recorder {
    /// Connects, and returns once everything is heard.
    pub(crate) fn start(config: &Path, password: &str) -> Result<Self, Failed> {
        let settings = Settings::parse(&std::fs::read_to_string(config)?, "recorder");
        let around = Surroundings {
            certname: Some("provisioner.mcollective".to_owned()),
            ..Surroundings::default()
        };
        let password = password.to_owned();
        let stop = Arc::new(AtomicBool::new(false));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let fleet = FleetSettings::read(&settings, &around).unwrap();
            let mut fleet = fleet
                .load(|path: &Path| std::fs::read_to_string(path))
                .unwrap();
            fleet.client.connect.user = Some("provisioner".into());
            fleet.client.connect.pass = Some(password.into());
            let clock = Clock::start();
            let mut driver = Driver::new(clock, DriverOptions::default(), (), None).unwrap();
            let mut core = ClientCore::new(Arc::new(fleet.client), None, 9, clock.now());
            core.subscribe(b">", None);
            let flush = core.flush();
            driver.add(
                Ear {
                    core,
                    tls: fleet.tls,
                    heard: Heard::default(),
                },
                None,
            );
            let mut told = false;
            while !end.load(Ordering::Acquire) {
                driver.turn(Duration::from_millis(50)).unwrap();
                if !told && driver.with(0, |ear, _, ()| ear.core.flushed() >= flush) {
                    told = ready.send(()).is_ok();
                }
            }
            driver.with(0, |ear, _, ()| std::mem::take(&mut ear.heard.0))
        });
        is_ready.recv_timeout(Duration::from_secs(30))?;
        Ok(Self { stop, thread })
    }

    /// Everything heard.
    pub(crate) fn finish(self) -> Result<String, Failed> {
        self.stop.store(true, Ordering::Release);
        self.thread
            .join()
            .map_err(|_| Failed::from("the recorder panicked"))
    }
}
