//! Revocation lists from PEM texts, checked before they are used.
//!
//! The verifiers' library looks a list up by the name of the certificate's issuer, and only then finds out that its signature is bad:
//! a list of the wrong authority would be ignored without a word, and one that was tampered with would refuse everybody.
//! So a list that could not do its work is refused here, when it is loaded.

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::config::certificates;
use super::error::TlsConfigError;

/// When the first of the lists is due to be replaced, in unix seconds; none where no list says so.
///
/// # Errors
/// [`TlsConfigError::Crl`] for a text that holds no list, or one that cannot be read.
pub fn crl_next_update(crl: &str) -> Result<Option<u64>, TlsConfigError> {
    let mut first = None;
    for (index, der) in ders(crl)?.iter().enumerate() {
        let due = parse(index, der)?.next_update();
        let due = due.map(|time| u64::try_from(time.timestamp()).unwrap_or(0));
        first = match (first, due) {
            (Some(first), Some(due)) => Some(due.min(first)),
            (first, due) => first.or(due),
        };
    }
    Ok(first)
}

/// The lists, each signed by one of the authorities and the only one of it.
pub(super) fn lists(
    crl: &str,
    ca: &str,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsConfigError> {
    let ders = ders(crl)?;
    let roots = certificates(ca).map_err(TlsConfigError::Ca)?;
    let roots: Vec<_> = roots
        .iter()
        .filter_map(|der| X509Certificate::from_der(der).ok())
        .map(|(_, cert)| cert)
        .collect();
    let mut issuers: Vec<Vec<u8>> = Vec::new();
    for (index, der) in ders.iter().enumerate() {
        let list = parse(index, der)?;
        let bad = |why: &str| bad(index, why);
        let issuer = list.issuer().as_raw();
        let mut named = roots
            .iter()
            .filter(|root| root.subject().as_raw() == issuer)
            .peekable();
        if named.peek().is_none() {
            return Err(bad(&format!(
                "its issuer {} is none of the authorities",
                list.issuer()
            )));
        }
        if !named.any(|root| list.verify_signature(root.public_key()).is_ok()) {
            return Err(bad("it is not signed by the authority it names"));
        }
        let has_scope = list.extensions().iter().any(|extension| {
            matches!(
                extension.parsed_extension(),
                ParsedExtension::IssuingDistributionPoint(_)
            )
        });
        if has_scope {
            return Err(bad("it covers only a part of what its authority issued"));
        }
        if issuers.iter().any(|known| known == issuer) {
            return Err(bad("it is the second one of its authority"));
        }
        issuers.push(issuer.to_vec());
    }
    Ok(ders)
}

fn ders(crl: &str) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsConfigError> {
    let ders = CertificateRevocationListDer::pem_slice_iter(crl.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsConfigError::Crl(format!("not valid pem: {error}")))?;
    if ders.is_empty() {
        return Err(TlsConfigError::Crl("none in the pem text".to_owned()));
    }
    Ok(ders)
}

fn parse<'a>(
    index: usize,
    der: &'a CertificateRevocationListDer<'_>,
) -> Result<CertificateRevocationList<'a>, TlsConfigError> {
    CertificateRevocationList::from_der(der)
        .map(|(_, list)| list)
        .map_err(|error| bad(index, &error.to_string()))
}

fn bad(index: usize, why: &str) -> TlsConfigError {
    TlsConfigError::Crl(format!("list {}: {why}", index + 1))
}
