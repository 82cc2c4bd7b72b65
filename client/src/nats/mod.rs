//! One NATS client connection, as a pure state machine.
//!
//! [`ClientCore`] remembers subscriptions, frames publishes, answers pings, notices dead links, chooses servers and waits between attempts.
//! It opens no socket, does no TLS, reads no clock and draws no randomness but from the seed it was given; a driver does those things.
//!
//! What a driver does, in one turn:
//!
//! 1. hands over what happened: [`handle_connected`](ClientCore::handle_connected), [`handle_bytes`](ClientCore::handle_bytes),
//!    [`handle_timeout`](ClientCore::handle_timeout) and the others, each with `now`;
//! 2. does what [`poll_action`](ClientCore::poll_action) asks for, until it says `None`;
//! 3. writes [`output`](ClientCore::output) to the socket;
//! 4. sleeps no longer than [`poll_timeout`](ClientCore::poll_timeout).
//!
//! `now` is the time since an arbitrary fixed start; it never goes back.
//!
//! ```text
//!                 poll_action: Connect          handle_connected
//!  Disconnected ───────────────────▶ Connecting ───────────────▶ Handshake
//!       ▲   back-off after each            │ failed, late            │ INFO, [TLS], CONNECT + PING, PONG
//!       │   full round of the pool         ▼                         ▼
//!       └──────────────────────────────────┴──────── lost, ──────── Ready ──▶ Closed (close())
//!                                                  stale, refused
//! ```
//!
//! Facts of the protocol: `docs/wire.md`.

mod addr;
mod backoff;
mod buffer;
mod config;
mod core;
mod error;
mod event;
mod link;
mod pool;
mod publish;
mod read;
mod subscription;

pub use self::addr::{AddrError, ServerAddr};
pub use self::backoff::Backoff;
pub use self::buffer::OutBuf;
pub use self::config::{ClientConfig, ConnectOptions, NonceSigner, TlsMode};
pub use self::core::{ClientCore, ServerInfo, State, Stats};
pub use self::error::{ProtocolError, PublishError};
pub use self::event::{Action, Event, EventSink, LinkEnd, Message};
pub use self::subscription::{Sid, is_sendable};
