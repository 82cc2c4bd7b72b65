//! The daemons under a service manager: this test is the manager, with a socket of its own.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Longer than any step takes; reached only where a step never comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The manager's patience, in the variable's unit.
const WATCHDOG_US: &str = "400000";

/// A daemon, and the socket it tells its state.
struct Service {
    child: Child,
    socket: UnixDatagram,
}

impl Service {
    /// Starts `muster` as a manager would: with a socket, and watched under the process id it has.
    fn start(home: &Path, words: &[&str]) -> Self {
        let path = home.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = Command::new("sh")
            .args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_muster"))
            .args(words)
            .current_dir(home)
            .env("HOME", home)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", WATCHDOG_US)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, socket }
    }

    /// The next state, as its lines.
    fn told(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..length]).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// The next state that is not a sign of life.
    fn told_news(&self) -> Vec<String> {
        loop {
            let told = self.told();
            if told[0] != "WATCHDOG=1" {
                return told;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Reads what the daemon says until a line with this text, and gives what follows the text.
    fn said_after(&mut self, text: &str) -> String {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        for line in lines.map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
            said.push(line);
        }
        panic!("no {text:?} in {said:?}");
    }

    /// A reload is told from its beginning to its end.
    fn assert_reload(&self) {
        self.signal("HUP");
        let begun = self.told_news();
        assert_eq!(begun[0], "RELOADING=1");
        assert!(begun[1].starts_with("MONOTONIC_USEC="), "{begun:?}");
        assert_eq!(self.told_news(), ["READY=1"]);
    }

    fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        assert_eq!(self.told_news(), ["STOPPING=1"]);
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_broker_is_ready_when_clients_can_connect_and_lives_while_its_shards_answer() {
    let home = TempDir::new().unwrap();
    let log = home.path().join("broker.log");
    let config = format!(
        "plugin.choria.network.listen_address = 127.0.0.1\nlogfile = {}\n",
        log.display()
    );
    fs::write(home.path().join("broker.conf"), config).unwrap();
    let words = ["broker", "--config", "broker.conf", "--port", "0"];
    let mut broker = Service::start(home.path(), &words);
    assert_eq!(broker.told(), ["READY=1"]);
    let address = broker.said_after("Listening for client connections on ");
    let client = TcpStream::connect(address).unwrap();

    let alive = broker.told();
    assert_eq!(alive[0], "WATCHDOG=1");
    assert!(alive[1].ends_with("all shards answer"), "{alive:?}");
    assert_eq!(broker.told()[0], "WATCHDOG=1", "it is told again and again");
    drop(client);

    let rotated = home.path().join("broker.log.1");
    fs::rename(&log, &rotated).unwrap();
    broker.assert_reload();
    assert!(log.exists(), "the log goes on in a new file");
    assert!(broker.stop().success());
}

#[test]
fn a_node_is_ready_without_a_broker_and_lives_while_its_loop_goes_round() {
    let home = TempDir::new().unwrap();
    // Nobody listens on a port that was free a moment ago and is not handed out again at once.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let config = format!(
        "identity = n1.example.net\nplugin.choria.middleware_hosts = 127.0.0.1:{port}\nlogfile = {}\n",
        home.path().join("server.log").display()
    );
    fs::write(home.path().join("server.conf"), config).unwrap();
    let words = ["server", "--insecure", "--config", "server.conf"];
    let node = Service::start(home.path(), &words);
    assert_eq!(node.told(), ["READY=1"]);
    assert_eq!(node.told(), ["WATCHDOG=1"]);
    assert_eq!(node.told(), ["WATCHDOG=1"], "it is told again and again");
    node.assert_reload();
    assert!(node.stop().success());
}
