//! A small HTTP/1.1 server for monitoring: GET and HEAD, answers that are whole before they are sent.
//!
//! One thread accepts, [`WORKERS`] threads serve one connection each, with blocking sockets under deadlines.
//! It is not a web server: no request bodies, no TLS, no routing; a handler gets the path and decides.
//! All its threads belong to the main descriptor table, so a handler may log and read files.
//!
//! **Bounds.** A head has [`HEAD_MAX`] bytes and [`HEAD_TIME`] to arrive, an answer must move on within [`WRITE_STEP`]
//! and be gone within [`WRITE_TIME`]; [`QUEUE_MAX`] accepted connections wait for a worker, further ones are closed.
//! A connection that is kept alive but idle gives its worker up as soon as another one waits.

mod connection;
mod head;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

/// Connections that are served at a time.
pub const WORKERS: usize = 4;

/// Accepted connections that wait for a worker.
pub const QUEUE_MAX: usize = 64;

/// Bytes of a request line with its headers.
pub const HEAD_MAX: usize = 8 * 1024;

/// Time for a head to arrive, from its first byte or from the accept.
pub const HEAD_TIME: Duration = Duration::from_secs(5);

/// Time in which a peer must take at least some of an answer.
pub const WRITE_STEP: Duration = Duration::from_secs(5);

/// Time for a whole answer: 50,000 connections in detail are some 30 MB.
pub const WRITE_TIME: Duration = Duration::from_secs(30);

/// How long a connection is kept without a request while no other one waits.
pub const IDLE_TIME: Duration = Duration::from_secs(60);

/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The answer.
    Get,
    /// The answer's head; the server leaves the body out.
    Head,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// What is asked.
    pub method: Method,
    /// The path, decoded, without the query.
    pub path: String,
    /// The query's pairs, decoded, in their order.
    pub query: Vec<(String, String)>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// An answer of any kind.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
        }
    }

    /// An answer in plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }
}

/// What answers requests. It runs on a worker's thread; if it panics, the client gets status 500.
pub type Handler = dyn Fn(&HttpRequest) -> HttpResponse + Send + Sync;

/// A running server. Dropping it ends its connections and joins its threads.
#[derive(Debug)]
pub struct HttpServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on `address`, where port 0 takes a free one; `name` names the threads.
    ///
    /// # Errors
    /// The address cannot be listened on, or a thread cannot be started.
    pub fn start(address: SocketAddr, name: &str, handler: Arc<Handler>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            listener,
            stop: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            seats: std::array::from_fn(|_| Mutex::default()),
        });
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let receiver = Arc::new(Mutex::new(receiver));
        // Built before the threads, so that a thread that cannot start ends those that did.
        let mut server = Self {
            shared: Arc::clone(&shared),
            address,
            threads: Vec::new(),
        };
        for seat in 0..WORKERS {
            let shared = Arc::clone(&shared);
            let receiver = Arc::clone(&receiver);
            let handler = Arc::clone(&handler);
            let work = move || shared.work(seat, &receiver, &*handler);
            server.threads.push(spawn(format!("{name}-{seat}"), work)?);
        }
        server
            .threads
            .push(spawn(name.to_owned(), move || shared.accept(&sender))?);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        // Makes a blocked accept return, which closing the descriptor from another thread would not.
        let _ = SockRef::from(&self.shared.listener).shutdown(Shutdown::Both);
        for seat in &self.shared.seats {
            if let Seat::Busy(stream) | Seat::Idle(stream) = &*lock(seat) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(work)
}

/// What a worker does.
#[derive(Debug, Default)]
enum Seat {
    /// It waits for a connection.
    #[default]
    Free,
    /// It reads, computes or writes.
    Busy(Arc<TcpStream>),
    /// It waits for the next request of a connection that had an answer.
    Idle(Arc<TcpStream>),
}

#[derive(Debug)]
struct Shared {
    listener: TcpListener,
    stop: AtomicBool,
    /// Accepted connections that no worker has taken. Raised before the acceptor looks at the seats,
    /// read by a worker after its seat became idle: one of the two sees the other.
    waiting: AtomicUsize,
    seats: [Mutex<Seat>; WORKERS],
}

impl Shared {
    fn accept(&self, queue: &SyncSender<TcpStream>) {
        while !self.stopped() {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    self.waiting.fetch_add(1, Ordering::SeqCst);
                    if queue.try_send(stream).is_err() {
                        self.waiting.fetch_sub(1, Ordering::SeqCst);
                    }
                    self.free_idle_seats();
                }
                Err(_) if self.stopped() => return,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a monitoring connection");
                    std::thread::park_timeout(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Ends as many idle connections as there are others waiting without a free worker.
    fn free_idle_seats(&self) {
        let free = self
            .seats
            .iter()
            .filter(|seat| matches!(*lock(seat), Seat::Free))
            .count();
        let mut wanted = self.waiting.load(Ordering::SeqCst).saturating_sub(free);
        for seat in &self.seats {
            if wanted == 0 {
                return;
            }
            if let Seat::Idle(stream) = &*lock(seat) {
                let _ = stream.shutdown(Shutdown::Both);
                wanted -= 1;
            }
        }
    }

    fn work(&self, seat: usize, queue: &Mutex<Receiver<TcpStream>>, handler: &Handler) {
        loop {
            // The lock is held while waiting: the workers wait in line, one of them for the queue.
            let Ok(stream) = lock(queue).recv() else {
                return;
            };
            let stream = Arc::new(stream);
            *lock(&self.seats[seat]) = Seat::Busy(Arc::clone(&stream));
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            // Looked at after the seat was taken, so that a stop either is seen here or sees the stream.
            if !self.stopped() {
                connection::serve(&stream, handler, &mut |idle| self.turn(seat, &stream, idle));
            }
            *lock(&self.seats[seat]) = Seat::Free;
        }
    }

    /// Notes whether a connection is idle; returns whether it may go on.
    fn turn(&self, seat: usize, stream: &Arc<TcpStream>, idle: bool) -> bool {
        let stream = Arc::clone(stream);
        *lock(&self.seats[seat]) = if idle {
            Seat::Idle(stream)
        } else {
            Seat::Busy(stream)
        };
        !self.stopped() && (!idle || self.waiting.load(Ordering::SeqCst) == 0)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// No state here is left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
