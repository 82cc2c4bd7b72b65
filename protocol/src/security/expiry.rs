//! When a certificate ends.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::SecurityError;

/// The last second in which the first certificate of a PEM text is good, as unix seconds.
///
/// # Errors
/// There is no certificate, or one that cannot be read.
pub fn certificate_expiry(pem: &str) -> Result<i64, SecurityError> {
    let der = CertificateDer::pem_slice_iter(pem.as_bytes())
        .next()
        .ok_or(SecurityError::NoCertificate)?
        .map_err(|error| SecurityError::BadCertificate(error.to_string()))?;
    let (_, certificate) = X509Certificate::from_der(&der)
        .map_err(|error| SecurityError::BadCertificate(error.to_string()))?;
    Ok(certificate.validity().not_after.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recorded_certificate_ends_when_its_server_said() {
        let pem = include_str!("../../../testdata/choria-0.30.2/pki/node2.example.net.pem");
        // 2036-11-22T06:10:24Z
        assert_eq!(certificate_expiry(pem), Ok(2_110_947_024));
        assert_eq!(certificate_expiry(""), Err(SecurityError::NoCertificate));
    }
}
