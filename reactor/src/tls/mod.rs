//! TLS over byte slices: rustls' unbuffered API behind one small session type.
//!
//! A [`TlsSession`] takes ciphertext that was just read and gives back plaintext and bytes for the socket.
//! It owns no socket, no read buffer and no write buffer: the loop's scratch buffers serve all sessions, and a session keeps bytes only while a record is incomplete.
//! An idle one is therefore as small as rustls lets it be; see [`TlsSession`] for the measured figures.
//!
//! What it is not: it makes no policy. It never closes, never times out, never decides how many handshakes a turn may do.
//! It also cannot see the end of a TCP stream; an end of stream in any state but [`TlsState::PeerClosed`] is a truncation, and the caller says so.
//!
//! Invariant: the bytes of a stream go through a session once, in order; what a call did not use is kept exactly as rustls left it (decrypted and reassembled in place) and is presented first the next time.
//!
//! Spec: `nats-core` 4.5 for the broker's options; RFC 8446 and RFC 5246 for the protocol. All that would change with rustls 0.24 is in `records`.

mod config;
mod crl;
mod error;
mod records;
mod session;

pub use config::{
    ClientAuth, Resumption, ServerVerification, TlsFiles, client_config, client_config_with_crl,
    client_config_with_verifier, client_verifier, server_config, server_verifier,
    server_verifier_with_crl,
};
pub use crl::crl_next_update;
pub use error::{TlsConfigError, TlsError};
pub use session::{TlsSession, TlsState};
