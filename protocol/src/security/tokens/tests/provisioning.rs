//! Provisioning tokens: those of another implementation to the byte, of both kinds of key, and what is refused.

use serde_json::json;

use super::super::*;

#[expect(clippy::disallowed_methods, reason = "test data lie in files")]
fn read(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/provisioning/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

fn claims() -> ProvisioningClaims {
    ProvisioningClaims {
        token: "s3cret".to_owned(),
        urls: "nats://p1.example.net:4222,p2.example.net:4222".to_owned(),
        provision_default: true,
        registration_data: "/etc/node/registration.json".to_owned(),
        facts: "/etc/node/facts.json".to_owned(),
        username: "provisioning".to_owned(),
        password: "hunter2".to_owned(),
        extensions: json!({"site": 7, "rack": "a1"}).as_object().cloned(),
        organization: "choria".to_owned(),
        allow_update: true,
        standard: StandardClaims {
            issuer: "test".to_owned(),
            issued_at: Some(1_700_000_000),
            not_before: Some(1_700_000_000),
            expires_at: Some(4_102_444_800),
            id: "golden-p1".to_owned(),
            ..StandardClaims::default()
        },
        ..ProvisioningClaims::default()
    }
}

#[test]
fn the_token_openssl_signed_is_made_again_and_verified() {
    let key = IssuerSigningKey::from_text(&read("signer.key")).unwrap();
    let public = IssuerKey::from_text(&read("signer.pub")).unwrap();
    assert_eq!(key.public(), public);
    let token = claims().sign(&key).unwrap();
    assert_eq!(token, read("rs256.jwt"));
    for name in ["rs256.jwt", "rs512.jwt"] {
        let text = read(name);
        let token = ProvisioningToken::parse(&text).unwrap();
        assert_eq!(token.verify(&public, 1_700_000_000), Ok(()), "{name}");
        assert_eq!(token.claims.token, "s3cret");
        assert_eq!(token.claims.check(), Ok(()));
        let brokers: Vec<_> = token.claims.brokers().collect();
        assert_eq!(
            brokers,
            ["nats://p1.example.net:4222", "p2.example.net:4222"]
        );
        let late = token.verify(&public, 4_102_444_800);
        assert!(matches!(late, Err(TokenError::Expired { .. })), "{late:?}");
    }
}

#[test]
fn a_token_of_an_ed25519_key_is_verified_by_that_key_only() {
    let key = |byte| SigningKey::from_seed(&[byte; 32]).unwrap();
    let token = claims().sign(&IssuerSigningKey::Ed25519(key(1))).unwrap();
    let token = ProvisioningToken::parse(&token).unwrap();
    let own = IssuerKey::from_text(&key(1).public().to_string()).unwrap();
    assert_eq!(token.verify(&own, 1_700_000_000), Ok(()));
    let other = IssuerKey::Ed25519(key(2).public());
    assert_eq!(
        token.verify(&other, 1_700_000_000),
        Err(TokenError::Untrusted)
    );
    let rsa = IssuerKey::from_text(&read("signer.pub")).unwrap();
    assert!(!token.is_signed_by(&rsa));
    let text = read("rs256.jwt");
    assert!(!ProvisioningToken::parse(&text).unwrap().is_signed_by(&own));
}

#[test]
fn what_a_node_cannot_go_by_is_refused() {
    let check = |change: fn(&mut ProvisioningClaims), why: &str| {
        let mut claims = claims();
        change(&mut claims);
        let error = claims.check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    };
    check(|claims| claims.token.clear(), "no provisioning secret");
    check(|claims| claims.urls.clear(), "neither brokers nor a domain");
    check(
        |claims| claims.srv_domain = "example.net".to_owned(),
        "both brokers and a domain",
    );
    check(
        |claims| claims.facts = "/f\nrpcauthorization = 0".to_owned(),
        "control character",
    );
    let client = super::golden::read("client.jwt");
    let error = ProvisioningToken::parse(&client).unwrap_err();
    assert_eq!(error.reason(), "token_purpose");
}

#[test]
fn no_output_for_people_has_a_secret() {
    let text = read("rs256.jwt");
    let shown = format!("{:?}", ProvisioningToken::parse(&text).unwrap().claims);
    assert!(
        !shown.contains("s3cret") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(shown.contains("p1.example.net"), "{shown}");
    let key = IssuerSigningKey::from_text(&read("signer.key")).unwrap();
    assert!(format!("{key:?}").len() < 64);
    // A token of which nothing can be read says no more of it either.
    let claims = r#"{"cht":{"hidden":"s3cret"},"purpose":"choria_provisioning"}"#;
    let encode = |text: &str| {
        let standard = crate::base64::encode_to_string(text.as_bytes());
        standard.trim_end_matches('=').to_owned()
    };
    let token = format!("{}.{}.", encode(r#"{"alg":"EdDSA"}"#), encode(claims));
    let error = ProvisioningToken::parse(&token).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}
