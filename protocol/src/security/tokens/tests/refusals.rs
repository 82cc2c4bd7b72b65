//! Every reason to refuse a request with tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

#[track_caller]
fn refused(case: &Case, expected: &str) {
    assert_eq!(case.reason(&by_signers(&[ORG])), expected);
    let name = by_issuers(&[("choria", ORG)]);
    assert_eq!(case.reason(&name), expected, "with named issuers");
}

fn with(change: impl FnOnce(&mut ClientClaims)) -> String {
    let mut claims = client(CALLER, "up=bob", fleet());
    change(&mut claims);
    issue(ORG, claims)
}

/// A token of any JSON, signed by the organisation.
fn raw(header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = URL_SAFE_NO_PAD.encode(key(ORG).sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[test]
fn texts_that_are_no_token() {
    for text in [
        "",
        "insecure",
        "a.b",
        "a.b.c",
        "..",
        &raw("[]", "{}"),
        &raw(r#"{"alg":"EdDSA"}"#, r#"{"purpose":1}"#),
        &caller_token()[1..],
    ] {
        refused(&Case::direct(text.to_owned()), "bad_token");
    }
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    refused(&Case::direct(long), "token_too_large");
}

#[test]
fn other_algorithms_and_purposes() {
    let claims = r#"{"purpose":"choria_client_id"}"#;
    for name in ["none", "HS256", "RS256", "eddsa"] {
        let token = raw(&format!(r#"{{"alg":"{name}"}}"#), claims);
        refused(&Case::direct(token), "token_algorithm");
    }
    for claims in ["{}", r#"{"purpose":"choria_provisioning"}"#] {
        let token = raw(r#"{"alg":"EdDSA"}"#, claims);
        refused(&Case::direct(token), "token_purpose");
    }
}

#[test]
fn nobody_trusted_signed() {
    let token = issue(OTHER_ORG, client(CALLER, "up=bob", fleet()));
    refused(&Case::direct(token), "untrusted_token");
    // One letter of the claims changed.
    let token = caller_token();
    let at = token.find('.').unwrap() + 20;
    let mut bytes = token.into_bytes();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let case = Case::direct(String::from_utf8(bytes).unwrap());
    let reason = case.reason(&by_signers(&[ORG]));
    assert!(
        matches!(reason, "untrusted_token" | "bad_token" | "token_purpose"),
        "{reason}"
    );
    let unknown = with(|claims| claims.organization = "acme".to_owned());
    let by_name = by_issuers(&[("choria", ORG)]);
    assert_eq!(Case::direct(unknown).reason(&by_name), "token_organization");
    assert_eq!(
        Case::direct(caller_token()).reason(&by_signers(&[])),
        "untrusted_token"
    );
}

#[test]
fn out_of_its_time() {
    let mut case = Case::direct(caller_token());
    for (now, expected) in [
        (1_699_999_999, "token_not_yet_valid"),
        (1_700_000_000, "accepted"),
        (1_700_000_999, "accepted"),
        (1_700_001_000, "token_expired"),
    ] {
        case.now = now;
        refused(&case, expected);
    }
    let early = with(|claims| claims.standard.issuer_expires_at = Some(1_700_000_100));
    refused(&Case::direct(early), "token_expired");
    let endless = with(|claims| claims.standard.expires_at = None);
    refused(&Case::direct(endless), "accepted");
}

#[test]
fn what_the_token_does_not_allow() {
    for (permissions, expected) in [
        (None, "no_fleet_management"),
        (Some(ClientPermissions::default()), "no_fleet_management"),
        (Some(signed_fleet()), "delegation_required"),
        (
            Some(ClientPermissions {
                signed_fleet_management: true,
                ..fleet()
            }),
            "delegation_required",
        ),
    ] {
        let token = with(|claims| claims.permissions = permissions);
        refused(&Case::direct(token), expected);
    }
    let server = ServerClaims {
        identity: "node1".to_owned(),
        organization: "choria".to_owned(),
        standard: standard(CALLER),
        ..ServerClaims::default()
    };
    let issuer = TokenIssuer::new(key(ORG));
    let token = issuer.sign(Claims::Server(Box::new(server))).unwrap();
    refused(&Case::direct(token), "not_a_client");
}

#[test]
fn another_caller_key_or_signature() {
    let mut case = Case::direct(caller_token());
    case.caller_id = "up=bobby";
    refused(&case, "caller_not_in_token");
    let other = issue(ORG, client(SERVICE, "up=bob", fleet()));
    refused(&Case::direct(other), "bad_signature");
    let none = with(|claims| claims.standard.public_key.clear());
    refused(&Case::direct(none), "token_public_key");
    let short = with(|claims| claims.standard.public_key.truncate(62));
    refused(&Case::direct(short), "token_public_key");
    let mut case = Case::direct(caller_token());
    case.signature = "!".to_owned();
    refused(&case, "bad_signature_encoding");
    case.signature = "aW5zZWN1cmU=".to_owned();
    refused(&case, "bad_signature");
}

#[test]
fn delegations_that_are_none() {
    let service = |permissions| issue(ORG, client(SERVICE, "aaa=service", permissions));
    let case = |caller: &str, signer: &str| Case::delegated(caller.to_owned(), signer.to_owned());
    let caller = caller_token();
    refused(&case(&caller, &service(fleet())), "not_a_delegator");
    refused(&case(&caller, "x"), "bad_signer_token");
    let foreign = issue(OTHER_ORG, client(SERVICE, "aaa=service", delegator()));
    refused(&case(&caller, &foreign), "untrusted_signer_token");
    let signer = service(delegator());
    refused(&case("x", &signer), "bad_token");
    let powerless = with(|claims| claims.permissions = None);
    refused(&case(&powerless, &signer), "no_fleet_management");
    // Both organisations are trusted, but the caller must come from the service's.
    let foreign = issue(OTHER_ORG, client(CALLER, "up=bob", fleet()));
    let both = by_signers(&[ORG, OTHER_ORG]);
    assert_eq!(case(&foreign, &signer).reason(&both), "untrusted_token");
    let mut by_caller = case(&caller, &signer);
    by_caller.signature = Case::direct(caller.clone()).signature;
    refused(&by_caller, "bad_signature");
    let mut expired = case(&caller, &signer);
    expired.now = 1_700_001_000;
    refused(&expired, "signer_token_expired");
    let lasting = with(|claims| claims.standard.expires_at = None);
    let mut early = client(SERVICE, "aaa=service", delegator());
    early.standard.not_before = Some(1_700_000_200);
    refused(
        &case(&lasting, &issue(ORG, early)),
        "signer_token_not_yet_valid",
    );
}

#[test]
fn chains_that_do_not_hold() {
    let spoilt = |change: &dyn Fn(&mut StandardClaims)| {
        let mut claims = UnverifiedToken::parse(&chained_token()).unwrap().claims;
        let Claims::Client(client) = &mut claims else {
            panic!("a client's token")
        };
        change(&mut client.standard);
        // Signed with the chain issuer's key all the same.
        let token = TokenIssuer::new(key(CHAIN)).sign(claims).unwrap();
        refused(&Case::direct(token), "bad_token_chain");
    };
    let other = key(OTHER_ORG).public();
    spoilt(&|claims| claims.issuer = "C-".to_owned());
    spoilt(&|claims| claims.issuer = format!("C-x.{other}"));
    spoilt(&|claims| claims.issuer = claims.issuer.replacen('.', "", 1));
    spoilt(&|claims| claims.issuer.push('0'));
    spoilt(&|claims| claims.trust_chain_signature.clear());
    spoilt(&|claims| claims.trust_chain_signature = "ab.cd".to_owned());
    spoilt(&|claims| claims.issuer_expires_at = None);
    spoilt(&|claims| claims.expires_at = None);
    spoilt(&|claims| claims.issued_at = Some(1_700_000_001));
    spoilt(&|claims| claims.id = "x".to_owned());
    spoilt(&|claims| claims.public_key.clear());
    spoilt(&|claims| claims.id = Ksuid::from_parts(1_700_000_000, [9; 16]).to_string());
}

#[test]
fn a_chain_issuer_needs_a_token_of_its_own() {
    let plain = Claims::Client(Box::new(client(CHAIN, "up=login", fleet())));
    let error = TokenIssuer::chained(&plain, key(CHAIN)).unwrap_err();
    assert_eq!(error.reason(), "bad_token_chain");
    let error = TokenIssuer::chained(&plain, key(ORG)).unwrap_err();
    assert_eq!(error.reason(), "token_key_mismatch");
    let mut nameless = client(CALLER, "up=bob", fleet());
    nameless.standard.id.clear();
    let error = chain_issuer().sign(Claims::Client(Box::new(nameless)));
    assert_eq!(error.unwrap_err().reason(), "bad_token_chain");
}
