//! The trusted roots, and the check of a certificate chain against them.
//!
//! The chain check itself is webpki's: signatures, validity dates, basic constraints, name constraints and
//! key uses, with its own bounds on work. On top of it the dates of the root count too, as they do for
//! peers, so an authority that has run out signs for nobody.
//!
//! Where revocation lists are given they count as well (`revocation.rs`); real peers consult none.

use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, KeyUsage, RevocationOptionsBuilder,
    UnknownStatusPolicy, VerifiedPath,
};
use x509_parser::prelude::{FromDer, Validity, X509Certificate};

use super::cache::Verdict;
use super::key::VerifyingKey;
use super::revocation::Lists;
use super::{CertNames, SecurityError, VerifyError};

/// The longest certificate text that is looked at. An honest chain of three large RSA certificates is 6 KiB.
pub(super) const PUBCERT_BYTES_MAX: usize = 32 * 1024;

/// The most certificates in one text, the signer included.
pub(super) const CHAIN_CERTS_MAX: usize = 8;

/// From the first to the last second of validity, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

impl Window {
    fn of(validity: &Validity) -> Self {
        // Dates before 1970 are as good as 1970.
        let seconds = |unix: i64| u64::try_from(unix).unwrap_or(0);
        Self {
            not_before: seconds(validity.not_before.timestamp()),
            not_after: seconds(validity.not_after.timestamp()),
        }
    }

    pub(super) fn contains(self, now: u64) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn intersect(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }
}

/// A certificate whose chain has been checked; good for as long as `window` contains the time.
#[derive(Debug)]
pub(super) struct CheckedCert {
    pub(super) names: CertNames,
    pub(super) key: VerifyingKey,
    pub(super) window: Window,
    /// The number of the revocation lists it was checked against.
    pub(super) lists: u64,
}

impl Verdict for CheckedCert {
    fn holds(&self, now: u64) -> bool {
        self.window.contains(now)
    }
}

/// The trusted authorities. `windows[i]` belongs to `anchors[i]`.
pub(super) struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
    windows: Vec<Window>,
}

impl Roots {
    pub(super) fn from_pem(bundle: &str) -> Result<Self, SecurityError> {
        let mut roots = Self {
            anchors: Vec::new(),
            windows: Vec::new(),
        };
        for (index, der) in CertificateDer::pem_slice_iter(bundle.as_bytes()).enumerate() {
            let bad = |why: String| SecurityError::BadRoot {
                position: index + 1,
                why,
            };
            let der = der.map_err(|e| bad(e.to_string()))?;
            let anchor = webpki::anchor_from_trusted_cert(&der)
                .map_err(|e| bad(e.to_string()))?
                .to_owned();
            let (_, cert) = X509Certificate::from_der(&der).map_err(|e| bad(e.to_string()))?;
            roots.anchors.push(anchor);
            roots.windows.push(Window::of(cert.validity()));
        }
        if roots.anchors.is_empty() {
            Err(SecurityError::NoRoots)
        } else {
            Ok(roots)
        }
    }

    pub(super) fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Reads a certificate text and checks its first certificate, with the rest as intermediates.
    pub(super) fn check(
        &self,
        pubcert: &str,
        lists: &Lists,
        now: u64,
    ) -> Result<CheckedCert, VerifyError> {
        let chain = read_chain(pubcert)?;
        let (leaf, intermediates) = chain.split_first().ok_or(VerifyError::NoCertificate)?;
        let (_, cert) = X509Certificate::from_der(leaf).map_err(bad_certificate)?;
        let names = CertNames::of(&cert).map_err(|why| VerifyError::BadCertificate { why })?;
        let entity = EndEntityCert::try_from(leaf).map_err(bad_certificate)?;
        let revoking = lists.iter().collect::<Vec<_>>();
        // Without a list there is nothing to build. An authority without a list of its own revokes nothing, and a list that
        // is overdue still counts for what is on it: that it was not renewed in time must not silence a fleet.
        let revocation = RevocationOptionsBuilder::new(&revoking)
            .ok()
            .map(|options| {
                options
                    .with_status_policy(UnknownStatusPolicy::Allow)
                    .build()
            });
        let path = entity
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &self.anchors,
                intermediates,
                UnixTime::since_unix_epoch(Duration::from_secs(now)),
                // Required only of a certificate that lists its uses at all.
                KeyUsage::client_auth(),
                revocation,
                Some(&|path| self.root_is_valid(path.anchor(), now)),
            )
            .map_err(|e| match e {
                Error::CertRevoked => VerifyError::Revoked {
                    serial: cert.raw_serial_as_string().replace(':', ""),
                },
                e => refusal(e, now),
            })?;
        let window = self.window_of(&cert, &path, now)?;
        let key = VerifyingKey::new(cert.public_key())
            .map_err(|algorithm| VerifyError::UnsupportedKey { algorithm })?;
        Ok(CheckedCert {
            names,
            key,
            window,
            lists: lists.number(),
        })
    }

    /// The windows of the roots that share this anchor's name and key: a renewed authority has several.
    fn windows_like<'a>(
        &'a self,
        anchor: &'a TrustAnchor<'_>,
    ) -> impl Iterator<Item = Window> + 'a {
        self.anchors
            .iter()
            .zip(&self.windows)
            .filter(move |(own, _)| {
                own.subject == anchor.subject
                    && own.subject_public_key_info == anchor.subject_public_key_info
            })
            .map(|(_, window)| *window)
    }

    fn root_is_valid(&self, anchor: &TrustAnchor<'_>, now: u64) -> Result<(), Error> {
        let mut found = Err(Error::UnknownIssuer);
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for window in self.windows_like(anchor) {
            if window.contains(now) {
                return Ok(());
            }
            found = Err(if now < window.not_before {
                Error::CertNotValidYet {
                    time: at(now),
                    not_before: at(window.not_before),
                }
            } else {
                Error::CertExpired {
                    time: at(now),
                    not_after: at(window.not_after),
                }
            });
        }
        found
    }

    /// How long the verdict holds: while every certificate of the path is valid.
    fn window_of(
        &self,
        leaf: &X509Certificate<'_>,
        path: &VerifiedPath<'_>,
        now: u64,
    ) -> Result<Window, VerifyError> {
        let root = self
            .windows_like(path.anchor())
            .find(|window| window.contains(now));
        let mut window = Window::of(leaf.validity());
        if let Some(root) = root {
            window = window.intersect(root);
        }
        for intermediate in path.intermediate_certificates() {
            let der = intermediate.der();
            let (_, cert) = X509Certificate::from_der(&der).map_err(bad_certificate)?;
            window = window.intersect(Window::of(cert.validity()));
        }
        Ok(window)
    }
}

fn read_chain(pubcert: &str) -> Result<Vec<CertificateDer<'static>>, VerifyError> {
    if pubcert.len() > PUBCERT_BYTES_MAX {
        return Err(VerifyError::CertificateTooLarge {
            bytes: pubcert.len(),
            limit: PUBCERT_BYTES_MAX,
        });
    }
    let mut chain = Vec::new();
    for der in CertificateDer::pem_slice_iter(pubcert.as_bytes()) {
        if chain.len() == CHAIN_CERTS_MAX {
            return Err(VerifyError::ChainTooLong {
                limit: CHAIN_CERTS_MAX,
            });
        }
        chain.push(der.map_err(bad_certificate)?);
    }
    Ok(chain)
}

fn bad_certificate(error: impl std::fmt::Display) -> VerifyError {
    VerifyError::BadCertificate {
        why: error.to_string(),
    }
}

/// Sorts webpki's verdict into our reasons.
fn refusal(error: Error, now: u64) -> VerifyError {
    match error {
        Error::CertExpired { not_after, .. } => VerifyError::Expired {
            not_after: not_after.as_secs(),
            now,
        },
        Error::CertNotValidYet { not_before, .. } => VerifyError::NotYetValid {
            not_before: not_before.as_secs(),
            now,
        },
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            VerifyError::NoClientAuth
        }
        Error::BadDer | Error::BadDerTime | Error::MalformedExtensions => {
            VerifyError::BadCertificate {
                why: error.to_string(),
            }
        }
        other => VerifyError::UntrustedChain {
            why: other.to_string(),
        },
    }
}
