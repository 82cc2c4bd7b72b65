//! The one place that drives rustls' unbuffered state machine.
//!
//! [`pump`] runs a connection until it wants more input ([`Reached::Blocked`]), may send ([`Reached::Writable`]) or is closed by both sides.
//! The contract it keeps for rustls: each state is handled in full, then exactly `discard` bytes leave the front of the input, then the next call.
//! Bytes behind the consumed prefix may have been decrypted or moved in place; they are the caller's to keep as they are.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic,
    UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};

use super::error::TlsError;

/// Room for one record's header, nonce, content type and tag in any suite we offer (TLS 1.2 AES-GCM needs 29, CBC is not offered).
const RECORD_OVERHEAD: usize = 32;
const RECORD_PAYLOAD_MAX: usize = 16 * 1024;

/// What to append once a connection turns out writable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Send<'a> {
    Nothing,
    /// Encrypt this, whole and once.
    Data(&'a [u8]),
    CloseNotify,
}

/// Where a connection came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The handshake needs more from the peer.
    Blocked,
    /// Application data may be sent.
    Writable,
    /// Both sides have closed.
    Closed,
}

/// The outcome of one [`pump`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Pumped {
    /// Bytes to drop from the front of the input.
    pub(super) consumed: usize,
    pub(super) reached: Reached,
    /// The peer's `close_notify` was met.
    pub(super) peer_closed: bool,
}

/// The connection types differ only in their data, but rustls gives each its own inherent method.
pub(super) trait Records {
    type Data;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn common(&mut self) -> &mut UnbufferedConnectionCommon<Self::Data>;
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn common(&mut self) -> &mut UnbufferedConnectionCommon<Self::Data> {
        self
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
    fn common(&mut self) -> &mut UnbufferedConnectionCommon<Self::Data> {
        self
    }
}

/// Runs `conn` over `incoming` until it rests; decrypted bytes go to `plaintext`, bytes for the peer to `out`.
pub(super) fn pump<C: Records>(
    conn: &mut C,
    incoming: &mut [u8],
    send: Send<'_>,
    plaintext: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Pumped, TlsError> {
    let mut consumed = 0;
    let mut peer_closed = false;
    loop {
        let UnbufferedStatus { discard, state, .. } = conn.process(&mut incoming[consumed..]);
        let reached = match state? {
            ConnectionState::ReadTraffic(mut traffic) => {
                consumed += read(&mut traffic, plaintext)?;
                None
            }
            ConnectionState::EncodeTlsData(mut data) => {
                encode(&mut data, out)?;
                None
            }
            ConnectionState::TransmitTlsData(data) => {
                // What was encoded is in `out`, which the caller sends in order.
                data.done();
                None
            }
            ConnectionState::PeerClosed => {
                peer_closed = true;
                None
            }
            ConnectionState::WriteTraffic(mut traffic) => {
                match send {
                    Send::Nothing => {}
                    Send::Data(plaintext) => encrypt(&mut traffic, plaintext, out)?,
                    Send::CloseNotify => close_notify(&mut traffic, out)?,
                }
                Some(Reached::Writable)
            }
            ConnectionState::BlockedHandshake => Some(Reached::Blocked),
            ConnectionState::Closed => Some(Reached::Closed),
            // Early data is never offered by our configurations, so nothing may arrive as such; a state this code does not know is the library's.
            _ => return Err(unexpected_state()),
        };
        consumed += discard;
        if let Some(reached) = reached {
            return Ok(Pumped {
                consumed,
                reached,
                peer_closed,
            });
        }
    }
}

/// Moves what rustls has queued (an alert after an error) to `out` without reading any more input.
///
/// rustls hands out queued records before it looks at input, so as long as something is queued the empty input is never looked at; that matters, since after an error another look could raise a second alert.
pub(super) fn flush_queued<C: Records>(conn: &mut C, out: &mut Vec<u8>) {
    while conn.common().wants_write() {
        let UnbufferedStatus { state, .. } = conn.process(&mut []);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if encode(&mut data, out).is_err() {
                    return;
                }
            }
            // Plaintext of records before the faulty one; the session is over, so it goes nowhere.
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while traffic.next_record().is_some() {}
            }
            _ => return,
        }
    }
}

/// Returns what must be dropped on top of the state's own `discard`.
fn read<Data>(
    traffic: &mut ReadTraffic<'_, '_, Data>,
    plaintext: &mut Vec<u8>,
) -> Result<usize, TlsError> {
    let mut discard = 0;
    while let Some(record) = traffic.next_record() {
        let record = record?;
        plaintext.extend_from_slice(record.payload);
        discard += record.discard;
    }
    Ok(discard)
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    let start = out.len();
    // The first try with no room only asks for the size.
    let mut room = 0;
    loop {
        out.resize(start + room, 0);
        match data.encode(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) => room = needed.required_size,
            Err(EncodeError::AlreadyEncoded) => {
                out.truncate(start);
                return Err(unexpected_state());
            }
        }
    }
}

fn encrypt<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    let room = plaintext.len() + plaintext.len().div_ceil(RECORD_PAYLOAD_MAX) * RECORD_OVERHEAD;
    append(out, room, |room| traffic.encrypt(plaintext, room))
}

fn close_notify<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    append(out, RECORD_OVERHEAD, |room| {
        traffic.queue_close_notify(room)
    })
}

/// Grows `out` by `room` bytes, or by as many as `write` asks for, and keeps those it wrote.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            // A queued key update, or a smaller record size than the usual one.
            Err(EncryptError::InsufficientSize(needed)) => room = needed.required_size,
            Err(EncryptError::EncryptExhausted) => {
                out.truncate(start);
                return Err(TlsError::Ours(rustls::Error::EncryptError));
            }
        }
    }
}

fn unexpected_state() -> TlsError {
    TlsError::Ours(rustls::Error::General(
        "tls state machine in an unexpected state".to_owned(),
    ))
}
