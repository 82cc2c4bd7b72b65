//! The sink for Kafka against a real one, which `scripts/kafka` starts.
//!
//! Its libraries lie in `target/peers/kafka`, or where `MUSTER_KAFKA` says. Without them, and in a build without the
//! feature `kafka`, its trials are listed as ignored.

#![cfg_attr(
    feature = "kafka",
    expect(clippy::unwrap_used, reason = "a failed step is a failed test")
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    #[cfg(feature = "kafka")]
    let trial = Trial::test("a_broker_that_comes_back_gets_everything", real::comes_back);
    #[cfg(not(feature = "kafka"))]
    let trial = Trial::test("a_broker_that_comes_back_gets_everything", || Ok(()));
    let is_present = cfg!(feature = "kafka") && folder().is_dir();
    let trials = vec![trial.with_ignored_flag(!is_present)];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Where the libraries are.
fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("MUSTER_KAFKA").map(PathBuf::from);
    given.unwrap_or_else(|| here.join("../target/peers/kafka"))
}

#[cfg(feature = "kafka")]
mod real {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use libtest_mimic::Failed;
    use muster_adapters::item::{Item, MessageId};
    use muster_adapters::sink::kafka::Kafka;
    use muster_adapters::sink::{Outcome, Sink};
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::Message;

    const LIMIT: Duration = Duration::from_secs(5);

    /// Two ports nobody uses, below those the system gives to whoever connects: a Kafka that comes back must find them free.
    fn free_pair() -> Option<u16> {
        let start = 20_000 + u16::try_from(std::process::id() % 5_000).ok()? * 2;
        let is_free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        (start..32_000)
            .step_by(2)
            .find(|port| is_free(*port) && is_free(port + 1))
    }

    /// A running one; it ends when dropped.
    struct Running(String);

    impl Running {
        fn start(port: u16) -> Result<Self, Failed> {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
            // What it leaves running must not hold a pipe that is read to its end.
            let said = tempfile::NamedTempFile::new()?;
            let status = Command::new(script)
                .arg(super::folder())
                .arg(port.to_string())
                .stdin(Stdio::null())
                .stdout(said.reopen()?)
                .stderr(Stdio::null())
                .status()?;
            let pid = std::fs::read_to_string(said.path())?.trim().to_owned();
            if status.success() && pid.parse::<u32>().is_ok() {
                return Ok(Self(pid));
            }
            Err(format!("no kafka: {status}, {pid:?}").into())
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = Command::new("kill").args(["-9", &self.0]).status();
            // It is no child of ours, so its end is seen by its place in the process table.
            let place = Path::new("/proc").join(&self.0);
            let by = Instant::now() + LIMIT;
            while place.exists() && Instant::now() < by {
                std::thread::yield_now();
            }
        }
    }

    fn items(range: std::ops::Range<u32>) -> Vec<Item> {
        let item = |number: u32| Item {
            id: MessageId::from_bytes([0; 16]),
            subject: "registration".into(),
            sender: format!("n{number}").into(),
            envelope: format!("{{\"number\":{number}}}").into(),
        };
        range.map(item).collect()
    }

    fn store(sink: &mut Kafka, batch: &[Item]) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        sink.store(batch, LIMIT, &mut outcomes).unwrap();
        outcomes
    }

    /// What the topic has, by sender. Each look is a group of its own, or it would begin where the last one ended.
    fn stored(port: u16, at_least: usize) -> (usize, BTreeSet<String>) {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", format!("127.0.0.1:{port}"))
            .set("group.id", format!("test-{at_least}"))
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&["registration"]).unwrap();
        let (mut count, mut keys) = (0, BTreeSet::new());
        let by = Instant::now() + Duration::from_secs(60);
        while count < at_least && Instant::now() < by {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) {
                count += 1;
                let key = String::from_utf8_lossy(message.key().unwrap()).into_owned();
                let envelope = String::from_utf8_lossy(message.payload().unwrap()).into_owned();
                assert_eq!(envelope, format!("{{\"number\":{}}}", &key[1..]));
                keys.insert(key);
            }
        }
        (count, keys)
    }

    pub(super) fn comes_back() -> Result<(), Failed> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let settings = [("bootstrap.servers".to_owned(), format!("127.0.0.1:{port}"))];
        let running = Running::start(port)?;
        let mut sink = Kafka::new(&settings, LIMIT)?;
        let mut outcomes = Vec::new();
        // The first batch may meet a topic that is being made.
        for _ in 0..5 {
            outcomes = store(&mut sink, &items(0..500));
            if outcomes.iter().all(|outcome| *outcome == Outcome::Stored) {
                break;
            }
        }
        assert!(
            outcomes.iter().all(|outcome| *outcome == Outcome::Stored),
            "{outcomes:?}"
        );
        let (count, keys) = stored(port, 500);
        assert!(count >= 500 && keys.len() == 500, "{count} {}", keys.len());
        drop(running);
        let outcomes = store(&mut sink, &items(500..510));
        assert!(
            outcomes
                .iter()
                .all(|outcome| matches!(outcome, Outcome::Retry(_))),
            "{outcomes:?}"
        );
        let _running = Running::start(port)?;
        let mut outcomes = Vec::new();
        for _ in 0..10 {
            outcomes = store(&mut sink, &items(500..510));
            if outcomes.iter().all(|outcome| *outcome == Outcome::Stored) {
                break;
            }
        }
        assert!(
            outcomes.iter().all(|outcome| *outcome == Outcome::Stored),
            "{outcomes:?}"
        );
        // What the library gave up may have got there all the same, but nothing is missing.
        let (count, keys) = stored(port, 510);
        assert!(count >= 510 && keys.len() == 510, "{count} {}", keys.len());
        std::fs::remove_dir_all(super::folder().join(format!("data-{port}")))?;
        Ok(())
    }
}
