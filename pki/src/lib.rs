//! Makes a certificate authority; issues, signs, renews and revokes the certificates of brokers, nodes and callers.
//!
//! For laboratories, tests, load generation and small fleets: [`Authority`] makes or loads a root,
//! [`Authority::issue`] signs what a [`Profile`] asks for, [`SigningRequest`] reads and judges what others ask for.
//! A [`CaFolder`] keeps an authority on disk: keys that only their owner can read, the [`Index`] of all that was issued,
//! and the revocation list. It is no service: it answers no network and serves no requests by itself.
//!
//! Time is always an argument ([`Validity`]); keys and serial numbers are random.
//!
//! Everything it issues satisfies real Choria peers: the name stands in the common name and as a DNS
//! alternative name, brokers and nodes may be TLS server and client, clients are clients only.

#![forbid(unsafe_code)]

mod authority;
mod error;
mod files;
mod folder;
mod index;
mod inspect;
mod key;
mod moment;
mod profile;
mod public_key;
mod request;
mod revocation;
mod serial;

pub use authority::{Authority, Issued};
pub use error::PkiError;
pub use files::{IfExists, write_pem_files};
pub use folder::{CaFolder, FolderError, Renewal, Signed};
pub use index::{Entry, Index, IndexError, State};
pub use inspect::{CertInfo, CrlInfo};
pub use key::{KeyKind, LeafKey};
pub use moment::rfc3339;
pub use profile::{Profile, Role, Validity};
pub use public_key::{PublicKey, PublicKeyKind, RSA_BITS_MAX, RSA_BITS_MIN};
pub use request::{
    REQUEST_BYTES_MAX, REQUEST_NAMES_MAX, RequestError, RequestRules, SigningRequest,
    is_callers_name,
};
pub use revocation::{Reason, RevokedCert};
pub use serial::Serial;

#[cfg(test)]
mod tests;
