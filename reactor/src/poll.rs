//! The poll of one loop: mio, edge-triggered, with tokens that carry an index and a generation.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Token};

use crate::listen::Listener;
use crate::stream::Stream;
use crate::wake::Wake;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// The loop was woken by another thread.
    Woken,
    /// The listener of this index has connections to accept.
    Accept(u32),
    /// A stream is readable, writable or closed.
    Stream {
        /// The caller's key.
        key: Key,
        /// Bytes, or the end of the stream, can be read.
        readable: bool,
        /// Bytes can be written.
        writable: bool,
        /// The peer closed its side or the connection failed: read on until the end shows, for no further event will come.
        ended: bool,
    },
}

/// A caller's key of a stream. The generation tells a late event from one for the stream that has the index now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Index in the caller's slab.
    pub index: u32,
    /// Generation of that index; 31 bits are kept.
    pub generation: u32,
}

const WOKEN: Token = Token(usize::MAX);
const ACCEPT: usize = 1 << 63;
const GENERATION_MASK: u32 = (1 << 31) - 1;

/// Events of one turn at most; what is left comes in the next.
const EVENTS_MAX: usize = 1024;

/// One epoll instance. `!Send`: its descriptors may be in a private table.
#[derive(Debug)]
pub struct Poller {
    poll: mio::Poll,
    events: Events,
    local: PhantomData<*const ()>,
}

impl Poller {
    /// Opens the epoll in the calling thread's table.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            poll: mio::Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            local: PhantomData,
        })
    }

    /// Lets `wake` end a wait of this poll.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn register_wake(&self, wake: &Wake) -> io::Result<()> {
        self.poll
            .registry()
            .register(&mut SourceFd(&wake.raw_fd()), WOKEN, Interest::READABLE)
    }

    /// Reports connections that wait at `listener` as [`Ready::Accept`] with `index`.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn register_listener(&self, listener: &mut Listener, index: u32) -> io::Result<()> {
        let token = Token(ACCEPT | index as usize);
        self.poll
            .registry()
            .register(listener.source(), token, Interest::READABLE)
    }

    /// Stops reporting connections at `listener`.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn deregister_listener(&self, listener: &mut Listener) -> io::Result<()> {
        self.poll.registry().deregister(listener.source())
    }

    /// Reports both directions of `stream` under `key`, edge-triggered.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn register_stream(&self, stream: &mut Stream, key: Key) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(stream.source(), token_of(key), both)
    }

    /// Reports a stream that is registered already under another key from now on.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn rekey_stream(&self, stream: &mut Stream, key: Key) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .reregister(stream.source(), token_of(key), both)
    }

    /// Waits for events, at most `timeout`; an interrupted wait is an empty turn.
    ///
    /// # Errors
    /// The operating system's refusal.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            other => other,
        }
    }

    /// The events of the last wait.
    pub fn ready(&self) -> impl Iterator<Item = Ready> + '_ {
        self.events.iter().map(|event| match event.token() {
            WOKEN => Ready::Woken,
            Token(value) if value & ACCEPT != 0 => Ready::Accept(low_half(value)),
            Token(value) => Ready::Stream {
                key: Key {
                    index: low_half(value),
                    generation: low_half(value >> 32),
                },
                readable: event.is_readable() || event.is_read_closed() || event.is_error(),
                writable: event.is_writable() || event.is_write_closed() || event.is_error(),
                ended: event.is_read_closed() || event.is_error(),
            },
        })
    }
}

fn token_of(key: Key) -> Token {
    Token(((key.generation & GENERATION_MASK) as usize) << 32 | key.index as usize)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the lower half is what is wanted"
)]
fn low_half(value: usize) -> u32 {
    value as u32
}

impl Key {
    /// Whether an event's key means this one; events keep 31 bits of a generation.
    #[must_use]
    pub fn is(self, event: Self) -> bool {
        self.index == event.index && self.generation & GENERATION_MASK == event.generation
    }
}
