//! Claims of every kind of token: none may panic, a provisioning token that can be read is made again of its claims, and
//! nothing that is shown or said of one holds its secrets. The input is a whole token, or the JSON of claims.

use muster_protocol::security::tokens::{
    IssuerKey, IssuerSigningKey, ProvisioningClaims, ProvisioningToken, SigningKey, UnverifiedToken,
};

const NOW: u64 = 1_795_587_600;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = IssuerKey::from_text(text);
    let _ = IssuerSigningKey::from_text(text);
    let _ = UnverifiedToken::parse(text);
    match ProvisioningToken::parse(text) {
        Ok(token) => claims(token.claims),
        Err(error) => assert!(error.to_string().len() < 400, "{error}"),
    }
    if let Ok(read) = serde_json::from_str::<ProvisioningClaims>(text) {
        claims(read);
    }
}

fn claims(claims: ProvisioningClaims) {
    let _ = claims.standard.check_time(NOW);
    let secret = claims.token.clone();
    if claims.check().is_ok() && secret.len() > 40 {
        // Shorter ones may be part of what is shown anyway.
        let public = format!("{}{}{}", claims.urls, claims.srv_domain, claims.username);
        let shown = format!("{claims:?}");
        assert!(public.contains(&secret) || !shown.contains(&format!("{secret:?}")));
    }
    let key = SigningKey::from_seed(&[7; 32]).expect("any 32 bytes are a seed");
    let key = IssuerSigningKey::Ed25519(key);
    let Ok(token) = claims.clone().sign(&key) else {
        return;
    };
    // Only size can be against our own token.
    let Ok(again) = ProvisioningToken::parse(&token) else {
        return;
    };
    assert!(again.is_signed_by(&key.public()));
    assert_eq!(again.claims.token, secret);
    assert_eq!(again.claims.urls, claims.urls);
}
