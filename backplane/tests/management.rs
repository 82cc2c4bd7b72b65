//! An application with a backplane, managed over a broker.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use muster_backplane::{
    Authorization, Backplane, Builder, DENIED, DataItem, Health, HealthCheck, InfoSource, LogLevel,
    LogLevels, ManagementConfig, Pausable, StartError, Stoppable, VERSION,
};
use muster_broker::Broker;
use serde_json::{Value, json};

use support::{Answer, ask, broker, caller, discover, discover_once};

const APP: &str = "app1.example.net";
const COLLECTIVE: &str = "app_backplane";
const MANAGER: &str = "manager.mcollective";

/// An application that offers everything, and notices callbacks that overlap.
#[derive(Debug)]
struct App {
    paused: AtomicBool,
    level: AtomicU32,
    busy: AtomicBool,
    overlaps: AtomicU32,
    ended: SyncSender<()>,
}

impl App {
    fn new() -> (Arc<Self>, Receiver<()>) {
        let (ended, end) = sync_channel(4);
        let app = Self {
            paused: AtomicBool::new(false),
            level: AtomicU32::new(2),
            busy: AtomicBool::new(false),
            overlaps: AtomicU32::new(0),
            ended,
        };
        (Arc::new(app), end)
    }

    /// Does something that others get time to meddle with.
    fn alone(&self, act: impl FnOnce()) {
        if self.busy.swap(true, Ordering::SeqCst) {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        for _ in 0..100 {
            std::thread::yield_now();
        }
        act();
        self.busy.store(false, Ordering::SeqCst);
    }
}

impl Pausable for App {
    fn pause(&self) {
        self.alone(|| self.paused.store(true, Ordering::SeqCst));
    }

    fn resume(&self) {
        self.alone(|| self.paused.store(false, Ordering::SeqCst));
    }

    fn flip(&self) {
        self.alone(|| {
            self.paused.fetch_xor(true, Ordering::SeqCst);
        });
    }

    fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }
}

impl HealthCheck for App {
    fn check(&self) -> Health {
        let is_paused = self.is_paused();
        Health {
            is_healthy: !is_paused,
            result: json!({"working": !is_paused}),
        }
    }
}

impl Stoppable for App {
    fn shutdown(&self) {
        self.ended.send(()).unwrap();
    }
}

const LEVELS: [LogLevel; 4] = [
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warning,
    LogLevel::Critical,
];

impl LogLevels for App {
    fn set_level(&self, level: LogLevel) {
        let index = LEVELS.iter().position(|known| *known == level).unwrap();
        self.level
            .store(index.try_into().unwrap(), Ordering::SeqCst);
    }

    fn level(&self) -> LogLevel {
        LEVELS[self.level.load(Ordering::SeqCst) as usize]
    }
}

impl InfoSource for App {
    fn facts(&self) -> Value {
        json!({"dc": "DC1", "paused": self.is_paused()})
    }

    fn version(&self) -> String {
        "1.2.3".to_owned()
    }
}

fn everything(broker: &Broker, app: &Arc<App>) -> Builder {
    bare(broker)
        .pausable(app.clone())
        .health_check(app.clone())
        .stoppable(app.clone())
        .log_levels(app.clone())
        .info_source(app.clone())
        .shutdown_delay_max(Duration::ZERO)
}

fn bare(broker: &Broker) -> Builder {
    let auth = Authorization::new(&["^choria=manager.mcollective$"], &["guest.mcollective"]);
    Backplane::builder("app")
        .broker(&broker.address().to_string())
        .identity(APP)
        .authorization(auth.unwrap())
}

#[test]
fn everything_an_application_offers_can_be_asked_for() {
    let broker = broker();
    let (app, _end) = App::new();
    let backplane = everything(&broker, &app).start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(&mut manager, &[]);
    let mut ask = |action: &str| ask(&mut manager, APP, "backplane", action);
    let info = |paused: bool, healthy: bool, level: &str| {
        let text = format!(
            r#"{{"backplane_version":"{VERSION}","version":"1.2.3","paused":{paused},"facts":{{"dc":"DC1","paused":{paused}}},"healthy":{healthy},"loglevel":"{level}","healthcheck_feature":true,"pause_feature":true,"shutdown_feature":true,"facts_feature":true,"loglevel_feature":true}}"#
        );
        Answer::ok(&text)
    };
    let version = format!(r#"{{"version":"{VERSION}"}}"#);
    assert_eq!(ask("ping"), Answer::ok(&version));
    assert_eq!(ask("info"), info(false, true, "warning"));
    let (paused, running) = (
        Answer::ok(r#"{"paused":true}"#),
        Answer::ok(r#"{"paused":false}"#),
    );
    for (action, answer) in [
        ("pause", &paused),
        ("pause", &paused),
        ("flip", &running),
        ("flip", &paused),
        ("resume", &running),
        ("pause", &paused),
    ] {
        assert_eq!(ask(action), *answer, "{action}");
    }
    let unwell = r#"{"result":{"working":false},"healthy":false}"#;
    assert_eq!(ask("health"), Answer::ok(unwell));
    for (action, level) in [
        ("debuglvl", "debug"),
        ("infolvl", "info"),
        ("warnlvl", "warning"),
        ("critlvl", "critical"),
    ] {
        let answer = Answer::ok(&format!(r#"{{"level":"{level}"}}"#));
        assert_eq!(ask(action), answer);
        assert_eq!(ask("info"), info(true, false, level));
    }
    backplane.stop().unwrap();
}

#[test]
fn rights_go_by_the_lists_and_every_denial_says_the_same() {
    let broker = broker();
    let (app, end) = App::new();
    let backplane = everything(&broker, &app).start().unwrap();
    let read_only = ["ping", "info", "health"];
    let full = [
        "pause", "resume", "flip", "shutdown", "debuglvl", "infolvl", "warnlvl", "critlvl",
    ];
    for (certname, sees) in [("guest.mcollective", true), ("other.mcollective", false)] {
        let mut fleet = caller(&broker, COLLECTIVE, certname);
        discover(&mut fleet, &[]);
        for action in read_only {
            let answer = ask(&mut fleet, APP, "backplane", action);
            assert_eq!(answer.status == 0, sees, "{certname} {action}: {answer:?}");
        }
        for action in full {
            let answer = ask(&mut fleet, APP, "backplane", action);
            assert_eq!(answer, Answer::failed(1, DENIED), "{certname} {action}");
        }
    }
    assert!(!app.is_paused());
    assert_eq!(app.level(), LogLevel::Warning);
    backplane.stop().unwrap();
    assert!(end.try_recv().is_err(), "nobody who may has asked for it");
}

#[test]
fn what_is_not_offered_is_unknown_and_its_facts_say_so() {
    let broker = broker();
    let backplane = bare(&broker).start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(
        &mut manager,
        &["backplane_pausable=false", "backplane_name=app"],
    );
    for action in ["pause", "health", "shutdown", "debuglvl"] {
        let text = format!("Unknown action {action} for agent backplane");
        let answer = ask(&mut manager, APP, "backplane", action);
        assert_eq!(answer, Answer::failed(2, &text));
    }
    let info = format!(
        r#"{{"backplane_version":"{VERSION}","version":"unknown","paused":false,"facts":null,"healthy":false,"loglevel":"unknown","healthcheck_feature":false,"pause_feature":false,"shutdown_feature":false,"facts_feature":false,"loglevel_feature":false}}"#
    );
    assert_eq!(
        ask(&mut manager, APP, "backplane", "info"),
        Answer::ok(&info)
    );
    backplane.stop().unwrap();
}

#[test]
fn an_application_is_found_by_its_facts_as_they_change() {
    let broker = broker();
    let (app, _end) = App::new();
    let backplane = everything(&broker, &app).start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    let offered = [
        "backplane_pausable=true",
        "backplane_stopable=true",
        "backplane_healthcheckable=true",
        "backplane_loglevelsetable=true",
    ];
    assert_eq!(discover(&mut manager, &offered), [APP]);
    assert_eq!(discover(&mut manager, &["dc=DC1", "paused=false"]), [APP]);
    ask(&mut manager, APP, "backplane", "pause");
    assert_eq!(discover_once(&mut manager, &["paused=true"]), [APP]);
    // The application changes by itself, and says so.
    app.resume();
    backplane.refresh_facts();
    discover(&mut manager, &["paused=false"]);
    backplane.stop().unwrap();
}

#[test]
fn facts_are_renewed_from_time_to_time() {
    let broker = broker();
    let (app, _end) = App::new();
    let builder = everything(&broker, &app).facts_interval(Duration::from_millis(10));
    let backplane = builder.start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(&mut manager, &["paused=false"]);
    app.pause();
    discover(&mut manager, &["paused=true"]);
    backplane.stop().unwrap();
}

#[test]
fn actions_come_one_at_a_time() {
    let broker = broker();
    let (app, _end) = App::new();
    let backplane = everything(&broker, &app).start().unwrap();
    discover(&mut caller(&broker, COLLECTIVE, MANAGER), &[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut manager = caller(&broker, COLLECTIVE, MANAGER);
                for _ in 0..10 {
                    let answer = ask(&mut manager, APP, "backplane", "flip");
                    assert_eq!(answer.status, 0, "{answer:?}");
                }
            });
        }
    });
    assert_eq!(app.overlaps.load(Ordering::SeqCst), 0);
    assert!(!app.is_paused(), "an even number of flips restores");
    backplane.stop().unwrap();
}

#[test]
fn a_shutdown_comes_after_the_answer_once_for_several_callers() {
    let broker = broker();
    let (app, end) = App::new();
    let backplane = everything(&broker, &app).start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(&mut manager, &[]);
    for _ in 0..2 {
        let answer = ask(&mut manager, APP, "backplane", "shutdown");
        assert_eq!(answer, Answer::ok(r#"{"delay":"1s"}"#));
    }
    end.recv_timeout(Duration::from_secs(30)).unwrap();
    backplane.stop().unwrap();
    assert!(end.try_recv().is_err());
}

#[test]
fn a_shutdown_that_is_not_due_goes_with_its_backplane() {
    let broker = broker();
    let (app, end) = App::new();
    let hour = Duration::from_secs(3600);
    let builder = everything(&broker, &app).shutdown_delay_max(hour * 1000);
    let backplane = builder.start().unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(&mut manager, &[]);
    let answer = ask(&mut manager, APP, "backplane", "shutdown");
    assert!(answer.data.starts_with(r#"{"delay":""#), "{answer:?}");
    backplane.stop().unwrap();
    assert!(end.try_recv().is_err());
}

#[test]
fn a_panic_of_the_application_is_told_and_hurts_nothing_else() {
    struct Broken;
    impl HealthCheck for Broken {
        fn check(&self) -> Health {
            panic!("as asked")
        }
    }
    let broker = broker();
    let backplane = bare(&broker)
        .health_check(Arc::new(Broken))
        .start()
        .unwrap();
    let mut manager = caller(&broker, COLLECTIVE, MANAGER);
    discover(&mut manager, &[]);
    let answer = ask(&mut manager, APP, "backplane", "health");
    assert_eq!(answer, Answer::failed(1, "backplane#health panicked"));
    assert_eq!(ask(&mut manager, APP, "backplane", "ping").status, 0);
    backplane.stop().unwrap();
}

#[test]
fn an_application_starts_without_a_broker() {
    let (app, _end) = App::new();
    // The discard port: nobody listens.
    let builder = Backplane::builder("app")
        .broker("127.0.0.1:9")
        .identity(APP);
    let backplane = builder.pausable(app).start().unwrap();
    let item = DataItem::to_subject("acme.iot", "kept until there is one");
    backplane.outbox().send(item).unwrap();
    assert!(!backplane.is_over());
    assert_eq!(backplane.outbox().waiting(), 1);
    backplane.stop().unwrap();
}

#[test]
fn everything_wrong_is_told_before_anything_starts() {
    let error = Backplane::builder("My App")
        .broker("x y")
        .identity("a\nb")
        .start();
    let StartError::Config(problems) = error.unwrap_err() else {
        panic!("not a problem of the configuration");
    };
    let keys: Vec<_> = problems.0.iter().map(|problem| &*problem.key).collect();
    assert_eq!(
        keys,
        ["brokers", "name", "brokers", "identity"],
        "{problems}"
    );
    let text = "management: {name: app, brokers: [b:4222], \
                tls: {scheme: file, identity: app1, ca: /nonexistent/ca, cert: c, key: k}}";
    let config = ManagementConfig::from_yaml(text).unwrap();
    let error = config.builder().start().unwrap_err();
    assert!(matches!(error, StartError::Node(_)), "{error}");
    assert!(error.to_string().contains("/nonexistent/ca"), "{error}");
}
