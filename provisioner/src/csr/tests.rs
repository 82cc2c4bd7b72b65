use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};

use super::*;

const NODE: &str = "n1.example.net";

fn request(change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NODE);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn check(pem: &str) -> Result<(), CsrError> {
    check_csr(pem, NODE, &DenyList::default())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.to_owned().try_into().unwrap())
}

#[test]
fn a_request_for_the_nodes_own_name_is_good() {
    assert_eq!(check(&request(|_| {})), Ok(()));
    let own = request(|params| params.subject_alt_names.push(dns(NODE)));
    assert_eq!(check(&own), Ok(()));
    let text = request(|params| {
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
    });
    assert_eq!(check(&text), Ok(()));
}

#[test]
fn a_request_for_another_name_is_refused() {
    let other = request(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "n2.example.net");
    });
    assert!(
        matches!(
            check(&other),
            Err(CsrError::OtherName { .. } | CsrError::Names { .. })
        ),
        "{:?}",
        check(&other)
    );
    let none = request(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    assert_eq!(check(&none), Err(CsrError::Names { count: 0 }));
    let good = request(|_| {});
    let error = check_csr(&good, "n2.example.net", &DenyList::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "signing request is for \"n1.example.net\", not for \"n2.example.net\""
    );
}

#[test]
fn a_further_name_is_refused() {
    for name in [
        dns("n2.example.net"),
        SanType::IpAddress("10.0.0.1".parse().unwrap()),
        SanType::Rfc822Name("a@example.net".to_owned().try_into().unwrap()),
    ] {
        let pem = request(|params| params.subject_alt_names.push(name));
        let error = check(&pem).unwrap_err();
        assert!(matches!(error, CsrError::AlternativeName { .. }), "{error}");
    }
}

#[test]
fn names_of_callers_are_denied_wherever_they_stand() {
    for name in [
        "ginger.mcollective",
        "ginger.choria",
        "ginger.privileged.mcollective",
        "ginger.privileged.choria",
        "Ginger.MCollective",
    ] {
        let pem = request(|params| {
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        });
        let error = check_csr(&pem, name, &DenyList::default()).unwrap_err();
        assert!(matches!(error, CsrError::Denied { .. }), "{error}");
    }
    let pem = request(|params| params.subject_alt_names.push(dns("ginger.mcollective")));
    assert!(matches!(check(&pem), Err(CsrError::Denied { .. })));
    let (own, bad) = DenyList::new(&["^n1".to_owned()]);
    assert!(bad.is_empty());
    assert!(matches!(
        check_csr(&request(|_| {}), NODE, &own),
        Err(CsrError::Denied { .. })
    ));
}

#[test]
fn whoever_wants_to_be_an_authority_is_refused() {
    // The maker of requests leaves basic constraints out of them, so the wish stands in the key's uses.
    let pem = request(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(rcgen::KeyUsagePurpose::KeyCertSign);
    });
    assert_eq!(check(&pem), Err(CsrError::Authority));
}

#[test]
fn a_signature_of_another_key_is_seen() {
    let pem = request(|_| {});
    let (_, mut block) = parse_x509_pem(pem.as_bytes()).unwrap();
    let last = block.contents.len() - 1;
    block.contents[last] ^= 1;
    let mut text = String::from("-----BEGIN CERTIFICATE REQUEST-----\n");
    use base64::Engine;
    text.push_str(&base64::engine::general_purpose::STANDARD.encode(&block.contents));
    text.push_str("\n-----END CERTIFICATE REQUEST-----\n");
    assert_eq!(check(&text), Err(CsrError::BadSignature));
}

#[test]
fn what_is_no_request_is_named() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    for text in [
        "",
        "hello",
        &key,
        "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    ] {
        let error = check(text).unwrap_err();
        assert!(matches!(error, CsrError::Unreadable(_)), "{error}");
    }
    let long = "x".repeat(CSR_BYTES_MAX + 1);
    assert_eq!(check(&long), Err(CsrError::TooLong { bytes: long.len() }));
}
