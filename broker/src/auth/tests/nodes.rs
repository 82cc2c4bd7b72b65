//! Tokens of nodes that are to be provisioned.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn token(
    algorithm: &str,
    claims: &serde_json::Value,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn claims() -> serde_json::Value {
    serde_json::json!({
        "purpose": "choria_provisioning", "sub": "choria_provisioning", "cht": "t0ken", "chs": true,
        "iss": "choria cli", "iat": NOW, "nbf": NOW, "exp": NOW + 60, "ou": "choria",
    })
}

fn changed(key: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    let mut claims = claims();
    claims[key] = value.into();
    claims
}

fn by(number: u8, claims: &serde_json::Value) -> String {
    token("EdDSA", claims, |message| {
        key(number).sign(message).to_vec()
    })
}

fn node(token: &str) -> Connect {
    Connect {
        auth_token: Some(token.into()),
        ..Connect::default()
    }
}

fn rules(signer: Option<IssuerKey>, issuers: BTreeMap<String, PublicKey>) -> FleetAuth {
    let provisioning = provisioning().map(|p| Provisioning { signer, ..p });
    encrypted(FleetRules {
        provisioning,
        issuers,
        ..FleetRules::default()
    })
}

#[test]
fn a_node_is_let_into_its_account_by_a_good_token_only() {
    let signer = rules(Some(IssuerKey::Ed25519(key(2).public())), issuers());
    let by_issuer = rules(None, issuers());
    let none = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let old = {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove("purpose");
        claims
    };
    let good = by(2, &claims());
    let table = [
        (&signer, good.clone(), Via::Unverified, "provisioning"),
        (&signer, good.clone(), Via::Verified, "provisioning"),
        (&signer, good.clone(), Via::Clear, "needs_tls"),
        (&signer, by(2, &old), Via::Unverified, "provisioning"),
        (
            &signer,
            by(9, &claims()),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        // The configured signer goes before the issuers.
        (
            &signer,
            by(1, &claims()),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &by_issuer,
            by(1, &claims()),
            Via::Unverified,
            "provisioning",
        ),
        (
            &by_issuer,
            by(1, &changed("ou", "acme")),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &by_issuer,
            by(2, &claims()),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &signer,
            by(2, &changed("exp", NOW)),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &signer,
            by(2, &changed("exp", -5)),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &signer,
            by(2, &changed("issexp", NOW - 1)),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &signer,
            by(2, &changed("nbf", NOW + 1)),
            Via::Unverified,
            "bad_provisioning_token",
        ),
        (
            &signer,
            by(2, &changed("purpose", "choria_other")),
            Via::Unverified,
            "token_purpose",
        ),
        (
            &signer,
            token("none", &claims(), |_| Vec::new()),
            Via::Unverified,
            "token_algorithm",
        ),
        (
            &signer,
            token("HS256", &claims(), |_| vec![1; 32]),
            Via::Unverified,
            "token_algorithm",
        ),
        (&none, good, Via::Unverified, "no_provisioning"),
    ];
    for (place, (auth, token, via, wanted)) in table.iter().enumerate() {
        assert_eq!(outcome(auth, &node(token), *via), *wanted, "row {place}");
    }
    let grant = decide(&signer, &node(&by(2, &claims())), Via::Unverified).unwrap();
    assert_eq!(grant.expires, Some(Duration::from_secs(60)));
    assert!(grant.permissions.is_some());
}

#[test]
fn a_token_of_rsa_is_checked_in_all_its_digests() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let pair = RsaKeyPair::from_pkcs8(pem.serialized_der()).unwrap();
    let other = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let signer = IssuerKey::from_text(&pem.public_key_pem()).unwrap();
    let auth = rules(Some(signer), BTreeMap::new());
    let digests: [(&str, &'static dyn RsaEncoding); 3] = [
        ("RS256", &signature::RSA_PKCS1_SHA256),
        ("RS384", &signature::RSA_PKCS1_SHA384),
        ("RS512", &signature::RSA_PKCS1_SHA512),
    ];
    for (name, encoding) in digests {
        let by = |pair: &RsaKeyPair, algorithm: &str| {
            token(algorithm, &claims(), |message| {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            })
        };
        let outcome = |token: &str| outcome(&auth, &node(token), Via::Unverified);
        assert_eq!(outcome(&by(&pair, name)), "provisioning", "{name}");
        assert_eq!(
            outcome(&by(&other, name)),
            "bad_provisioning_token",
            "{name}"
        );
        let misnamed = if name == "RS256" { "RS512" } else { "RS256" };
        assert_eq!(
            outcome(&by(&pair, misnamed)),
            "bad_provisioning_token",
            "{name}"
        );
    }
    // The same key is none for the other algorithm.
    assert_eq!(
        outcome(&auth, &node(&by(2, &claims())), Via::Unverified),
        "bad_provisioning_token"
    );
}

#[test]
fn bytes_of_any_kind_are_no_token_and_harm_nobody() {
    let auth = rules(Some(IssuerKey::Ed25519(key(2).public())), issuers());
    let good = by(2, &claims());
    for cut in 0..good.len() {
        assert_ne!(
            outcome(&auth, &node(&good[..cut]), Via::Unverified),
            "provisioning"
        );
        let mut bytes = good.clone().into_bytes();
        bytes[cut] = if bytes[cut] == b'A' { b'Q' } else { b'A' };
        let damaged = String::from_utf8(bytes).unwrap();
        assert_ne!(
            outcome(&auth, &node(&damaged), Via::Unverified),
            "provisioning",
            "{cut}"
        );
    }
    let long = "x".repeat(64 * 1024);
    assert_eq!(
        outcome(&auth, &node(&long), Via::Unverified),
        "token_too_large"
    );
}
