//! Revocation lists: whose certificates no longer count, and how that changes while a node runs.
//!
//! A [`Revocation`] is a handle to what one [`super::Verifier`] goes by. Its owner reads the file and hands over the text;
//! every verdict after that is made under the new lists, verdicts that are remembered included.
//!
//! A list is refused when it is loaded if it could not do its work: one that no trusted authority issued would be passed
//! over without a word, one with a bad signature would shut everybody out.

use std::sync::Arc;

use parking_lot::RwLock;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::SecurityError;

/// The lists in force.
#[derive(Debug, Default)]
pub(super) struct Lists {
    lists: Vec<CertRevocationList<'static>>,
    /// Counts the replacements.
    number: u64,
}

impl Lists {
    pub(super) fn iter(&self) -> impl Iterator<Item = &CertRevocationList<'static>> {
        self.lists.iter()
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

/// A handle to the revocation lists a verifier goes by.
#[derive(Clone, Debug)]
pub struct Revocation {
    roots: Arc<[CertificateDer<'static>]>,
    lists: Arc<RwLock<Arc<Lists>>>,
}

impl Revocation {
    /// No lists yet; `roots_pem` was read without fault before.
    pub(super) fn of_roots(roots_pem: &str) -> Self {
        let roots = CertificateDer::pem_slice_iter(roots_pem.as_bytes());
        Self {
            roots: roots.filter_map(Result::ok).collect(),
            lists: Arc::default(),
        }
    }

    pub(super) fn lists(&self) -> Arc<Lists> {
        Arc::clone(&self.lists.read())
    }

    /// Puts these lists in the place of those before. Gives the moment the first of them is due to be replaced, in unix
    /// seconds, where they say it; they count beyond it, so whoever holds the handle should warn.
    ///
    /// # Errors
    /// [`SecurityError::BadRevocationList`]; those before stay in force then.
    pub fn replace(&self, crl_pem: &str) -> Result<Option<u64>, SecurityError> {
        let bad = |position, why: String| SecurityError::BadRevocationList { position, why };
        let roots: Vec<_> = self
            .roots
            .iter()
            .filter_map(|der| X509Certificate::from_der(der).ok())
            .map(|(_, root)| root)
            .collect();
        let mut lists: Vec<CertRevocationList<'static>> = Vec::new();
        let mut due: Option<u64> = None;
        for (position, der) in (1..).zip(CertificateRevocationListDer::pem_slice_iter(
            crl_pem.as_bytes(),
        )) {
            let der = der.map_err(|e| bad(0, e.to_string()))?;
            let (_, list) = CertificateRevocationList::from_der(&der)
                .map_err(|e| bad(position, e.to_string()))?;
            check(&list, &roots).map_err(|why| bad(position, why))?;
            let owned = OwnedCertRevocationList::from_der(&der)
                .map_err(|e| bad(position, e.to_string()))?;
            let owned = CertRevocationList::from(owned);
            if lists.iter().any(|known| known.issuer() == owned.issuer()) {
                let why = "it is the second one of its authority";
                return Err(bad(position, why.to_owned()));
            }
            lists.push(owned);
            let next = list.next_update();
            let next = next.map(|time| u64::try_from(time.timestamp()).unwrap_or(0));
            due = due.into_iter().chain(next).min();
        }
        if lists.is_empty() {
            return Err(bad(0, "none in the pem text".to_owned()));
        }
        let mut current = self.lists.write();
        let number = current.number + 1;
        *current = Arc::new(Lists { lists, number });
        Ok(due)
    }
}

/// Whether one of the roots signed the list, and all it issued is covered by it.
fn check(
    list: &CertificateRevocationList<'_>,
    roots: &[X509Certificate<'_>],
) -> Result<(), String> {
    let issuer = list.issuer().as_raw();
    let mut named = roots
        .iter()
        .filter(|root| root.subject().as_raw() == issuer)
        .peekable();
    if named.peek().is_none() {
        return Err(format!(
            "its issuer {} is none of the authorities",
            list.issuer()
        ));
    }
    if !named.any(|root| list.verify_signature(root.public_key()).is_ok()) {
        return Err("it is not signed by the authority it names".to_owned());
    }
    let is_scope = |parsed: &ParsedExtension<'_>| {
        matches!(parsed, ParsedExtension::IssuingDistributionPoint(_))
    };
    let mut extensions = list.extensions().iter();
    if extensions.any(|extension| is_scope(extension.parsed_extension())) {
        return Err("it covers only a part of what its authority issued".to_owned());
    }
    Ok(())
}
