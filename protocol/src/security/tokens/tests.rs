use std::collections::BTreeMap;

use super::*;
use crate::ksuid::Ksuid;
use crate::security::cache::ENTRIES_MAX;
use crate::security::{SignedRequest, VerifyError};

mod golden;
mod provisioning;
mod refusals;

pub(super) const NOW: u64 = 1_700_000_100;
pub(super) const MESSAGE: &[u8] = b"{\"any\":\"document\"}";

pub(super) fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32]).unwrap()
}

fn seed_hex(n: u8) -> String {
    format!("{n:02x}").repeat(32)
}

/// Keys by number: the organisation is 1, another one 2, the caller 3, a signing service 4, a chain issuer 5.
pub(super) const ORG: u8 = 1;
pub(super) const OTHER_ORG: u8 = 2;
pub(super) const CALLER: u8 = 3;
pub(super) const SERVICE: u8 = 4;
pub(super) const CHAIN: u8 = 5;

pub(super) fn standard(holder: u8) -> StandardClaims {
    StandardClaims {
        public_key: key(holder).public().to_string(),
        issuer: "test".to_owned(),
        issued_at: Some(1_700_000_000),
        not_before: Some(1_700_000_000),
        expires_at: Some(1_700_001_000),
        id: Ksuid::from_parts(1_700_000_000, [holder; 16]).to_string(),
        ..StandardClaims::default()
    }
}

pub(super) fn client(holder: u8, caller_id: &str, permissions: ClientPermissions) -> ClientClaims {
    ClientClaims {
        caller_id: caller_id.to_owned(),
        organization: DEFAULT_ORGANIZATION.to_owned(),
        permissions: Some(permissions),
        standard: standard(holder),
        ..ClientClaims::default()
    }
}

pub(super) fn fleet() -> ClientPermissions {
    ClientPermissions {
        fleet_management: true,
        ..ClientPermissions::default()
    }
}

pub(super) fn signed_fleet() -> ClientPermissions {
    ClientPermissions {
        signed_fleet_management: true,
        ..ClientPermissions::default()
    }
}

pub(super) fn delegator() -> ClientPermissions {
    ClientPermissions {
        authentication_delegator: true,
        ..ClientPermissions::default()
    }
}

pub(super) fn issue(issuer: u8, claims: ClientClaims) -> String {
    let issuer = TokenIssuer::new(key(issuer));
    issuer.sign(Claims::Client(Box::new(claims))).unwrap()
}

pub(super) fn caller_token() -> String {
    issue(ORG, client(CALLER, "up=bob", fleet()))
}

/// A request that can be spoilt before it is checked.
pub(super) struct Case {
    pub(super) caller: String,
    pub(super) signer: Option<String>,
    pub(super) signature: String,
    pub(super) caller_id: &'static str,
    pub(super) now: u64,
}

impl Case {
    /// Signed by the caller.
    pub(super) fn direct(caller: String) -> Self {
        Self {
            caller,
            signer: None,
            signature: crate::base64::encode_to_string(&key(CALLER).sign(MESSAGE)),
            caller_id: "up=bob",
            now: NOW,
        }
    }

    /// Signed by the signing service.
    pub(super) fn delegated(caller: String, signer: String) -> Self {
        Self {
            signer: Some(signer),
            signature: crate::base64::encode_to_string(&key(SERVICE).sign(MESSAGE)),
            ..Self::direct(caller)
        }
    }

    pub(super) fn check(&self, verifier: &TokenVerifier) -> Result<bool, VerifyError> {
        let request = SignedRequest {
            message: MESSAGE,
            signature_b64: &self.signature,
            pubcert_pem: &self.caller,
            signer_token: self.signer.as_deref(),
            caller_id: self.caller_id,
        };
        verifier
            .verify(&request, self.now)
            .map(|verified| verified.privileged)
    }

    pub(super) fn reason(&self, verifier: &TokenVerifier) -> &'static str {
        self.check(verifier)
            .map_or_else(|error| error.reason(), |_| "accepted")
    }
}

pub(super) fn by_signers(signers: &[u8]) -> TokenVerifier {
    let signers = signers.iter().map(|signer| key(*signer).public());
    TokenVerifier::new(TokenTrust::Signers(signers.collect()))
}

pub(super) fn by_issuers(issuers: &[(&str, u8)]) -> TokenVerifier {
    let issuers = issuers
        .iter()
        .map(|(name, issuer)| ((*name).to_owned(), key(*issuer).public()));
    TokenVerifier::new(TokenTrust::Issuers(issuers.collect::<BTreeMap<_, _>>()))
}

/// A chain issuer of the organisation.
pub(super) fn chain_issuer() -> TokenIssuer {
    let claims = client(CHAIN, "up=login", ClientPermissions::default());
    let organization = TokenIssuer::new(key(ORG));
    let token = organization
        .sign_chain_issuer(Claims::Client(Box::new(claims)))
        .unwrap();
    let own = UnverifiedToken::parse(&token).unwrap().claims;
    TokenIssuer::chained(&own, key(CHAIN)).unwrap()
}

pub(super) fn chained_token() -> String {
    let claims = client(CALLER, "up=bob", fleet());
    chain_issuer()
        .sign(Claims::Client(Box::new(claims)))
        .unwrap()
}

#[test]
fn a_caller_signs_for_itself() {
    let case = Case::direct(caller_token());
    for verifier in [
        by_signers(&[OTHER_ORG, ORG]),
        by_issuers(&[("choria", ORG), ("other", OTHER_ORG)]),
    ] {
        assert_eq!(case.check(&verifier), Ok(false));
        assert_eq!(case.check(&verifier), Ok(false), "from the cache");
    }
}

#[test]
fn a_service_signs_for_a_caller() {
    let signer = || issue(ORG, client(SERVICE, "aaa=service", delegator()));
    for permissions in [fleet(), signed_fleet()] {
        let caller = issue(ORG, client(CALLER, "up=bob", permissions));
        let mut case = Case::delegated(caller, signer());
        for verifier in [by_signers(&[ORG]), by_issuers(&[("choria", ORG)])] {
            assert_eq!(case.check(&verifier), Ok(true));
            // The service may name another caller than the token.
            case.caller_id = "okta=alice";
            assert_eq!(case.check(&verifier), Ok(true));
        }
    }
}

#[test]
fn a_chain_issuer_is_vouched_for() {
    let case = Case::direct(chained_token());
    for verifier in [
        by_signers(&[OTHER_ORG, ORG]),
        by_issuers(&[("choria", ORG)]),
    ] {
        assert_eq!(case.check(&verifier), Ok(false));
    }
    assert_eq!(case.reason(&by_signers(&[OTHER_ORG])), "bad_token_chain");
    assert_eq!(case.reason(&by_signers(&[CHAIN])), "bad_token_chain");
}

#[test]
fn a_chained_token_ends_with_its_issuer() {
    let mut claims = client(CALLER, "up=bob", fleet());
    claims.standard.expires_at = Some(i64::MAX);
    let token = chain_issuer()
        .sign(Claims::Client(Box::new(claims)))
        .unwrap();
    let claims = UnverifiedToken::parse(&token).unwrap().claims;
    assert_eq!(claims.standard().effective_expiry(), Some(1_700_001_000));
    let mut case = Case::direct(token);
    case.now = 1_700_000_999;
    assert_eq!(case.reason(&by_signers(&[ORG])), "accepted");
    case.now += 1;
    assert_eq!(case.reason(&by_signers(&[ORG])), "token_expired");
}

#[test]
fn what_a_delegation_cached_counts_for_nothing_else() {
    // The caller's token is signed by the right organisation and states another one.
    let mut claims = client(CALLER, "up=bob", fleet());
    claims.organization = "other".to_owned();
    let caller = issue(ORG, claims);
    let signer = issue(ORG, client(SERVICE, "aaa=service", delegator()));
    let verifier = by_issuers(&[("choria", ORG), ("other", OTHER_ORG)]);
    assert_eq!(
        Case::delegated(caller.clone(), signer).check(&verifier),
        Ok(true)
    );
    assert_eq!(Case::direct(caller).reason(&verifier), "untrusted_token");
}

#[test]
fn the_cache_is_bounded_and_forgets_with_time() {
    let verifier = by_signers(&[ORG]);
    for n in 0..=ENTRIES_MAX {
        let mut claims = client(CALLER, "up=bob", fleet());
        claims.standard.id = n.to_string();
        assert_eq!(Case::direct(issue(ORG, claims)).check(&verifier), Ok(false));
    }
    assert!(format!("{verifier:?}").contains(&format!("cached: {ENTRIES_MAX}")));
    let mut case = Case::direct(caller_token());
    assert_eq!(case.check(&verifier), Ok(false));
    case.now = 1_700_001_000;
    assert_eq!(case.reason(&verifier), "token_expired");
}

#[test]
fn a_signer_is_a_token_and_its_own_seed() {
    let token = caller_token();
    let signer = TokenSigner::new(&format!("{token}\n"), &format!("{}\n", seed_hex(CALLER)));
    let signer = signer.unwrap();
    assert_eq!(signer.token(), token);
    assert_eq!(signer.claims().holder(), "up=bob");
    assert!(key(CALLER).public().verify(b"x", &signer.sign(b"x")));
    assert!(!format!("{signer:?}").contains(&seed_hex(CALLER)));
    assert_eq!(signer.check_time(NOW), Ok(()));
    let error = TokenSigner::new(&token, &seed_hex(SERVICE)).unwrap_err();
    assert_eq!(error.reason(), "token_key_mismatch");
    let error = TokenSigner::new(&token, "abc").unwrap_err();
    assert_eq!(error, TokenError::Seed(KeyError::Length(3)));
    let error = TokenSigner::new(&token, &"x".repeat(64)).unwrap_err();
    assert_eq!(error, TokenError::Seed(KeyError::NotHex));
}

#[test]
fn a_holder_knows_what_nodes_would_refuse() {
    let check = |permissions, caller_id: &str| {
        let token = issue(ORG, client(CALLER, "up=bob", permissions));
        let signer = TokenSigner::new(&token, &seed_hex(CALLER)).unwrap();
        let checked = signer.check_own_request(caller_id);
        checked.map_or_else(|error| error.reason(), |()| "allowed")
    };
    let provisioner = ClientPermissions {
        provisioner: true,
        ..ClientPermissions::default()
    };
    assert_eq!(check(fleet(), "up=bob"), "allowed");
    assert_eq!(check(fleet(), "up=alice"), "caller_not_in_token");
    assert_eq!(check(signed_fleet(), "up=bob"), "delegation_required");
    assert_eq!(check(delegator(), "up=bob"), "no_fleet_management");
    assert_eq!(check(provisioner, "up=bob"), "allowed");
}
