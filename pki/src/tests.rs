//! Certificates are checked the way peers check them: by chain, name and use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::*;

const START: u64 = 1_795_586_400;

fn validity() -> Validity {
    Validity::days_from(START, 10)
}

/// Whether a certificate is good for a use at a moment under this root.
fn is_good(root: &str, cert: &str, usage: KeyUsage, unix: u64) -> Result<(), webpki::Error> {
    let root = CertificateDer::from_pem_slice(root.as_bytes()).unwrap();
    let anchors = [webpki::anchor_from_trusted_cert(&root).unwrap()];
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let cert = EndEntityCert::try_from(&cert).unwrap();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(unix));
    cert.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        time,
        usage,
        None,
        None,
    )
    .map(|_| ())
}

fn answers_to(cert: &str, name: &str) -> bool {
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let cert = EndEntityCert::try_from(&cert).unwrap();
    cert.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
        .is_ok()
}

#[test]
fn roles_decide_the_uses() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    for (role, server_good) in [
        (Role::Broker, true),
        (Role::Node, true),
        (Role::Client, false),
    ] {
        let profile = Profile::new(role, "one.example.net", validity());
        let cert = ca.issue(&profile).unwrap().cert_pem;
        assert_eq!(
            is_good(ca.cert_pem(), &cert, KeyUsage::client_auth(), START),
            Ok(())
        );
        let server = is_good(ca.cert_pem(), &cert, KeyUsage::server_auth(), START);
        assert_eq!(server.is_ok(), server_good, "{role:?}: {server:?}");
    }
}

#[test]
fn both_kinds_of_key_chain_to_both_kinds_of_root() {
    for ca_kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let ca = Authority::new("Test CA", ca_kind, validity()).unwrap();
        for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
            let profile = Profile::new(Role::Node, "n", validity()).key_kind(kind);
            let cert = ca.issue(&profile).unwrap().cert_pem;
            assert_eq!(
                is_good(ca.cert_pem(), &cert, KeyUsage::client_auth(), START),
                Ok(())
            );
        }
    }
}

#[test]
fn dates_are_exact() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let profile = Profile::new(Role::Client, "rip.mcollective", validity());
    let cert = ca.issue(&profile).unwrap().cert_pem;
    let at = |unix| is_good(ca.cert_pem(), &cert, KeyUsage::client_auth(), unix);
    let end = START + 10 * 86_400;
    assert!(matches!(
        at(START - 1),
        Err(webpki::Error::CertNotValidYet { .. })
    ));
    assert_eq!(at(START), Ok(()));
    assert_eq!(at(end), Ok(()));
    assert!(matches!(
        at(end + 1),
        Err(webpki::Error::CertExpired { .. })
    ));
}

#[test]
fn own_name_and_given_names_are_alternative_names() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let profile = Profile::new(Role::Broker, "broker1.example.net", validity())
        .loopback()
        .dns("*.brokers.example.net")
        .dns("localhost");
    let cert = ca.issue(&profile).unwrap().cert_pem;
    for name in [
        "broker1.example.net",
        "localhost",
        "127.0.0.1",
        "::1",
        "b7.brokers.example.net",
    ] {
        assert!(answers_to(&cert, name), "{name}");
    }
    assert!(!answers_to(&cert, "broker2.example.net"));
}

#[test]
fn names_that_are_none_are_refused() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    for profile in [
        Profile::new(Role::Node, "../etc/passwd", validity()),
        Profile::new(Role::Node, "*.example.net", validity()),
        Profile::new(Role::Node, "fine", validity()).dns(""),
    ] {
        assert!(
            matches!(ca.issue(&profile), Err(PkiError::BadName { .. })),
            "{profile:?}"
        );
    }
    assert!(Authority::new("", KeyKind::EcdsaP256, validity()).is_err());
}

#[test]
fn an_authority_loads_again_and_its_certificates_still_chain() {
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let ca = Authority::new("Test CA", kind, validity()).unwrap();
        let again = Authority::from_pem(ca.cert_pem(), ca.key_pem()).unwrap();
        let cert = again
            .issue(&Profile::new(Role::Node, "n", validity()))
            .unwrap()
            .cert_pem;
        assert_eq!(
            is_good(ca.cert_pem(), &cert, KeyUsage::client_auth(), START),
            Ok(())
        );
    }
}

#[test]
fn a_recorded_authority_of_another_maker_loads() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/choria-0.30.2/pki");
    let cert = fs::read_to_string(format!("{dir}/ca.pem")).unwrap();
    let key = fs::read_to_string(format!("{dir}/ca.key")).unwrap();
    let ca = Authority::from_pem(&cert, &key).unwrap();
    let issued = ca
        .issue(&Profile::new(Role::Client, "new.mcollective", validity()))
        .unwrap();
    assert_eq!(
        is_good(&cert, &issued.cert_pem, KeyUsage::client_auth(), START),
        Ok(())
    );
}

#[test]
fn an_authority_with_a_strange_key_or_a_leaf_is_refused() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let other = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let mixed = Authority::from_pem(ca.cert_pem(), other.key_pem());
    assert_eq!(mixed.unwrap_err(), PkiError::KeyMismatch);
    let leaf = ca
        .issue(&Profile::new(Role::Node, "n", validity()))
        .unwrap();
    let leaf = Authority::from_pem(&leaf.cert_pem, &leaf.key_pem);
    assert!(matches!(leaf.unwrap_err(), PkiError::BadAuthority(_)));
}

#[test]
fn certificates_of_one_key_have_numbers_of_their_own() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let key = LeafKey::generate(KeyKind::EcdsaP256).unwrap();
    let mut serials = std::collections::BTreeSet::new();
    for n in 0..500 {
        let profile = Profile::new(Role::Node, format!("node{n}.example.net"), validity());
        let issued = ca.issue_with_key(&profile, &key).unwrap();
        assert_eq!(issued.key_pem, key.pem());
        let der = CertificateDer::from_pem_slice(issued.cert_pem.as_bytes()).unwrap();
        serials.insert(
            X509Certificate::from_der(&der)
                .unwrap()
                .1
                .raw_serial()
                .to_vec(),
        );
    }
    assert_eq!(serials.len(), 500);
}

#[test]
fn files_have_narrow_modes_and_are_not_overwritten_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let profile = Profile::new(Role::Node, "n", validity());
    let (first, second) = (ca.issue(&profile).unwrap(), ca.issue(&profile).unwrap());
    let (cert, key) = first
        .write_files(dir.path(), "n", IfExists::Refuse)
        .unwrap();
    assert_eq!(cert, dir.path().join("n.pem"));
    assert_eq!(fs::read_to_string(&key).unwrap(), first.key_pem);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );

    let refused = second
        .write_files(dir.path(), "n", IfExists::Refuse)
        .unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read_to_string(&key).unwrap(), first.key_pem);
    assert_eq!(fs::read_to_string(&cert).unwrap(), first.cert_pem);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    second
        .write_files(dir.path(), "n", IfExists::Replace)
        .unwrap();
    assert_eq!(fs::read_to_string(&key).unwrap(), second.key_pem);
    assert_eq!(fs::read_to_string(&cert).unwrap(), second.cert_pem);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing else is left"
    );
}

#[test]
fn a_lone_certificate_keeps_the_key_from_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    fs::write(dir.path().join("ca.pem"), "mine").unwrap();
    assert!(ca.write_files(dir.path(), "ca", IfExists::Refuse).is_err());
    assert!(!dir.path().join("ca.key").exists());
    let sideways = ca
        .write_files(dir.path(), "../ca", IfExists::Refuse)
        .unwrap_err();
    assert_eq!(sideways.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn keys_stay_out_of_debug_output() {
    let ca = Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap();
    let issued = ca
        .issue(&Profile::new(Role::Node, "n", validity()))
        .unwrap();
    let key = LeafKey::generate(KeyKind::EcdsaP256).unwrap();
    for text in [format!("{ca:?}"), format!("{issued:?}"), format!("{key:?}")] {
        assert!(!text.contains("PRIVATE"), "{text}");
    }
}
