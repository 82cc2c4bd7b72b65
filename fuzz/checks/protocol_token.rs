//! A token that can be read must be made again of its claims, and no text may be believed or panic.

use muster_protocol::security::tokens::{
    PublicKey, SigningKey, TokenIssuer, TokenTrust, UnverifiedToken,
};

const NOW: u64 = 1_795_587_600;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = PublicKey::from_hex(text);
    let key = SigningKey::from_seed(&[7; 32]).expect("any 32 bytes are a seed");
    let trust = TokenTrust::Signers(vec![key.public()]);
    assert!(trust.verify(text, NOW).is_err(), "nobody holds the key");
    let Ok(token) = UnverifiedToken::parse(text) else {
        return;
    };
    let _ = token.claims.standard().check_time(NOW);
    let issuer = TokenIssuer::new(key);
    let again = issuer
        .sign(token.claims.clone())
        .expect("claims can be written");
    let again = UnverifiedToken::parse(&again).expect("our own token is one");
    assert_eq!(again.claims, token.claims);
    assert!(again.is_signed_by(&issuer.public()));
}
