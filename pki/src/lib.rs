//! Makes a certificate authority and issues broker, node and client certificates.
//!
//! For laboratories, tests, load generation and small fleets: [`Authority`] makes or loads a root,
//! [`Authority::issue`] signs what a [`Profile`] asks for, [`write_pem_files`] puts the result on disk with
//! the key readable by its owner only. It is no certificate service: no revocation, no renewal, no requests.
//!
//! Time is always an argument ([`Validity`]); keys and serial numbers are random.
//!
//! Everything it issues satisfies real Choria peers: the name stands in the common name and as a DNS
//! alternative name, brokers and nodes may be TLS server and client, clients are clients only.

#![forbid(unsafe_code)]

mod authority;
mod error;
mod files;
mod key;
mod profile;

pub use authority::{Authority, Issued};
pub use error::PkiError;
pub use files::{IfExists, write_pem_files};
pub use key::{KeyKind, LeafKey};
pub use profile::{Profile, Role, Validity};

#[cfg(test)]
mod tests;
