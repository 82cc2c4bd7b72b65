//! One connection's bytes, plain or under TLS, in both directions.
//!
//! A [`Channel`] hides from its loop whether TLS is on. It owns the socket, the session and ciphertext that the kernel did not take;
//! what is still to be written in clear stays with the loop, in a [`Backlog`], until it can go.
//! An idle channel holds no buffer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::stream::{Moved, Stream};
use crate::tls::{TlsError, TlsSession, TlsState};

/// Pieces of one vectored write.
const PIECES: usize = 64;

/// Clear bytes that are encrypted at a time: what is about to be written, and not more.
const ENCRYPTED_AT_ONCE: usize = 64 * 1024;

/// Bytes written for one connection before its loop turns to the others.
const WRITE_MAX: usize = 1 << 20;

/// Why a channel failed.
#[derive(Debug)]
pub enum ChannelError {
    /// The socket.
    Socket(io::Error),
    /// TLS; an alert may wait to be written.
    Tls(TlsError),
}

impl std::fmt::Display for ChannelError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Socket(error) => error.fmt(formatter),
            Self::Tls(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ChannelError {}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

impl From<TlsError> for ChannelError {
    fn from(error: TlsError) -> Self {
        Self::Tls(error)
    }
}

/// What a read brought.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// Clear bytes, perhaps none yet.
    Bytes(&'a [u8]),
    /// Nothing is there.
    Blocked,
    /// The peer has closed its side.
    End,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Clear bytes that left the backlog.
    pub bytes: u64,
    /// The kernel takes no more; the poll will say when it does.
    pub blocked: bool,
    /// More could be written, but this connection had its share.
    pub yielded: bool,
}

/// Clear bytes on their way out, in pieces.
#[derive(Debug)]
pub struct Backlog<S> {
    /// The pieces, in order.
    pub segments: VecDeque<S>,
    /// Bytes of the first piece that are gone.
    offset: usize,
}

impl<S> Default for Backlog<S> {
    fn default() -> Self {
        Self {
            segments: VecDeque::new(),
            offset: 0,
        }
    }
}

impl<S: AsRef<[u8]>> Backlog<S> {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    fn pieces<'a>(&'a self, into: &mut [IoSlice<'a>; PIECES]) -> usize {
        let mut count = 0;
        for (place, segment) in into.iter_mut().zip(&self.segments) {
            let skip = if count == 0 { self.offset } else { 0 };
            *place = IoSlice::new(segment.as_ref().get(skip..).unwrap_or_default());
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(first) = self.segments.front() {
            let left = first.as_ref().len() - self.offset;
            if bytes < left {
                self.offset += bytes;
                return;
            }
            bytes -= left;
            self.offset = 0;
            self.segments.pop_front();
        }
        self.segments = VecDeque::new();
    }
}

/// A connection's socket and, where it is on, its TLS session.
#[derive(Debug)]
pub struct Channel {
    stream: Stream,
    tls: Option<Box<TlsSession>>,
    /// Ciphertext that is to be written before anything else.
    cipher: Vec<u8>,
    cipher_written: usize,
}

impl Channel {
    /// A channel in clear.
    #[must_use]
    pub fn plain(stream: Stream) -> Self {
        Self {
            stream,
            tls: None,
            cipher: Vec::new(),
            cipher_written: 0,
        }
    }

    /// Turns TLS on; nothing of the backlog may be in clear from here on.
    ///
    /// # Errors
    /// The session cannot start.
    pub fn start_tls(&mut self, mut session: TlsSession) -> Result<(), TlsError> {
        session.start(&mut self.cipher)?;
        self.tls = Some(Box::new(session));
        Ok(())
    }

    /// The socket, to register it.
    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The TLS session, where TLS is on.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsSession> {
        self.tls.as_deref()
    }

    /// Whether TLS is on and its handshake is not done.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.tls
            .as_ref()
            .is_some_and(|tls| tls.state() == TlsState::Handshaking)
    }

    /// Whether ciphertext waits for the kernel.
    #[must_use]
    pub fn has_ciphertext(&self) -> bool {
        !self.cipher.is_empty()
    }

    /// Reads once. `scratch` is used whole; `clear` is overwritten where TLS is on.
    /// Returns what came and whether the socket may hold more.
    ///
    /// # Errors
    /// The connection is of no more use; ciphertext that waits may still be written.
    pub fn read<'a>(
        &mut self,
        scratch: &'a mut [u8],
        clear: &'a mut Vec<u8>,
    ) -> Result<(Incoming<'a>, bool), ChannelError> {
        let count = match self.stream.read(scratch)? {
            Moved::Bytes(count) => count,
            Moved::Blocked => return Ok((Incoming::Blocked, false)),
            Moved::End => return Ok((Incoming::End, false)),
        };
        let more = count == scratch.len();
        let Some(tls) = &mut self.tls else {
            return Ok((Incoming::Bytes(&scratch[..count]), more));
        };
        clear.clear();
        let state =
            tls.handle_ciphertext_in_place(&mut scratch[..count], clear, &mut self.cipher)?;
        if state == TlsState::PeerClosed && clear.is_empty() {
            return Ok((Incoming::End, false));
        }
        Ok((Incoming::Bytes(clear), more))
    }

    /// Writes what the kernel takes: ciphertext first, then the backlog.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub fn write<S: AsRef<[u8]>>(
        &mut self,
        backlog: &mut Backlog<S>,
    ) -> Result<Written, ChannelError> {
        let mut written = Written::default();
        let mut total = 0;
        loop {
            if self.cipher.is_empty() && !self.encrypt_next(backlog, &mut written)? {
                if self.tls.is_some() || backlog.is_empty() {
                    return Ok(written);
                }
                let moved = self.write_clear(backlog, &mut written)?;
                total += moved;
            } else {
                total += self.write_cipher(&mut written)?;
            }
            if written.blocked {
                return Ok(written);
            }
            if total >= WRITE_MAX {
                written.yielded = !backlog.is_empty() || self.has_ciphertext();
                return Ok(written);
            }
        }
    }

    /// Says good-bye to the peer as far as the kernel takes it, and ends this side.
    pub fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close_notify(&mut self.cipher);
            // What cannot be said at once is not said.
            let _ = self.write_cipher(&mut Written::default());
        }
        self.stream.shutdown();
    }

    fn write_clear<S: AsRef<[u8]>>(
        &mut self,
        backlog: &mut Backlog<S>,
        written: &mut Written,
    ) -> io::Result<usize> {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = backlog.pieces(&mut pieces);
        let pieces = &pieces[..count];
        let wanted: usize = pieces.iter().map(|piece| piece.len()).sum();
        let moved = match self.stream.write(pieces)? {
            Moved::Bytes(moved) => moved,
            Moved::Blocked | Moved::End => 0,
        };
        // Less than was offered: the send buffer is full, and asking once more would only say so.
        written.blocked = moved < wanted;
        written.bytes += moved as u64;
        backlog.advance(moved);
        Ok(moved)
    }

    fn write_cipher(&mut self, written: &mut Written) -> io::Result<usize> {
        let waiting = &self.cipher[self.cipher_written..];
        let moved = match self.stream.write(&[IoSlice::new(waiting)])? {
            Moved::Bytes(moved) => moved,
            Moved::Blocked | Moved::End => 0,
        };
        written.blocked = moved < waiting.len();
        self.cipher_written += moved;
        if !written.blocked {
            self.cipher = Vec::new();
            self.cipher_written = 0;
        }
        Ok(moved)
    }

    /// Encrypts a bounded run of the backlog, if TLS is up and something waits.
    fn encrypt_next<S: AsRef<[u8]>>(
        &mut self,
        backlog: &mut Backlog<S>,
        written: &mut Written,
    ) -> Result<bool, TlsError> {
        let Some(tls) = self
            .tls
            .as_mut()
            .filter(|tls| tls.state() == TlsState::Established)
        else {
            return Ok(false);
        };
        if backlog.is_empty() {
            return Ok(false);
        }
        let mut clear = Vec::new();
        let first = backlog
            .segments
            .front()
            .map_or(&[][..], |segment| segment.as_ref());
        let first = first.get(backlog.offset..).unwrap_or_default();
        // One piece is encrypted where it lies; small ones are joined, for a record each would be dear.
        let run = if backlog.segments.len() == 1 || first.len() >= ENCRYPTED_AT_ONCE {
            &first[..first.len().min(ENCRYPTED_AT_ONCE)]
        } else {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let count = backlog.pieces(&mut pieces);
            for piece in &pieces[..count] {
                let room = ENCRYPTED_AT_ONCE - clear.len();
                clear.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            &clear[..]
        };
        let length = run.len();
        tls.encrypt(run, &mut self.cipher)?;
        backlog.advance(length);
        written.bytes += length as u64;
        Ok(true)
    }
}
