//! The server over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use super::*;

fn start(handler: impl Fn(&HttpRequest) -> HttpResponse + Send + Sync + 'static) -> HttpServer {
    HttpServer::start(
        SocketAddr::from(([127, 0, 0, 1], 0)),
        "http",
        Arc::new(handler),
    )
    .unwrap()
}

fn echo() -> HttpServer {
    start(|request| HttpResponse::text(200, format!("{} {:?}", request.path, request.query)))
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &HttpServer) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Status line and headers, then as many body bytes as the head promises unless `headless`.
    fn receive(&mut self, with_body: bool) -> (String, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(
                self.0.read_line(&mut head).unwrap(),
                0,
                "the end came in a head: {head:?}"
            );
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .unwrap();
        let mut body = vec![
            0;
            if with_body {
                length.parse().unwrap()
            } else {
                0
            }
        ];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }

    fn is_ended(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap_or(0) == 0
    }
}

#[test]
fn a_connection_serves_several_requests() {
    let server = echo();
    let mut client = Client::new(&server);
    for path in ["/a", "/b?c=d"] {
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let (head, body) = client.receive(true);
        assert!(
            head.starts_with("HTTP/1.1 200 OK\r\n") && body.starts_with(&path[..2]),
            "{body}"
        );
    }
    // Pipelined, the last one ends the connection.
    client.send("GET /1 HTTP/1.1\r\n\r\nHEAD /22 HTTP/1.1\r\n\r\nGET /3 HTTP/1.0\r\n\r\n");
    assert_eq!(client.receive(true).1, "/1 []");
    assert!(client.receive(false).0.contains("Content-Length: 6\r\n"));
    let (head, body) = client.receive(true);
    assert!(head.contains("Connection: close") && body == "/3 []");
    assert!(client.is_ended());
}

#[test]
fn refusals_have_a_status_and_end_the_connection() {
    let server = echo();
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(2 * HEAD_MAX));
    for (request, status) in [
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("nonsense\r\n\r\n", "400"),
        (long.as_str(), "431"),
    ] {
        let mut client = Client::new(&server);
        client.send(request);
        let (head, _) = client.receive(true);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(head.contains("Allow: GET, HEAD"), status == "405");
        assert!(client.is_ended());
    }
}

#[test]
fn a_panic_costs_one_answer() {
    let server = start(|request| {
        assert_ne!(request.path, "/panic");
        HttpResponse::text(200, "fine")
    });
    for _ in 0..2 * WORKERS {
        let mut client = Client::new(&server);
        client.send("GET /panic HTTP/1.1\r\n\r\n");
        assert!(client.receive(true).0.starts_with("HTTP/1.1 500 "));
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.receive(true).1, "fine");
    }
}

#[test]
fn idle_connections_give_way() {
    let server = echo();
    let begun = std::time::Instant::now();
    let mut kept: Vec<Client> = Vec::new();
    for _ in 0..4 * WORKERS {
        let mut client = Client::new(&server);
        client.send("GET / HTTP/1.1\r\n\r\n");
        assert_eq!(client.receive(true).1, "/ []");
        kept.push(client);
    }
    assert!(
        begun.elapsed() < HEAD_TIME,
        "somebody waited for an idle connection"
    );
    assert!(kept[0].is_ended());
}

#[test]
fn a_large_answer_arrives_whole() {
    let body: String = (0..400_000)
        .map(|number| format!("{number:07}\n"))
        .collect();
    let answer = body.clone();
    let server = start(move |_| HttpResponse::text(200, answer.clone()));
    let mut client = Client::new(&server);
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert!(client.receive(true).1 == body);
}

#[test]
fn dropping_ends_connections_and_frees_the_port() {
    let server = echo();
    let mut idle = Client::new(&server);
    idle.send("GET / HTTP/1.1\r\n\r\n");
    idle.receive(true);
    let mut silent = Client::new(&server);
    let address = server.address();
    let begun = std::time::Instant::now();
    drop(server);
    assert!(begun.elapsed() < HEAD_TIME, "the drop waited for a client");
    assert!(idle.is_ended() && silent.is_ended());
    assert!(TcpListener::bind(address).is_ok());
}
