//! Known keys and tokens come out to the byte, and the recorded tokens are what they are.

use std::path::PathBuf;

use super::super::*;

const CALLER_SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const CALLER_PUBLIC: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const ISSUER_SEED: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
const ISSUER_PUBLIC: &str = "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7";
const TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJjYWxsZXJpZCI6InVwPXRlc3RlciIsIm91IjoiY2hvcmlhIiwicGVybWlzc2lvbnMiOnsiZmxlZXRfbWFuYWdlbWVudCI6dHJ1ZX0sInB1cnBvc2UiOiJjaG9yaWFfY2xpZW50X2lkIiwicHVibGljX2tleSI6IjAzYTEwN2JmZjNjZTEwYmUxZDcwZGQxOGU3NGJjMDk5NjdlNGQ2MzA5YmE1MGQ1ZjFkZGM4NjY0MTI1NTMxYjgiLCJpc3MiOiJnb2xkZW4iLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiJnb2xkZW4tMSJ9.UXHzCh-tQMQ3X2mI0LeHFuSADO_qoD4D0bXgRnCSK1uosfFGIjRt9XB0GsJdIYGaTs_cAI7hG5EJ_cMu38dCBA";
const REQUEST: &str = r#"{"protocol":"io.choria.protocol.v2.request","message":"eyJhZ2VudCI6InJwY3V0aWwiLCJhY3Rpb24iOiJnZXRfZmFjdCIsImRhdGEiOnsiZmFjdCI6Im9zLm5hbWUifX0=","id":"2hYxQzKfTn4b7LwVdR9mJ3sPq1C","sender":"admin1.example.net","caller":"up=tester","collective":"choria","agent":"rpcutil","ttl":60,"time":1700000000123456789,"filter":{"fact":[],"cf_class":[],"agent":["rpcutil"],"identity":[],"compound":[]}}"#;
const SIGNATURE: &str =
    "tjGtiMxGWGSlolYgFqtFXysNA7X+L2vcP9gQ+ypr/EBkovjMSVhSBDkeruH2GZJ2DZKsLNAHBq/n/mHviwy8AA==";
const NONCE_SIGNATURE: &str =
    "iJ9GOo_HWCagqunTVEpGY2PWDPOdHD6fuKWOW5vDYrxFgVw9sGfAbngFJKrI7I5cWB5NRsvwcuQGmPN8m4EFCw";

#[test]
fn keys_and_signatures_are_the_known_ones() {
    let issuer = SigningKey::from_seed_hex(ISSUER_SEED).unwrap();
    assert_eq!(issuer.public().to_string(), ISSUER_PUBLIC);
    let signer = TokenSigner::new(TOKEN, CALLER_SEED).unwrap();
    assert_eq!(
        signer.claims().public_key().unwrap().to_string(),
        CALLER_PUBLIC
    );
    assert_eq!(signer.sign_base64(REQUEST.as_bytes()), SIGNATURE);
    assert_eq!(signer.sign_nonce("abcdefghijk"), NONCE_SIGNATURE);
    let public = PublicKey::from_hex(&CALLER_PUBLIC.to_uppercase()).unwrap();
    assert!(public.verify_nonce("abcdefghijk", NONCE_SIGNATURE));
    assert!(public.verify_nonce("abcdefghijk", &format!("{NONCE_SIGNATURE}==")));
    let standard = NONCE_SIGNATURE.replace('_', "/").replace('-', "+") + "==";
    assert!(public.verify_nonce("abcdefghijk", &standard));
    assert!(!public.verify_nonce("abcdefghijl", NONCE_SIGNATURE));
}

#[test]
fn the_known_token_is_made_and_believed() {
    let claims = ClientClaims {
        caller_id: "up=tester".to_owned(),
        organization: "choria".to_owned(),
        permissions: Some(ClientPermissions {
            fleet_management: true,
            ..ClientPermissions::default()
        }),
        standard: StandardClaims {
            public_key: CALLER_PUBLIC.to_owned(),
            issuer: "golden".to_owned(),
            issued_at: Some(1_700_000_000),
            not_before: Some(1_700_000_000),
            expires_at: Some(4_102_444_800),
            id: "golden-1".to_owned(),
            ..StandardClaims::default()
        },
        ..ClientClaims::default()
    };
    let key = SigningKey::from_seed_hex(ISSUER_SEED).unwrap();
    let trust = TokenTrust::Signers(vec![key.public()]);
    let token = TokenIssuer::new(key).sign(Claims::Client(Box::new(claims)));
    assert_eq!(token.as_deref(), Ok(TOKEN));
    let verified = trust.verify(TOKEN, 1_700_000_000).unwrap();
    assert_eq!(verified.claims.holder(), "up=tester");
    assert_eq!(verified.public_key.to_string(), CALLER_PUBLIC);
}

#[expect(clippy::disallowed_methods, reason = "test data lie in files")]
pub(super) fn read(name: &str) -> String {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testdata/choria-0.30.2/tokens"
    );
    std::fs::read_to_string(PathBuf::from(folder).join(name)).unwrap()
}

#[test]
fn recorded_tokens_are_believed_and_made_again() {
    let issuer = TokenIssuer::new(SigningKey::from_seed_hex(&read("issuer.seed")).unwrap());
    assert_eq!(issuer.public().to_string(), read("issuer.public"));
    let issuers = [("choria".to_owned(), issuer.public())];
    let trust = TokenTrust::Issuers(issuers.into_iter().collect());
    for (name, holder) in [
        ("client", "up=ginger"),
        ("node1", "node1.example.net"),
        ("node2", "node2.example.net"),
    ] {
        let token = read(&format!("{name}.jwt"));
        let verified = trust.verify(&token, 1_795_587_600).unwrap();
        assert_eq!(verified.claims.holder(), holder);
        assert_eq!(verified.claims.organization(), "choria");
        assert_eq!(issuer.sign(verified.claims).unwrap(), token, "{name}");
        let seed = read(&format!("{name}.seed"));
        assert!(TokenSigner::new(&token, &seed).is_ok(), "{name}");
    }
}
