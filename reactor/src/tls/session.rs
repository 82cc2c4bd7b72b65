//! [`TlsSession`]: one TLS connection, either side, without buffers of its own.
//!
//! ```text
//!              start / handle_ciphertext
//!   Handshaking ────────────────────────▶ Established ──── peer's close_notify ───▶ PeerClosed
//!        │                                     │                                        │
//!        └───────────── any error ─────────────┴──────────▶ failed (every call errs) ◀──┘
//! ```
//!
//! Invariant: `unfinished` holds only bytes rustls has seen and could not complete; it is released as soon as it is empty.

use std::fmt;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::UnbufferedServerConnection;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    CipherSuite, ClientConfig, CommonState, HandshakeKind, ProtocolVersion, ServerConfig,
};

use super::error::TlsError;
use super::records::{Pumped, Reached, Send, flush_queued, pump};

/// The most a session keeps without a complete message among it.
///
/// rustls accepts handshake messages of 64 KiB, and such a message is held together with its record headers until its end is there.
/// Without this bound a peer that cuts a message into one-byte records would make us hold several times that.
const UNFINISHED_MAX: usize = 80 * 1024;

const RECORD_HEADER_LEN: usize = 5;

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsState {
    /// No application data may be sent yet.
    Handshaking,
    /// Application data flows both ways.
    Established,
    /// The peer ended its direction properly; nothing more will come.
    PeerClosed,
}

/// A TLS connection of either side.
///
/// Memory, measured by `tests/tls_memory.rs` on a 64-bit glibc system, mutual P-256 certificates of one link, idle after some traffic:
/// 48 bytes here; on the heap 4.2 KB for TLS 1.3 and 4.0 KB for TLS 1.2, the same for server and client, malloc's overhead included.
/// Of that 2.8 and 2.6 KB are rustls' (the peer's chain is part of it), the rest is the cryptographic library's.
/// A handshake under way holds more until its last message; [`Self::unfinished_len`] tells our part of it.
pub struct TlsSession {
    conn: Conn,
    /// Bytes of incomplete records, as rustls left them. No allocation while empty.
    unfinished: Vec<u8>,
    state: TlsState,
    end: End,
}

/// Boxed, so that a plain connection that might have had TLS pays for a pointer only.
enum Conn {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What this side did to end the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// We sent `close_notify`.
    Closed,
    Failed,
}

impl TlsSession {
    /// The server's side of a new connection.
    ///
    /// # Errors
    /// [`TlsError::Ours`] if the configuration is unusable.
    pub fn server(config: &Arc<ServerConfig>) -> Result<Self, TlsError> {
        let conn = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(Self::new(Conn::Server(Box::new(conn))))
    }

    /// The client's side of a new connection to `server_name`, a DNS name or an IP address.
    ///
    /// # Errors
    /// [`TlsError::BadServerName`], or [`TlsError::Ours`] if the configuration is unusable.
    pub fn client(config: &Arc<ClientConfig>, server_name: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::BadServerName(server_name.to_owned()))?;
        let conn = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        Ok(Self::new(Conn::Client(Box::new(conn))))
    }

    const fn new(conn: Conn) -> Self {
        Self {
            conn,
            unfinished: Vec::new(),
            state: TlsState::Handshaking,
            end: End::Open,
        }
    }

    /// Produces what can be sent without input: a client's first flight, nothing for a server.
    ///
    /// # Errors
    /// As [`Self::handle_ciphertext`].
    pub fn start(&mut self, out: &mut Vec<u8>) -> Result<TlsState, TlsError> {
        self.handle_ciphertext_in_place(&mut [], &mut Vec::new(), out)
    }

    /// Takes ciphertext just read, appends decrypted bytes to `plaintext` and bytes for the socket to `out`.
    ///
    /// Copies `incoming` first; where the caller can spare its buffer's contents, [`Self::handle_ciphertext_in_place`] saves that.
    ///
    /// # Errors
    /// Any but [`TlsError::NotEstablished`]; an alert for the peer may then be in `out` and should still be sent.
    /// `plaintext` may have grown by what came before the fault.
    pub fn handle_ciphertext(
        &mut self,
        incoming: &[u8],
        plaintext: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<TlsState, TlsError> {
        self.handle_ciphertext_in_place(&mut incoming.to_vec(), plaintext, out)
    }

    /// As [`Self::handle_ciphertext`], decrypting inside `incoming`, whose contents are garbage afterwards.
    ///
    /// After [`Self::close_notify`], or once the peer has closed, input is dropped unread.
    ///
    /// # Errors
    /// As [`Self::handle_ciphertext`].
    pub fn handle_ciphertext_in_place(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<TlsState, TlsError> {
        match self.end {
            End::Failed => return Err(TlsError::Failed),
            // rustls holds that a fatal alert never follows a close_notify, so input that could provoke one must not reach it.
            End::Closed => return Ok(self.state),
            End::Open => {}
        }
        match self.advance(incoming, plaintext, out) {
            Ok(()) => Ok(self.state),
            Err(error) => {
                self.fail(out);
                Err(error)
            }
        }
    }

    /// Encrypts all of `plaintext`, appending its records to `out`.
    ///
    /// Encrypt only what is about to be written, and keep what the socket did not take: a record encrypted twice cannot be decrypted.
    ///
    /// # Errors
    /// [`TlsError::NotEstablished`] unless the state is [`TlsState::Established`] and [`Self::close_notify`] was not called; [`TlsError::Ours`] when the keys are used up.
    pub fn encrypt(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        match (self.end, self.state) {
            (End::Failed, _) => return Err(TlsError::Failed),
            (End::Open, TlsState::Established) => {}
            _ => return Err(TlsError::NotEstablished),
        }
        if plaintext.is_empty() {
            return Ok(());
        }
        match self.send(Send::Data(plaintext), out) {
            Ok(pumped) => {
                debug_assert_eq!(pumped.consumed, 0, "input was left unhandled earlier");
                debug_assert_eq!(pumped.reached, Reached::Writable);
                Ok(())
            }
            Err(error) => {
                self.fail(out);
                Err(error)
            }
        }
    }

    /// Ends this side's direction: appends a `close_notify` to `out`, once.
    ///
    /// Appends nothing during the handshake (rustls sends it under traffic keys only) and on a failed session, whose alert was the last word.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) {
        if self.end != End::Open {
            return;
        }
        self.end = End::Closed;
        // A fault here leaves the peer with a plain end of stream, which is what follows anyway.
        let _ = self.send(Send::CloseNotify, out);
        self.unfinished = Vec::new();
    }

    /// How far the session has come. A failed session keeps the state it failed in.
    #[must_use]
    pub const fn state(&self) -> TlsState {
        self.state
    }

    /// Bytes held of incomplete records, for a budget over all connections.
    #[must_use]
    pub const fn unfinished_len(&self) -> usize {
        self.unfinished.len()
    }

    /// The negotiated version, `"1.3"` or `"1.2"`.
    #[must_use]
    pub fn version(&self) -> Option<&'static str> {
        match self.conn.common().protocol_version()? {
            ProtocolVersion::TLSv1_3 => Some("1.3"),
            ProtocolVersion::TLSv1_2 => Some("1.2"),
            _ => None,
        }
    }

    /// The negotiated cipher suite by its registered name (`"TLS_AES_128_GCM_SHA256"`), which is also what `connz` reports.
    #[must_use]
    pub fn cipher_suite(&self) -> Option<&'static str> {
        let suite = self.conn.common().negotiated_cipher_suite()?.suite();
        // rustls marks the suites of TLS 1.3 by a prefix the registry doesn't know.
        match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => Some("TLS_AES_128_GCM_SHA256"),
            CipherSuite::TLS13_AES_256_GCM_SHA384 => Some("TLS_AES_256_GCM_SHA384"),
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some("TLS_CHACHA20_POLY1305_SHA256"),
            suite => suite.as_str(),
        }
    }

    /// The peer's chain, its own certificate first. Present after a resumed handshake too, copied from the ticket.
    #[must_use]
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.conn.common().peer_certificates()
    }

    /// Whether the handshake resumed an earlier session.
    ///
    /// rustls does not verify the client's chain again then; a server that asks for certificates calls [`Self::recheck_client`].
    #[must_use]
    pub fn resumed(&self) -> bool {
        self.conn.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Verifies the client's chain again, as of `unix_seconds`: a ticket may outlive the certificate it was issued on.
    ///
    /// Use a verifier made by [`super::client_verifier`] from the CA in force. A client without a certificate passes exactly if the verifier does not require one.
    ///
    /// # Errors
    /// [`TlsError::Peer`] with the reason; the session itself is untouched, close it.
    pub fn recheck_client(
        &self,
        verifier: &dyn ClientCertVerifier,
        unix_seconds: u64,
    ) -> Result<(), TlsError> {
        match self.peer_certificates().and_then(<[_]>::split_first) {
            Some((own, issuers)) => {
                let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(unix_seconds));
                verifier.verify_client_cert(own, issuers, now)?;
                Ok(())
            }
            None if verifier.client_auth_mandatory() => {
                Err(TlsError::Peer(rustls::Error::NoCertificatesPresented))
            }
            None => Ok(()),
        }
    }

    /// Completes what was unfinished with as little copying as possible, then works in place.
    fn advance(
        &mut self,
        incoming: &mut [u8],
        plaintext: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        if self.state == TlsState::PeerClosed {
            return Ok(());
        }
        let mut rest = incoming;
        if !self.unfinished.is_empty() {
            // The guess only decides how much is copied: rustls takes any split.
            let (head, tail) = rest.split_at_mut(missing_len(&self.unfinished, rest));
            self.unfinished.extend_from_slice(head);
            self.advance_unfinished(plaintext, out)?;
            if tail.is_empty() {
                return Ok(());
            }
            if !self.unfinished.is_empty() {
                self.unfinished.extend_from_slice(tail);
                return self.advance_unfinished(plaintext, out);
            }
            rest = tail;
        }
        let pumped = self.conn.pump(rest, Send::Nothing, plaintext, out)?;
        self.note(pumped);
        if self.state != TlsState::PeerClosed {
            self.unfinished = rest[pumped.consumed..].to_vec();
        }
        self.check_unfinished()
    }

    fn advance_unfinished(
        &mut self,
        plaintext: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        let pumped = self
            .conn
            .pump(&mut self.unfinished, Send::Nothing, plaintext, out)?;
        self.note(pumped);
        if self.state == TlsState::PeerClosed {
            self.unfinished = Vec::new();
        } else if pumped.consumed > 0 {
            // A new allocation of the right size, or none: what held a whole record must not stay with an idle session.
            self.unfinished = self.unfinished[pumped.consumed..].to_vec();
        }
        self.check_unfinished()
    }

    fn send(&mut self, send: Send<'_>, out: &mut Vec<u8>) -> Result<Pumped, TlsError> {
        // What is unfinished must be presented with every call; a partial record yields nothing.
        self.conn
            .pump(&mut self.unfinished, send, &mut Vec::new(), out)
    }

    const fn note(&mut self, pumped: Pumped) {
        if pumped.peer_closed || matches!(pumped.reached, Reached::Closed) {
            self.state = TlsState::PeerClosed;
        } else if matches!(
            (self.state, pumped.reached),
            (TlsState::Handshaking, Reached::Writable)
        ) {
            self.state = TlsState::Established;
        }
    }

    const fn check_unfinished(&self) -> Result<(), TlsError> {
        let len = self.unfinished.len();
        if len > UNFINISHED_MAX {
            return Err(TlsError::UnfinishedTooLong {
                len,
                limit: UNFINISHED_MAX,
            });
        }
        Ok(())
    }

    fn fail(&mut self, out: &mut Vec<u8>) {
        self.end = End::Failed;
        self.unfinished = Vec::new();
        self.conn.flush_queued(out);
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("state", &self.state)
            .field("end", &self.end)
            .field("version", &self.version())
            .field("unfinished_len", &self.unfinished_len())
            .finish_non_exhaustive()
    }
}

impl Conn {
    fn pump(
        &mut self,
        incoming: &mut [u8],
        send: Send<'_>,
        plaintext: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Pumped, TlsError> {
        match self {
            Self::Server(conn) => pump(&mut **conn, incoming, send, plaintext, out),
            Self::Client(conn) => pump(&mut **conn, incoming, send, plaintext, out),
        }
    }

    fn flush_queued(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Server(conn) => flush_queued(&mut **conn, out),
            Self::Client(conn) => flush_queued(&mut **conn, out),
        }
    }

    fn common(&self) -> &CommonState {
        match self {
            Self::Server(conn) => conn,
            Self::Client(conn) => conn,
        }
    }
}

/// How many bytes of `incoming` complete the record `unfinished` begins with; all of them if that can't be told.
fn missing_len(unfinished: &[u8], incoming: &[u8]) -> usize {
    let mut header = unfinished
        .iter()
        .chain(incoming)
        .skip(RECORD_HEADER_LEN - 2);
    let (Some(high), Some(low)) = (header.next(), header.next()) else {
        return incoming.len();
    };
    let record_len = RECORD_HEADER_LEN + usize::from(u16::from_be_bytes([*high, *low]));
    match record_len.checked_sub(unfinished.len()) {
        // Complete already, so what is unfinished is a handshake message of several records.
        None | Some(0) => incoming.len(),
        Some(missing) => missing.min(incoming.len()),
    }
}
