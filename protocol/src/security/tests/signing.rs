//! Keys of every kind and form sign what the verifier accepts.

use super::*;

#[test]
fn rsa_and_ecdsa_signatures_are_accepted() {
    let ca = authority("CA");
    for kind in [KeyKind::Rsa2048, KeyKind::EcdsaP256] {
        let profile = Profile::new(Role::Client, "rip.mcollective", validity()).key_kind(kind);
        let case = Case::new(&ca.issue(&profile).unwrap(), "choria=rip.mcollective");
        assert_eq!(case.reason(&verifier(&ca), NOW), "accepted", "{kind:?}");
    }
}

#[test]
fn p384_signatures_are_accepted() {
    let ca = authority("CA");
    let root =
        Issuer::from_ca_cert_pem(ca.cert_pem(), KeyPair::from_pem(ca.key_pem()).unwrap()).unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "rip.mcollective");
    let cert_pem = params.signed_by(&key, &root).unwrap().pem();
    let issued = Issued {
        cert_pem,
        key_pem: key.serialize_pem(),
    };
    let case = Case::new(&issued, "choria=rip.mcollective");
    assert_eq!(case.reason(&verifier(&ca), NOW), "accepted");
}

#[test]
fn other_kinds_of_key_neither_sign_nor_pass() {
    let ca = authority("CA");
    let root =
        Issuer::from_ca_cert_pem(ca.cert_pem(), KeyPair::from_pem(ca.key_pem()).unwrap()).unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "rip.mcollective");
    let cert_pem = params.signed_by(&key, &root).unwrap().pem();
    let error = Signer::from_pem(&cert_pem, &key.serialize_pem()).unwrap_err();
    assert!(matches!(error, SecurityError::UnsupportedKey(_)), "{error}");
    let mut case = Case::new(&client(&ca, "rip.mcollective"), "choria=rip.mcollective");
    case.pubcert = cert_pem;
    assert_eq!(case.reason(&verifier(&ca), NOW), "unsupported_key");
}

/// The PKCS#1 and SEC1 forms lie inside PKCS#8, as its last octet string.
fn inner_form(pkcs8_pem: &str, label: &str) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls_pki_types::pem::PemObject;
    let der = rustls_pki_types::PrivatePkcs8KeyDer::from_pem_slice(pkcs8_pem.as_bytes()).unwrap();
    let der = der.secret_pkcs8_der();
    let start = (4..der.len())
        .find(|at| der[*at] == 0x30 && is_octets_header(der, *at))
        .unwrap();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(&der[start..])
    )
}

/// Whether an octet string that fills the rest starts right before `at`.
fn is_octets_header(der: &[u8], at: usize) -> bool {
    let rest = der.len() - at;
    let (low, high) = (
        u8::try_from(rest & 0xff).unwrap(),
        u8::try_from(rest >> 8).unwrap(),
    );
    der[..at].ends_with(&[0x04, 0x82, high, low])
        || der[..at].ends_with(&[0x04, 0x81, low])
        || der[..at].ends_with(&[0x04, low])
}

#[test]
fn keys_come_in_their_old_forms_too() {
    let ca = authority("CA");
    for (kind, label) in [
        (KeyKind::Rsa2048, "RSA PRIVATE KEY"),
        (KeyKind::EcdsaP256, "EC PRIVATE KEY"),
    ] {
        let profile = Profile::new(Role::Client, "rip.mcollective", validity()).key_kind(kind);
        let mut issued = ca.issue(&profile).unwrap();
        issued.key_pem = inner_form(&issued.key_pem, label);
        let case = Case::new(&issued, "choria=rip.mcollective");
        assert_eq!(case.reason(&verifier(&ca), NOW), "accepted", "{label}");
    }
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ca = authority("CA");
    let one = client(&ca, "rip.mcollective");
    let profile = |kind| Profile::new(Role::Client, "x", validity()).key_kind(kind);
    let other = client(&ca, "rip.mcollective");
    let error = Signer::from_pem(&one.cert_pem, &other.key_pem).unwrap_err();
    assert_eq!(error, SecurityError::KeyMismatch);
    let rsa = ca.issue(&profile(KeyKind::Rsa2048)).unwrap();
    assert!(Signer::from_pem(&one.cert_pem, &rsa.key_pem).is_err());
    assert!(Signer::from_pem(&rsa.cert_pem, &one.key_pem).is_err());
}

#[test]
fn texts_without_certificate_or_key_are_named() {
    let ca = authority("CA");
    let one = client(&ca, "rip.mcollective");
    let error = Signer::from_pem("", &one.key_pem).unwrap_err();
    assert_eq!(error, SecurityError::NoCertificate);
    let error = Signer::from_pem(&one.cert_pem, &one.cert_pem).unwrap_err();
    assert_eq!(error, SecurityError::NoKey);
}

#[test]
fn a_policy_without_roots_or_with_a_bad_one_is_refused() {
    let ca = authority("CA");
    let error = |bundle: String| Verifier::new(TrustPolicy::new(bundle)).unwrap_err();
    assert_eq!(error(String::new()), SecurityError::NoRoots);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let found = error(format!("{}{garbage}", ca.cert_pem()));
    assert!(
        matches!(found, SecurityError::BadRoot { position: 2, .. }),
        "{found}"
    );
}

#[test]
fn any_root_of_a_bundle_will_do() {
    let (one, two) = (authority("One"), authority("Two"));
    let bundle = format!("{}{}", one.cert_pem(), two.cert_pem());
    let verifier = Verifier::new(TrustPolicy::new(bundle)).unwrap();
    for ca in [&one, &two] {
        let case = Case::new(&client(ca, "rip.mcollective"), "choria=rip.mcollective");
        assert_eq!(case.reason(&verifier, NOW), "accepted");
    }
}

#[test]
fn keys_stay_out_of_debug_output() {
    let one = client(&authority("CA"), "rip.mcollective");
    let shown = format!(
        "{:?}",
        Signer::from_pem(&one.cert_pem, &one.key_pem).unwrap()
    );
    assert!(
        shown.contains("rip.mcollective") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}
