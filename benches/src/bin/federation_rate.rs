//! How many replies a second pass through one federation broker.
//!
//! ```sh
//! target/release/federation_rate [REPLIES] [WORKERS]
//! ```
//!
//! Everything is in this process: two brokers, the federation broker between them, one connection that publishes replies
//! on the nodes' side as fast as they are taken, and one that counts them on the callers' side. So the figure is that of
//! the whole way on the cores of this host, not of the federation broker alone.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use muster_broker::{Broker, BrokerConfig};
use muster_client::nats::{ClientConfig, ServerAddr};
use muster_federation::Federation;
use muster_federation::config::{FederationConfig, Member};
use muster_federation::side::Link;

const REPLIES_DEFAULT: usize = 500_000;
const RUNS: usize = 5;
/// Bytes of one reply as nodes send it, 600 of them the body.
const DOCUMENT_BYTES: usize = 1400;
const REPLY_SUBJECT: &str =
    "mcollective.reply.37bdf08389145a56c13096c178802d3b.bd87781a04c142f9b0c7b008f8617e92";
/// How long replies may stay away before the rest counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

#[expect(clippy::print_stderr, reason = "a command line program")]
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("federation_rate: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command line program")]
fn run(words: &[String]) -> Result<(), Box<dyn Error>> {
    let replies = words
        .first()
        .map_or(Ok(REPLIES_DEFAULT), |word| word.parse())?;
    let workers = words.get(1).map_or(Ok(1), |word| word.parse())?;
    let broker = || {
        Broker::start(BrokerConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            shards: Some(1),
            ..BrokerConfig::default()
        })
    };
    let (callers, nodes) = (broker()?, broker()?);
    let federation = Federation::start(&config(callers.address(), nodes.address(), workers))?;
    while !connected(&federation) {
        thread::sleep(Duration::from_millis(20));
    }
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        rates.push(wave(callers.address(), nodes.address(), replies)?);
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "{replies} replies of {} bytes through {workers} worker(s): {:.0} a second, median of {RUNS} runs ({:.0} to {:.0})",
        reply().len(),
        rates[RUNS / 2],
        rates[0],
        rates[RUNS - 1]
    );
    federation.stop();
    Ok(())
}

fn config(callers: SocketAddr, nodes: SocketAddr, workers: usize) -> FederationConfig {
    let link = |address: SocketAddr| {
        let server = ServerAddr::new(address.ip().to_string(), address.port());
        Link {
            client: Arc::new(ClientConfig::new(vec![server])),
            tls: None,
        }
    };
    FederationConfig {
        identity: "fb1.example.net".to_owned(),
        federation: link(callers),
        members: vec![Member {
            cluster: "mcollective".to_owned(),
            link: link(nodes),
        }],
        workers,
        checks_subjects: true,
    }
}

fn connected(federation: &Federation) -> bool {
    let mut workers = federation.workers().iter();
    workers.all(|worker| worker.report().servers.iter().all(Option::is_some))
}

/// Replies a second, from the first that is published to the last that is counted.
fn wave(callers: SocketAddr, nodes: SocketAddr, replies: usize) -> Result<f64, Box<dyn Error>> {
    let mut caller = TcpStream::connect(callers)?;
    caller.set_read_timeout(Some(SILENCE_MAX))?;
    write!(
        caller,
        "CONNECT {{\"verbose\":false}}\r\nSUB {REPLY_SUBJECT} 1\r\nPING\r\n"
    )?;
    let mut heard = BufReader::with_capacity(1 << 20, caller);
    let mut line = String::new();
    while line != "PONG\r\n" {
        line.clear();
        heard.read_line(&mut line)?;
    }
    let mut node = TcpStream::connect(nodes)?;
    let publishing = thread::spawn(move || {
        let reply = reply();
        let mut batch = b"CONNECT {\"verbose\":false}\r\n".to_vec();
        for sent in 0..replies {
            write!(
                batch,
                "PUB choria.federation.mcollective.collective {}\r\n",
                reply.len()
            )?;
            batch.extend_from_slice(&reply);
            batch.extend_from_slice(b"\r\n");
            if batch.len() > 64 * 1024 || sent + 1 == replies {
                node.write_all(&batch)?;
                batch.clear();
            }
        }
        // The connection must stand until the broker has read it to its end.
        node.write_all(b"PING\r\n")?;
        let mut rest = BufReader::new(node);
        let mut line = String::new();
        while line != "PONG\r\n" {
            line.clear();
            if rest.read_line(&mut line)? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    });
    let begun = Instant::now();
    let mut body = Vec::new();
    for counted in 0..replies {
        line.clear();
        while line.is_empty() || line == "PING\r\n" {
            if !line.is_empty() {
                heard.get_mut().write_all(b"PONG\r\n")?;
                line.clear();
            }
            if !heard.read_line(&mut line).is_ok_and(|read| read > 0) {
                return Err(format!("{} of {replies} replies were lost", replies - counted).into());
            }
        }
        let size: usize = line
            .trim_end()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .parse()?;
        body.resize(size + 2, 0);
        heard.read_exact(&mut body)?;
    }
    let taken = begun.elapsed();
    publishing.join().map_err(|_| "the publisher died")??;
    #[expect(clippy::cast_precision_loss, reason = "a count of messages")]
    let rate = replies as f64 / taken.as_secs_f64();
    Ok(rate)
}

fn reply() -> Vec<u8> {
    let data = "QUJD".repeat(DOCUMENT_BYTES / 4);
    format!(
        "{{\"protocol\":\"choria:transport:1\",\"data\":\"{data}\",\"headers\":{{\"mc_sender\":\"node12345.example.net\",\
         \"seen-by\":[[\"nats://fed1.example.net:4222\",\"rip.mcollective\",\"nats://fed1.example.net:4222\"]],\
         \"federation\":{{\"req\":\"6e1f\",\"reply-to\":\"{REPLY_SUBJECT}\"}}}}}}"
    )
    .into_bytes()
}
