//! Requests recorded from real peers, and one test for each reason to refuse.

mod recorded;
mod refusals;
mod revoked;
mod signing;

use muster_pki::{Authority, Issued, KeyKind, Profile, Role, Validity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};

use super::*;

/// A moment of 2026-11-25; all certificates made here are valid for ten days from then.
const NOW: u64 = 1_795_590_000;

const DAYS: u32 = 10;

const END: u64 = NOW + DAYS as u64 * 86_400;

const MESSAGE: &[u8] = br#"{"protocol":"choria:request:1","message":"cGluZw=="}"#;

fn validity() -> Validity {
    Validity::days_from(NOW, DAYS)
}

fn authority(name: &str) -> Authority {
    Authority::new(name, KeyKind::EcdsaP256, validity()).unwrap()
}

fn client(ca: &Authority, name: &str) -> Issued {
    ca.issue(&Profile::new(Role::Client, name, validity()))
        .unwrap()
}

/// A certificate as [`muster_pki`] does not make it: no names or uses but those given.
fn odd(ca: &Authority, change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let issuer =
        Issuer::from_ca_cert_pem(ca.cert_pem(), KeyPair::from_pem(ca.key_pem()).unwrap()).unwrap();
    odd_under(&issuer, change).0
}

/// As [`odd`], under any issuer; also gives what is needed to issue below it.
fn odd_under(
    issuer: &Issuer<'_, KeyPair>,
    change: impl FnOnce(&mut CertificateParams),
) -> (Issued, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params.distinguished_name = DistinguishedName::new();
    change(&mut params);
    let cert = params.signed_by(&key, issuer).unwrap();
    let issued = Issued {
        cert_pem: cert.pem(),
        key_pem: key.serialize_pem(),
    };
    (issued, Issuer::new(params, key))
}

/// A signed request that can be spoilt before it is checked.
struct Case {
    message: Vec<u8>,
    signature: String,
    pubcert: String,
    caller_id: String,
}

impl Case {
    fn new(issued: &Issued, caller_id: &str) -> Self {
        let signer = Signer::from_pem(&issued.cert_pem, &issued.key_pem).unwrap();
        Self {
            message: MESSAGE.to_vec(),
            signature: signer.sign_base64(MESSAGE).unwrap(),
            pubcert: signer.pubcert().to_owned(),
            caller_id: caller_id.to_owned(),
        }
    }

    fn check(&self, verifier: &Verifier, now: u64) -> Result<Verified, VerifyError> {
        let request = SignedRequest {
            message: &self.message,
            signature_b64: &self.signature,
            pubcert_pem: &self.pubcert,
            signer_token: None,
            caller_id: &self.caller_id,
        };
        verifier.verify(&request, now)
    }

    fn reason(&self, verifier: &Verifier, now: u64) -> &'static str {
        self.check(verifier, now)
            .map_or_else(|e| e.reason(), |_| "accepted")
    }
}

fn verifier(ca: &Authority) -> Verifier {
    Verifier::new(TrustPolicy::new(ca.cert_pem())).unwrap()
}
