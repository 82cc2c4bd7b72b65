//! The statistics of a running daemon, over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use muster_server::daemon::Daemon;
use muster_server::{NodeConfig, NodeFlags};
use muster_settings::Settings;

use super::peer::{Peer, WAIT_MAX};

/// The head and the body of a page.
fn page(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn a_daemon_serves_its_pages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = |broker: SocketAddr, stats: Option<SocketAddr>| {
        let text = format!(
            "identity = n1\nplugin.choria.middleware_hosts = {broker}\nclassesfile = /nonexistent\n"
        );
        let settings = Settings::parse(&text, "server.conf");
        let config = NodeConfig::from_settings(&settings, &NodeFlags::laboratory());
        let mut config = config.unwrap();
        config.announce.stats = stats;
        config
    };
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let silent = Daemon::new(config(nobody, None)).start().unwrap();
    assert_eq!(silent.stats_address(), None);
    silent.stop().unwrap();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = config(listener.local_addr().unwrap(), Some(any));
    let running = Daemon::new(config).start().unwrap();
    let address = running.stats_address().unwrap();
    assert_ne!(address.port(), 0);
    let (head, body) = page(address, "/choria/");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let about: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(about["identity"], "n1");
    assert_eq!(about["build"]["secure"], false);
    assert!(page(address, "/other").0.starts_with("HTTP/1.1 404"));

    let mut peer = Peer::accept(&listener);
    let sid = peer.sid("mcollective.broadcast.agent.rpcutil");
    peer.write(format!("MSG mcollective.broadcast.agent.rpcutil {sid} 1\r\nx\r\n").as_bytes());
    let start = Instant::now();
    let expected = [
        "muster_server_connected{identity=\"n1\"} 1",
        "muster_server_messages_total{identity=\"n1\"} 1",
    ];
    loop {
        let (head, body) = page(address, "/metrics");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        if expected
            .iter()
            .all(|line| body.lines().any(|own| own == *line))
        {
            break;
        }
        assert!(start.elapsed() < WAIT_MAX, "{body}");
    }
    running.stop().unwrap();
}
