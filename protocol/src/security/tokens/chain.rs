//! Chains of trust: an organisation's key vouches for a chain issuer, and that signs tokens.
//!
//! A token of a chain issuer has `iss` = `C-<the issuer's token id>.<the issuer's key>` and
//! `tcs` = `<A>.<B>`, where A is the organisation's signature over what follows `C-`, and B the issuer's signature over
//! `<the token's id>.<A>`. Such a token must have a KSUID as its id, of the second it was issued in.

use super::key::decode_hex;
use super::{PublicKey, SIGNATURE_BYTES, StandardClaims, TokenError};
use crate::ksuid::Ksuid;

pub(super) const CHAIN_PREFIX: &str = "C-";

/// The key that must have signed the token: the organisation's own, or that of a chain issuer it vouches for.
pub(super) fn signing_key(
    claims: &StandardClaims,
    organization: &PublicKey,
) -> Result<PublicKey, TokenError> {
    match claims.issuer.strip_prefix(CHAIN_PREFIX) {
        None => Ok(*organization),
        Some(issuer) => {
            chain_issuer(claims, issuer, organization).map_err(|why| TokenError::Chain { why })
        }
    }
}

fn chain_issuer(
    claims: &StandardClaims,
    issuer: &str,
    organization: &PublicKey,
) -> Result<PublicKey, &'static str> {
    check_required(claims)?;
    let (issuer_id, key) = two(issuer).ok_or("issuer is not an id and a key")?;
    let key = PublicKey::from_hex(key).map_err(|_| "issuer's key is none")?;
    let (vouched, own) = two(&claims.trust_chain_signature).ok_or("tcs is not two signatures")?;
    let signature = |hex: &str| -> Result<[u8; SIGNATURE_BYTES], &'static str> {
        decode_hex(hex).map_err(|_| "tcs holds something else than a signature")
    };
    if !organization.verify(
        format!("{issuer_id}.{key}").as_bytes(),
        &signature(vouched)?,
    ) {
        return Err("the organisation does not vouch for the issuer");
    }
    if !key.verify(
        format!("{}.{vouched}", claims.id).as_bytes(),
        &signature(own)?,
    ) {
        return Err("the issuer did not sign the chain");
    }
    Ok(key)
}

fn check_required(claims: &StandardClaims) -> Result<(), &'static str> {
    if claims.public_key.is_empty() {
        return Err("it has no public key");
    }
    let is_set = |date: Option<i64>| date.is_some_and(|date| date != 0);
    if !is_set(claims.expires_at) || !is_set(claims.issuer_expires_at) {
        return Err("it has no end, or its issuer has none");
    }
    let id = Ksuid::parse(&claims.id).map_err(|_| "its id is no ksuid")?;
    let issued = claims.issued_at.and_then(|date| u64::try_from(date).ok());
    if issued != Some(id.unix_seconds()) {
        return Err("its id is not of the second it was issued in");
    }
    Ok(())
}

/// Two parts, neither empty.
fn two(text: &str) -> Option<(&str, &str)> {
    let (first, second) = text.split_once('.')?;
    let good = !first.is_empty() && !second.is_empty() && !second.contains('.');
    good.then_some((first, second))
}
