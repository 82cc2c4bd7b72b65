//! Three broker processes in a cluster, each killed in turn with SIGKILL under traffic.
//!
//! Clients know one address and move by what INFO tells them. What is lost is counted, and in the quiet after each kill nothing is.
//! Nothing comes twice by one connection. A subscriber that moves can get a message again that the dead broker had just given it: its new
//! one may hear of that message later than of the subscription. It is so with every cluster of the dialect, and is counted.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than any step takes; reached only where a step never comes.
const PATIENCE: Duration = Duration::from_secs(60);
const MEMBERS: usize = 3;
/// Subscribers and publishers that begin at each member.
const SUBSCRIBERS: usize = 2;
/// Messages between two looks whether the broker still takes them.
const BURST: u64 = 20;

/// A broker process.
struct Member {
    child: Child,
    clients: SocketAddr,
    peers: SocketAddr,
}

impl Member {
    fn start(home: &Path, number: usize, ports: (u16, u16), peers: &[SocketAddr]) -> Self {
        let peers: Vec<String> = peers.iter().map(|peer| format!("nats://{peer}")).collect();
        let config = home.join(format!("b{number}.conf"));
        let text = format!(
            "identity = b{number}\n\
             plugin.choria.broker_network = true\n\
             plugin.choria.network.listen_address = 127.0.0.1\n\
             plugin.choria.network.client_port = {}\n\
             plugin.choria.network.peer_port = {}\n\
             plugin.choria.network.peer_listen = true\n\
             plugin.choria.network.peers = {}\n",
            ports.0,
            ports.1,
            peers.join(", ")
        );
        fs::write(&config, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["broker", "--config"])
            .arg(&config)
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        while said.last().is_none_or(|line| line != "Server is ready") {
            said.push(lines.next().expect("it starts").unwrap());
        }
        let address = |mark: &str| {
            let mut lines = said.iter();
            let found = lines.find_map(|line| line.strip_prefix(mark));
            found.expect("it says where").parse().unwrap()
        };
        let member = Self {
            clients: address("Listening for client connections on "),
            peers: address("Listening for route connections on "),
            child,
        };
        // The log goes on; a full pipe would stop the broker.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        member
    }
}

impl Drop for Member {
    /// SIGKILL.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that moves to another member when its own is gone.
struct Mover {
    known: Vec<SocketAddr>,
    lines: BufReader<TcpStream>,
    moves: u64,
    greeting: String,
}

impl Mover {
    fn new(address: SocketAddr, greeting: &str) -> Self {
        let mut known = vec![address];
        let lines = connect(&mut known, greeting);
        Self {
            known,
            lines,
            moves: 0,
            greeting: greeting.to_owned(),
        }
    }

    fn move_on(&mut self) {
        self.moves += 1;
        // The one that failed comes last.
        self.known.rotate_left(1);
        self.lines = connect(&mut self.known, &self.greeting);
    }

    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.lines.get_mut().write_all(bytes)
    }

    /// The next line that is of interest; none once the broker is gone.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            match self.lines.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            if line == "PING\r\n" {
                self.send(b"PONG\r\n").ok()?;
            } else if line.starts_with("INFO ") {
                learn(&mut self.known, &line);
            } else {
                return Some(line);
            }
        }
    }
}

/// Connects to the first member that answers.
fn connect(known: &mut Vec<SocketAddr>, greeting: &str) -> BufReader<TcpStream> {
    let begun = Instant::now();
    loop {
        for address in known.clone() {
            let Ok(stream) = TcpStream::connect(address) else {
                continue;
            };
            stream.set_nodelay(true).unwrap();
            let mut lines = BufReader::new(stream);
            let mut info = String::new();
            let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\n";
            let greeted = lines.read_line(&mut info).is_ok()
                && info.starts_with("INFO ")
                && lines
                    .get_mut()
                    .write_all(format!("{connect}{greeting}PING\r\n").as_bytes())
                    .is_ok();
            if greeted {
                let place = known.iter().position(|other| *other == address).unwrap();
                known.rotate_left(place);
                learn(known, &info);
                return lines;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no member of {known:?} answers");
        std::thread::yield_now();
    }
}

fn learn(known: &mut Vec<SocketAddr>, info: &str) {
    let urls = info
        .split_once("\"connect_urls\":[")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map_or("", |(urls, _)| urls);
    for url in urls.split(',') {
        if let Ok(address) = url.trim_matches('"').parse()
            && !known.contains(&address)
        {
            known.push(address);
        }
    }
}

/// Who got what, and how often, by publisher.
#[derive(Default)]
struct Received {
    /// Each message, and which of the subscriber's connections it came by.
    numbers: BTreeMap<usize, BTreeMap<u64, u64>>,
    /// Twice by one connection.
    twice: u64,
    /// Once by a connection that ended and once by its successor.
    again: u64,
}

struct Traffic {
    stop: Arc<AtomicBool>,
    quiet: Arc<AtomicBool>,
    settled: AtomicU64,
    /// Whether each publisher has seen that it is to be quiet.
    resting: Vec<Arc<AtomicBool>>,
    /// Messages of each publisher that its broker had taken, and all that it sent.
    taken: Vec<Arc<AtomicU64>>,
    sent: Vec<Arc<AtomicU64>>,
    received: Vec<Arc<Mutex<Received>>>,
    threads: Vec<JoinHandle<u64>>,
}

impl Traffic {
    fn start(members: &[SocketAddr]) -> Self {
        let mut traffic = Self {
            stop: Arc::default(),
            // Nothing is published before everybody has subscribed.
            quiet: Arc::new(AtomicBool::new(true)),
            settled: AtomicU64::new(0),
            resting: Vec::new(),
            taken: Vec::new(),
            sent: Vec::new(),
            received: Vec::new(),
            threads: Vec::new(),
        };
        for member in members {
            for _ in 0..SUBSCRIBERS {
                traffic.subscribe(*member);
            }
        }
        for member in members {
            traffic.publish(*member);
        }
        traffic
    }

    fn subscribe(&mut self, member: SocketAddr) {
        let received = Arc::new(Mutex::new(Received::default()));
        self.received.push(Arc::clone(&received));
        let stop = Arc::clone(&self.stop);
        let mut mover = Mover::new(member, "SUB news.* 1\r\n");
        self.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let Some(line) = mover.line() else {
                    mover.move_on();
                    continue;
                };
                let Some(rest) = line.strip_prefix("MSG news.") else {
                    continue;
                };
                let publisher: usize = rest.split(' ').next().unwrap().parse().unwrap();
                let Some(body) = mover.line() else { continue };
                let number: u64 = body.trim().parse().unwrap();
                let mut received = received.lock().unwrap();
                let numbers = received.numbers.entry(publisher).or_default();
                match numbers.insert(number, mover.moves) {
                    None => {}
                    Some(before) if before == mover.moves => received.twice += 1,
                    Some(_) => received.again += 1,
                }
            }
            mover.moves
        }));
    }

    fn publish(&mut self, member: SocketAddr) {
        let number = self.taken.len();
        let (taken, sent) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        self.taken.push(Arc::clone(&taken));
        self.sent.push(Arc::clone(&sent));
        let (stop, quiet) = (Arc::clone(&self.stop), Arc::clone(&self.quiet));
        let resting = Arc::<AtomicBool>::default();
        self.resting.push(Arc::clone(&resting));
        let mut mover = Mover::new(member, "");
        self.threads.push(std::thread::spawn(move || {
            let mut next = 0;
            while mover.line().is_some_and(|line| line != "PONG\r\n") {}
            while !stop.load(Ordering::Relaxed) {
                let rests = quiet.load(Ordering::Acquire);
                resting.store(rests, Ordering::Release);
                if rests {
                    std::thread::park_timeout(Duration::from_millis(1));
                    continue;
                }
                let mut burst = String::new();
                for at in next..next + BURST {
                    let body = at.to_string();
                    burst += &format!("PUB news.{number} {}\r\n{body}\r\n", body.len());
                }
                burst += "PING\r\n";
                next += BURST;
                sent.store(next, Ordering::Relaxed);
                let mut answered = mover.send(burst.as_bytes()).is_ok();
                while answered {
                    match mover.line() {
                        Some(line) if line == "PONG\r\n" => break,
                        Some(_) => {}
                        None => answered = false,
                    }
                }
                if answered {
                    taken.fetch_add(BURST, Ordering::Relaxed);
                } else {
                    mover.move_on();
                    while mover.line().is_some_and(|line| line != "PONG\r\n") {}
                }
            }
            mover.moves
        }));
    }

    /// Stops publishing, and waits until a message of each publisher's member reaches every subscriber.
    fn settle(&self, members: &[SocketAddr]) {
        // Markers of an earlier settling are below this.
        let count = self.settled.fetch_add(1 << 32, Ordering::Relaxed);
        self.quiet.store(true, Ordering::Release);
        // A burst that is under way belongs to what came before.
        while !self
            .resting
            .iter()
            .all(|rests| rests.load(Ordering::Acquire))
        {
            std::thread::yield_now();
        }
        for (place, member) in members.iter().enumerate() {
            let marker = 1000 + place;
            let begun = Instant::now();
            let mut mover = Mover::new(*member, "");
            let reached = |received: &Arc<Mutex<Received>>| {
                let received = received.lock().unwrap();
                let numbers = received.numbers.get(&marker);
                numbers.is_some_and(|numbers| numbers.range(count..).next().is_some())
            };
            let mut attempt = 0;
            while !self.received.iter().all(reached) {
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{member} does not reach everybody"
                );
                // Each attempt has a number of its own, for a marker that comes twice would count as doubled.
                let body = (count + attempt).to_string();
                attempt += 1;
                let line = format!("PUB news.{marker} {}\r\n{body}\r\nPING\r\n", body.len());
                mover.send(line.as_bytes()).unwrap();
                while mover.line().is_some_and(|line| line != "PONG\r\n") {}
                std::thread::yield_now();
            }
        }
    }

    fn resume(&self) {
        self.quiet.store(false, Ordering::Release);
        while self
            .resting
            .iter()
            .any(|rests| rests.load(Ordering::Acquire))
        {
            std::thread::yield_now();
        }
    }

    fn wait_for(&self, messages: u64) {
        let total = || {
            let taken = self.taken.iter();
            taken
                .map(|taken| taken.load(Ordering::Relaxed))
                .sum::<u64>()
        };
        let wanted = total() + messages;
        let begun = Instant::now();
        while total() < wanted {
            assert!(begun.elapsed() < PATIENCE, "the publishers are stuck");
            std::thread::yield_now();
        }
    }

    /// What the brokers took and some subscriber did not get, over all subscribers; and what came twice.
    fn losses(&self) -> (u64, u64, u64) {
        let sent: u64 = self
            .sent
            .iter()
            .map(|sent| sent.load(Ordering::Relaxed))
            .sum();
        let (mut got, mut twice) = (0, 0);
        for received in &self.received {
            let received = received.lock().unwrap();
            twice += received.twice;
            let of_publishers = received.numbers.range(..1000);
            got += of_publishers
                .map(|(_, numbers)| numbers.len() as u64)
                .sum::<u64>();
        }
        let wanted = sent * self.received.len() as u64;
        (wanted, wanted - got, twice)
    }
}

#[test]
fn each_member_is_killed_in_turn_under_traffic() {
    let home = TempDir::new().unwrap();
    let mut members: Vec<Member> = Vec::new();
    for number in 0..MEMBERS {
        let peers: Vec<_> = members.iter().map(|member| member.peers).collect();
        members.push(Member::start(home.path(), number, (0, 0), &peers));
    }
    let clients: Vec<SocketAddr> = members.iter().map(|member| member.clients).collect();
    let peers: Vec<SocketAddr> = members.iter().map(|member| member.peers).collect();
    let traffic = Traffic::start(&clients);
    traffic.settle(&clients);
    traffic.resume();
    traffic.wait_for(3000);
    traffic.settle(&clients);
    let (_, lost, _) = traffic.losses();
    assert_eq!(lost, 0, "nothing is lost while nobody dies");
    for victim in 0..MEMBERS {
        traffic.resume();
        traffic.wait_for(1000);
        let ports = (clients[victim].port(), peers[victim].port());
        // SIGKILL, in the middle of it.
        drop(members.remove(victim));
        traffic.wait_for(1000);
        let left: Vec<_> = clients
            .iter()
            .copied()
            .filter(|c| *c != clients[victim])
            .collect();
        traffic.settle(&left);
        let before = traffic.losses().1;
        traffic.resume();
        traffic.wait_for(1000);
        traffic.settle(&left);
        let (wanted, lost, twice) = traffic.losses();
        assert_eq!(lost, before, "in the quiet after the kill nothing is lost");
        eprintln!("b{victim} killed: {lost} of {wanted} deliveries lost so far, {twice} twice");
        members.insert(victim, Member::start(home.path(), victim, ports, &peers));
        traffic.settle(&clients);
    }
    let (wanted, lost, twice) = traffic.losses();
    let again: u64 = traffic
        .received
        .iter()
        .map(|r| r.lock().unwrap().again)
        .sum();
    eprintln!(
        "{lost} of {wanted} deliveries lost in all, {again} had again by subscribers that moved"
    );
    assert_eq!(twice, 0, "nothing comes twice");
    // A kill takes what its clients had under way and what others sent to them until they had moved.
    assert!(lost * 2 < wanted, "{lost} of {wanted} lost");
    traffic.stop.store(true, Ordering::Relaxed);
    drop(members);
    // The subscribers end with their brokers; they would look for another one for ever.
    drop(traffic.received);
}
