//! Revocation lists in TLS: who is refused, at which moment, and which lists are no good.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod tls_support;

use std::sync::Arc;

use muster_reactor::tls::{
    ClientAuth, ServerVerification, TlsConfigError, TlsFiles, client_config_with_crl,
    client_verifier, crl_next_update, server_config,
};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, ExtendedKeyUsagePurpose, KeyIdMethod, KeyPair, RevokedCertParams,
    date_time_ymd,
};
use rustls::ServerConfig;

use tls_support::{Authority, Failure, Identity, Pair, SERVER_NAME, VERSIONS};

/// Years in which a list is due: far ahead, and long gone.
const DUE: [i32; 2] = [9000, 2001];

/// A certificate with a serial number of our choice.
fn issue(ca: &Authority, name: &str, usage: ExtendedKeyUsagePurpose, serial: u64) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    params.serial_number = Some(serial.into());
    let key = KeyPair::generate().unwrap();
    Identity {
        cert: params.signed_by(&key, &ca.issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

fn node(ca: &Authority, serial: u64) -> Identity {
    issue(
        ca,
        "node1.example",
        ExtendedKeyUsagePurpose::ClientAuth,
        serial,
    )
}

fn list(revoked: &[u64], due: i32) -> CertificateRevocationListParams {
    let made = date_time_ymd(2000, 1, 1);
    CertificateRevocationListParams {
        this_update: made,
        next_update: date_time_ymd(due, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: revoked
            .iter()
            .map(|serial| RevokedCertParams {
                serial_number: (*serial).into(),
                revocation_time: made,
                reason_code: None,
                invalidity_date: None,
            })
            .collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
}

fn crl(ca: &Authority, revoked: &[u64], due: i32) -> String {
    list(revoked, due)
        .signed_by(&ca.issuer)
        .unwrap()
        .pem()
        .unwrap()
}

fn failure(client: &Arc<rustls::ClientConfig>, server: &Arc<ServerConfig>) -> String {
    match Pair::new(client, server).settle().unwrap_err() {
        Failure::Client(error) | Failure::Server(error) => error.to_string(),
    }
}

fn server(ca: &Authority, identity: &Identity, crl: Option<&str>) -> Arc<ServerConfig> {
    let files = TlsFiles {
        cert: &identity.cert,
        key: &identity.key,
        ca: Some(&ca.pem),
        crl,
    };
    server_config(&files, ClientAuth::Required).unwrap()
}

fn unix_now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

#[test]
fn a_revoked_client_is_refused_and_others_are_not() {
    let ca = Authority::new();
    let good = issue(&ca, "good.example", ExtendedKeyUsagePurpose::ClientAuth, 7);
    let gone = issue(&ca, "gone.example", ExtendedKeyUsagePurpose::ClientAuth, 8);
    for due in DUE {
        let server = server(&ca, &ca.server(), Some(&crl(&ca, &[8], due)));
        for (version, _) in VERSIONS {
            Pair::established(&ca.client_of_version(Some(&good), version), &server);
            let client = ca.client_of_version(Some(&gone), version);
            let error = failure(&client, &server);
            assert!(error.contains("Revoked"), "{due}: {error}");
        }
    }
}

#[test]
fn a_revoked_server_is_refused() {
    let ca = Authority::new();
    let node = ca.node();
    let identity = Some((&*node.cert, &*node.key));
    let gone = issue(&ca, SERVER_NAME, ExtendedKeyUsagePurpose::ServerAuth, 8);
    let server = server(&ca, &gone, None);
    for due in DUE {
        let with = crl(&ca, &[8], due);
        let full = ServerVerification::Full;
        let client = client_config_with_crl(Some(&ca.pem), Some(&with), identity, full).unwrap();
        let error = failure(&client, &server);
        assert!(error.contains("Revoked"), "{error}");
        let other = crl(&ca, &[9], due);
        let client = client_config_with_crl(Some(&ca.pem), Some(&other), identity, full).unwrap();
        Pair::established(&client, &server);
    }
}

#[test]
fn a_resumed_session_of_a_revoked_client_does_not_pass_the_recheck() {
    let ca = Authority::new();
    let server = ca.server_config(ClientAuth::Required);
    let node = node(&ca, 8);
    let list = crl(&ca, &[8], DUE[0]);
    let before = client_verifier(&ca.pem, None, ClientAuth::Required).unwrap();
    let after = client_verifier(&ca.pem, Some(&list), ClientAuth::Required).unwrap();
    for (version, _) in VERSIONS {
        let client = ca.client_of_version(Some(&node), version);
        Pair::established(&client, &server);
        let resumed = Pair::established(&client, &server);
        let session = &resumed.server.session;
        assert!(session.resumed());
        session.recheck_client(&*before, unix_now()).unwrap();
        let error = session.recheck_client(&*after, unix_now()).unwrap_err();
        assert!(
            error.is_peer_fault() && error.to_string().contains("Revoked"),
            "{error}"
        );
    }
}

#[test]
fn an_authority_without_a_list_revokes_nothing() {
    let (with, without) = (Authority::new(), Authority::new());
    let both = format!("{}{}", with.pem, without.pem);
    let identity = with.server();
    let files = TlsFiles {
        cert: &identity.cert,
        key: &identity.key,
        ca: Some(&both),
        crl: Some(&crl(&with, &[8], DUE[0])),
    };
    let server = server_config(&files, ClientAuth::Required).unwrap();
    let node = node(&without, 8);
    for (version, _) in VERSIONS {
        // It knows the server by the other authority.
        let client = with.client_of_version(Some(&node), version);
        Pair::established(&client, &server);
    }
}

#[test]
fn a_list_that_could_not_do_its_work_is_refused() {
    let (ca, strange) = (Authority::new(), Authority::new());
    let good = crl(&ca, &[8], DUE[0]);
    // Another key under the same name.
    let key = KeyPair::generate().unwrap();
    let name = rcgen::Issuer::from_ca_cert_pem(&ca.pem, key).unwrap();
    let forged = list(&[8], DUE[0]).signed_by(&name).unwrap().pem().unwrap();
    let mut scoped = list(&[8], DUE[0]);
    scoped.issuing_distribution_point = Some(CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint {
            uris: vec!["http://example.net/crl".to_owned()],
        },
        scope: None,
    });
    let scoped = scoped.signed_by(&ca.issuer).unwrap().pem().unwrap();
    let check = |text: &str| match client_verifier(&ca.pem, Some(text), ClientAuth::Required) {
        Err(TlsConfigError::Crl(why)) => why,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("taken: {text}"),
    };
    for (text, wanted) in [
        (
            crl(&strange, &[8], DUE[0]),
            "list 1: its issuer CN=authority",
        ),
        (
            format!("{good}{}", crl(&strange, &[8], DUE[0])),
            "list 2: its issuer",
        ),
        (format!("{good}{good}"), "list 2: it is the second one"),
        (forged, "list 1: it is not signed by"),
        (scoped, "list 1: it covers only a part"),
        (String::new(), "none in the pem text"),
        (ca.pem.clone(), "none in the pem text"),
        (good[..good.len() / 2].to_owned(), "not valid pem"),
    ] {
        let why = check(&text);
        assert!(why.contains(wanted), "{wanted} in {why}");
    }
}

#[test]
fn the_first_due_date_is_told() {
    let (one, two) = (Authority::new(), Authority::new());
    let both = format!("{}{}", crl(&one, &[], 2030), crl(&two, &[u64::MAX], 2028));
    assert_eq!(crl_next_update(&both), Ok(Some(1_830_297_600)));
    assert!(crl_next_update("").is_err());
}

#[test]
fn numbers_are_compared_whole() {
    let ca = Authority::new();
    let server = server(&ca, &ca.server(), Some(&crl(&ca, &[0x0108], DUE[0])));
    let node = node(&ca, 8);
    for (version, _) in VERSIONS {
        Pair::established(&ca.client_of_version(Some(&node), version), &server);
    }
}
