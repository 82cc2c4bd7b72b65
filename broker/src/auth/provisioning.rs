//! Tokens of nodes that are to be provisioned.
//!
//! They are alike on all nodes of a site and prove no identity: whoever has one may enter the provisioning account and no other.
//! They are signed by the configured signer, or where there is none by the issuer of their organisation.

use std::collections::BTreeMap;

use muster_protocol::security::tokens::{
    IssuerKey, PROVISIONING_PURPOSE, ProvisioningToken, PublicKey, TokenError,
};

use super::Refusal;

/// A token that says that it is for provisioning. Nothing else of it is checked.
pub(super) fn parse(text: &str) -> Option<ProvisioningToken<'_>> {
    let token = ProvisioningToken::parse(text).ok()?;
    let purpose = &token.claims.standard.purpose;
    // Tokens of old name their purpose as the subject; one that names two has another.
    (purpose.is_empty() || purpose == PROVISIONING_PURPOSE).then_some(token)
}

/// Checks a provisioning token; returns the unix second it ends in, if it does.
pub(super) fn verify(
    token: &ProvisioningToken<'_>,
    signer: Option<&IssuerKey>,
    issuers: &BTreeMap<String, PublicKey>,
    now: u64,
) -> Result<Option<u64>, Refusal> {
    let organization = &token.claims.organization;
    let issuer = || issuers.get(organization).copied().map(IssuerKey::Ed25519);
    let key = signer.cloned().or_else(issuer);
    let key = key.ok_or_else(|| {
        Refusal::ProvisioningToken(TokenError::Organization {
            name: organization.chars().take(64).collect(),
        })
    })?;
    token
        .verify(&key, now)
        .map_err(Refusal::ProvisioningToken)?;
    let end = token.claims.standard.effective_expiry();
    Ok(end.map(|end| u64::try_from(end).unwrap_or_default()))
}
