//! The poller: reads each target's metrics over HTTP, unless the breaker is open.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_backplane::{DataItem, Outbox};
use parking_lot::{Condvar, Mutex};
use serde_json::json;
use tracing::{debug, info, warn};

/// A target that has not answered by then is given up.
const SCRAPE_MAX: Duration = Duration::from_secs(5);
/// Bytes of one answer at most.
const ANSWER_MAX: u64 = 512 * 1024;

/// Targets that are polled together.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    /// `host:port/path`.
    pub(crate) target: String,
}

#[derive(Debug)]
pub(crate) struct Poller {
    jobs: Vec<Job>,
    interval: Duration,
    paused: Mutex<bool>,
    /// The breaker was switched.
    switched: Condvar,
    rounds: AtomicU64,
}

impl Poller {
    pub(super) fn new(jobs: Vec<Job>, interval: Duration) -> Self {
        Self {
            jobs,
            interval,
            paused: Mutex::new(false),
            switched: Condvar::new(),
            rounds: AtomicU64::new(0),
        }
    }

    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(crate) fn is_paused(&self) -> bool {
        *self.paused.lock()
    }

    pub(super) fn set_paused(&self, paused: bool) {
        *self.paused.lock() = paused;
        self.switched.notify_all();
        info!(paused, "breaker switched");
    }

    /// Inverts the breaker; gives its new state.
    pub(super) fn flip(&self) -> bool {
        let mut paused = self.paused.lock();
        *paused = !*paused;
        self.switched.notify_all();
        info!(paused = *paused, "breaker switched");
        *paused
    }

    /// Polls for as long as the process lives.
    pub(super) fn run(&self, outbox: &Outbox) {
        loop {
            let mut paused = self.paused.lock();
            while *paused {
                self.switched.wait(&mut paused);
            }
            drop(paused);
            for job in &self.jobs {
                self.poll(job, outbox);
            }
            let round = self.rounds.fetch_add(1, Ordering::Relaxed);
            debug!(round, "polled");
            let mut paused = self.paused.lock();
            self.switched.wait_for(&mut paused, self.interval);
        }
    }

    fn poll(&self, job: &Job, outbox: &Outbox) {
        let metrics = match scrape(&job.target) {
            Ok(metrics) => metrics,
            Err(error) => return warn!(job = job.name, target = job.target, %error, "not read"),
        };
        let data = json!({"job": job.name, "target": job.target, "metrics": metrics});
        let subject = format!("prometheus.metrics.{}", job.name);
        if let Err(error) = outbox.send(DataItem::to_subject(subject, data.to_string())) {
            warn!(job = job.name, %error, "not published");
        }
    }
}

/// The body of `http://target`.
fn scrape(target: &str) -> io::Result<String> {
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let mut addresses = host.to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, SCRAPE_MAX)?;
    stream.set_read_timeout(Some(SCRAPE_MAX))?;
    // Version 1.0 has the server close the connection behind its answer.
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::InvalidData)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.to_owned()),
        status => Err(io::Error::other(format!("status {status:?}"))),
    }
}
