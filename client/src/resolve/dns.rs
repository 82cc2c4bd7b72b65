//! SRV lookups: one question at a time, by UDP, and by TCP where the answer is too large for that.
//!
//! An answer counts only if it comes from the server that was asked, with the number and the question that it was asked with.
//! Answers, also that there are no records, are kept for five seconds; failures are not kept.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fastrand::Rng;
use muster_reactor::clock::random_seed;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};

use super::resolv_conf::ResolvConf;
use crate::nats::ServerAddr;

/// How long an answer is kept.
const CACHE_TIME: Duration = Duration::from_secs(5);
/// Answers that are kept at a time; more names than a program asks for.
const CACHE_MAX: usize = 64;
/// The largest answer by UDP that is read.
const UDP_BYTES_MAX: usize = 4096;
/// Records of one answer that are used.
const RECORDS_MAX: usize = 256;
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrvRecord {
    /// Servers of a lower number are to be tried first.
    pub priority: u16,
    /// How often it should come first among those of one priority, in comparison.
    pub weight: u16,
    /// Where it is; the name without a dot at its end.
    pub server: ServerAddr,
}

/// Why a lookup has no answer.
#[derive(Debug)]
pub enum ResolveError {
    /// The name can be none in DNS.
    BadName(String),
    /// No server answered in time, or one could not be reached: the last server, and what the system said.
    Io(SocketAddr, io::Error),
    /// The server refuses, or fails itself: the name of its response code.
    Server(SocketAddr, String),
    /// The answer is none.
    Malformed(SocketAddr),
    /// The search took too long as a whole.
    Deadline,
}

/// Looks records up.
#[derive(Debug)]
pub struct Resolver {
    conf: ResolvConf,
    rng: Rng,
    cache: HashMap<String, (Instant, Vec<SrvRecord>)>,
    /// When the present search is over; none gives each lookup the time it takes.
    deadline: Option<Instant>,
}

impl Resolver {
    /// A resolver of the system's configuration; without one, it asks a name server on this host.
    #[must_use]
    pub fn system() -> Self {
        let text = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        Self::new(ResolvConf::parse(&text))
    }

    /// A resolver of this configuration.
    #[must_use]
    pub fn new(conf: ResolvConf) -> Self {
        Self {
            conf,
            rng: Rng::with_seed(random_seed()),
            cache: HashMap::new(),
            deadline: None,
        }
    }

    /// The domain the configuration completes names with.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.conf.domain.as_deref()
    }

    /// All lookups from now on take no longer than this together.
    pub fn begin_search(&mut self, time: Duration) {
        self.deadline = Some(Instant::now() + time);
    }

    /// The SRV records of a name, in the order they are to be tried. No records, and no such name, is an empty answer.
    ///
    /// # Errors
    /// No name server has an answer.
    pub fn srv(&mut self, name: &str) -> Result<Vec<SrvRecord>, ResolveError> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let now = Instant::now();
        self.cache
            .retain(|_, (known_at, _)| now.duration_since(*known_at) < CACHE_TIME);
        if let Some((_, records)) = self.cache.get(name) {
            return Ok(self.in_order(records.clone()));
        }
        let mut last = ResolveError::Deadline;
        for _ in 0..self.conf.attempts {
            for server in self.conf.name_servers.clone() {
                match self.ask(name, server) {
                    Ok(records) => {
                        if self.cache.len() < CACHE_MAX {
                            let answer = (Instant::now(), records.clone());
                            self.cache.insert(name.to_owned(), answer);
                        }
                        return Ok(self.in_order(records));
                    }
                    Err(error @ (ResolveError::BadName(_) | ResolveError::Deadline)) => {
                        return Err(error);
                    }
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }

    fn ask(&mut self, name: &str, server: SocketAddr) -> Result<Vec<SrvRecord>, ResolveError> {
        let id = Rng::with_seed(random_seed() ^ self.rng.u64(..)).u16(..);
        let query = encode_query(name, id).ok_or_else(|| ResolveError::BadName(name.to_owned()))?;
        let until = self.until()?;
        let io = |error| ResolveError::Io(server, error);
        let answer = ask_udp(&query, server, until, |bytes| read(bytes, name, id, server));
        match answer.map_err(io)? {
            Answer::Records(records) => records,
            Answer::Truncated => {
                let until = self.until()?;
                let bytes = ask_tcp(&query, server, until).map_err(io)?;
                match read(&bytes, name, id, server) {
                    Some(Answer::Records(records)) => records,
                    // Nothing is too large for TCP.
                    Some(Answer::Truncated) | None => Err(ResolveError::Malformed(server)),
                }
            }
        }
    }

    /// Until when one server may take.
    fn until(&self) -> Result<Instant, ResolveError> {
        let now = Instant::now();
        let until = now + self.conf.timeout;
        match self.deadline {
            Some(deadline) if deadline <= now => Err(ResolveError::Deadline),
            Some(deadline) => Ok(until.min(deadline)),
            None => Ok(until),
        }
    }

    /// By priority; among equals by chance, each as often first as its weight says.
    fn in_order(&mut self, records: Vec<SrvRecord>) -> Vec<SrvRecord> {
        let mut rest = records;
        rest.sort_by_key(|record| record.priority);
        let mut ordered = Vec::with_capacity(rest.len());
        while let Some(first) = rest.first() {
            let priority = first.priority;
            let equals = rest.iter().take_while(|r| r.priority == priority);
            // One more than its weight each, so that a weight of nothing is little, not never.
            let weights: Vec<u32> = equals.map(|record| u32::from(record.weight) + 1).collect();
            let mut drawn = self.rng.u32(0..weights.iter().sum());
            let chosen = weights.iter().position(|weight| {
                let is_it = drawn < *weight;
                drawn = drawn.saturating_sub(*weight);
                is_it
            });
            ordered.push(rest.remove(chosen.unwrap_or(0)));
        }
        ordered
    }
}

/// What a packet says to our question.
enum Answer {
    Records(Result<Vec<SrvRecord>, ResolveError>),
    /// The rest did not fit.
    Truncated,
}

fn encode_query(name: &str, id: u16) -> Option<Vec<u8>> {
    let parsed = Name::new(name).ok()?;
    if parsed.to_string() != name {
        // Empty labels are passed over there, and another name would be asked for.
        return None;
    }
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    packet.questions.push(Question::new(
        parsed,
        QTYPE::TYPE(TYPE::SRV),
        CLASS::IN.into(),
        false,
    ));
    packet.build_bytes_vec().ok()
}

/// What a packet says; nothing, if it is no answer to this question.
fn read(bytes: &[u8], name: &str, id: u16, server: SocketAddr) -> Option<Answer> {
    let packet = Packet::parse(bytes).ok()?;
    let question = packet.questions.first()?;
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && question.qname.to_string().eq_ignore_ascii_case(name)
        && question.qtype == QTYPE::TYPE(TYPE::SRV);
    if !is_ours {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Answer::Truncated);
    }
    Some(Answer::Records(match packet.rcode() {
        RCODE::NoError => Ok(packet
            .answers
            .iter()
            .filter_map(record)
            .take(RECORDS_MAX)
            .collect()),
        RCODE::NameError => Ok(Vec::new()),
        code => Err(ResolveError::Server(server, format!("{code:?}"))),
    }))
}

/// One record of an answer. A target of nothing says that there is no such service, and no server listens on port 0.
fn record(record: &simple_dns::ResourceRecord<'_>) -> Option<SrvRecord> {
    let RData::SRV(srv) = &record.rdata else {
        return None;
    };
    let target = srv.target.to_string();
    let target = target.trim_end_matches('.');
    let address = format!("{target}:{}", srv.port);
    Some(SrvRecord {
        priority: srv.priority,
        weight: srv.weight,
        server: ServerAddr::parse(&address).ok()?,
    })
}

fn ask_udp(
    query: &[u8],
    server: SocketAddr,
    until: Instant,
    mut read: impl FnMut(&[u8]) -> Option<Answer>,
) -> io::Result<Answer> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected: the kernel drops what comes from anybody else.
    socket.connect(server)?;
    socket.send(query)?;
    let mut buffer = vec![0; UDP_BYTES_MAX];
    loop {
        socket.set_read_timeout(Some(left(until)?))?;
        let len = socket.recv(&mut buffer).map_err(timed_out)?;
        // What answers another question is waited out: it may have been sent to make us give up.
        if let Some(answer) = read(&buffer[..len]) {
            return Ok(answer);
        }
    }
}

fn ask_tcp(query: &[u8], server: SocketAddr, until: Instant) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, left(until)?)?;
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    let mut message = len.to_be_bytes().to_vec();
    message.extend_from_slice(query);
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(&message)?;
    let mut len = [0; 2];
    read_exact(&mut stream, &mut len, until)?;
    let mut answer = vec![0; u16::from_be_bytes(len).into()];
    read_exact(&mut stream, &mut answer, until)?;
    Ok(answer)
}

/// Fills the buffer before the time is over, however the bytes trickle in.
fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(buffer).map_err(timed_out)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => buffer = &mut buffer[read..],
        }
    }
    Ok(())
}

/// The time that is left, never nothing.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

/// A socket whose time is over says that it would block.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => write!(f, "{name:?} can be no name in dns"),
            Self::Io(server, error) => write!(f, "name server {server}: {error}"),
            Self::Server(server, code) => {
                write!(f, "name server {server} answers {code}")
            }
            Self::Malformed(server) => write!(f, "name server {server} answers with no answer"),
            Self::Deadline => write!(f, "the search for servers took too long"),
        }
    }
}

impl std::error::Error for ResolveError {}

#[cfg(test)]
mod tests;
