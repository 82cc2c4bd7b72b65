//! All I/O and all unsafe code of the workspace: sockets, the poll, wake-ups, timers, TLS, descriptor tables, signals, HTTP.
//!
//! Nothing here knows a subject, a verb or an agent: bytes come in from the kernel and go to a pure core, which decides.
//! A loop owns its sockets, and a type that owns a descriptor of a loop is `!Send`,
//! because a loop may run with a private descriptor table in which the same number means another thing ([`descriptors`]).
//!
//! Reading order: [`descriptors`], [`listen`], [`stream`], [`channel`], [`poll`], [`wake`], [`timers`], [`tls`], [`http`], [`signal`], [`process`], [`child`], [`clock`].

pub mod channel;
pub mod child;
pub mod clock;
pub mod descriptors;
pub mod http;
pub mod listen;
pub mod poll;
pub mod process;
pub mod signal;
pub mod stream;
pub mod timers;
pub mod tls;
pub mod wake;

pub use rustls;
