//! A real nats-server as a member, where there is one here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A running nats-server; it is killed when dropped.
pub(crate) struct Real {
    child: Child,
    pub(crate) clients: SocketAddr,
    pub(crate) peers: SocketAddr,
    monitor: SocketAddr,
    log: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

/// What a member is started with.
#[derive(Debug, Clone)]
pub(crate) struct RealConfig {
    pub(crate) name: String,
    pub(crate) routes: Vec<SocketAddr>,
    /// Ports of clients and peers; 0 takes free ones.
    pub(crate) ports: (u16, u16),
    /// Further lines of the cluster's block.
    pub(crate) cluster: String,
    /// Further lines outside of it.
    pub(crate) rest: String,
}

impl RealConfig {
    pub(crate) fn new(name: &str, routes: &[SocketAddr]) -> Self {
        Self {
            name: name.to_owned(),
            routes: routes.to_vec(),
            ports: (0, 0),
            cluster: "name: C1".to_owned(),
            rest: String::new(),
        }
    }

    fn text(&self) -> String {
        let port = |port: u16| match port {
            0 => "-1".to_owned(),
            port => port.to_string(),
        };
        let routes: Vec<String> = self
            .routes
            .iter()
            .map(|route| format!("\"nats://{route}\""))
            .collect();
        format!(
            "server_name: {}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:-1\"\ndebug: true\n{}\n\
             cluster {{\n  listen: \"127.0.0.1:{}\"\n  routes: [{}]\n  {}\n}}\n",
            self.name,
            port(self.ports.0),
            self.rest,
            port(self.ports.1),
            routes.join(", "),
            self.cluster,
        )
    }
}

/// The program, if there is one here.
pub(crate) fn nats_server() -> Option<PathBuf> {
    let given = std::env::var_os("MUSTER_NATS_SERVER").map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/peers/bin/nats-server");
    given.or(Some(usual)).filter(|path| path.is_file())
}

impl Real {
    pub(crate) fn start(config: &RealConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.conf");
        std::fs::write(&file, config.text()).unwrap();
        let mut child = Command::new(nats_server().expect("there is one"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut address = [None; 3];
        let marks = [
            "Listening for client connections on ",
            "Listening for route connections on ",
            "Starting http monitor on ",
        ];
        // Routes are listened on last.
        while address.iter().any(Option::is_none) {
            let line = lines.next().expect("it starts").unwrap();
            for (place, mark) in address.iter_mut().zip(marks) {
                if let Some((_, found)) = line.split_once(mark) {
                    *place = found.trim().parse().ok();
                }
            }
            log.lock().unwrap().push_str(&format!("{line}\n"));
        }
        let all = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                all.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self {
            child,
            clients: address[0].unwrap(),
            peers: address[1].unwrap(),
            monitor: address[2].unwrap(),
            log,
            _folder: folder,
        }
    }

    /// What it wrote to its log.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn routes(&self) -> Vec<Value> {
        let page = get(self.monitor, "/routez");
        page["routes"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&text(address, path)).unwrap()
}

/// A page of monitoring.
pub(crate) fn text(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    body.to_owned()
}
