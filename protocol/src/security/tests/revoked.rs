//! Revoked callers, and lists that come and go while requests are checked.

use muster_pki::{CertInfo, Reason, RevokedCert};

use super::*;

const RIP: &str = "choria=rip.mcollective";

fn crl(ca: &Authority, revoked: &[&Issued], next_update: u64) -> String {
    let revoked: Vec<RevokedCert> = revoked
        .iter()
        .map(|issued| RevokedCert {
            serial: CertInfo::from_pem(&issued.cert_pem).unwrap().serial,
            since: NOW,
            reason: Reason::KeyCompromise,
        })
        .collect();
    ca.revocation_list(&revoked, 1, NOW, next_update).unwrap()
}

#[test]
fn a_revoked_caller_is_refused_from_the_list_on() {
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let ca = Authority::new("CA", kind, validity()).unwrap();
        let (rip, other) = (
            client(&ca, "rip.mcollective"),
            client(&ca, "bob.mcollective"),
        );
        let case = Case::new(&rip, RIP);
        let verifier = verifier(&ca);
        let revocation = verifier.revocation();
        assert_eq!(case.reason(&verifier, NOW), "accepted", "and remembered");
        assert_eq!(revocation.replace(&crl(&ca, &[&other], END)), Ok(Some(END)));
        assert_eq!(case.reason(&verifier, NOW), "accepted");
        revocation.replace(&crl(&ca, &[&other, &rip], END)).unwrap();
        let serial = CertInfo::from_pem(&rip.cert_pem)
            .unwrap()
            .serial
            .to_string();
        assert_eq!(
            case.check(&verifier, NOW),
            Err(VerifyError::Revoked { serial })
        );
        assert_eq!(case.reason(&verifier, NOW), "revoked");
        // A new certificate of the same name has another number.
        let renewed = Case::new(&client(&ca, "rip.mcollective"), RIP);
        assert_eq!(renewed.reason(&verifier, NOW), "accepted");
    }
}

#[test]
fn an_overdue_list_still_counts_and_shuts_nobody_else_out() {
    let ca = authority("CA");
    let rip = client(&ca, "rip.mcollective");
    let bob = Case::new(&client(&ca, "bob.mcollective"), "choria=bob.mcollective");
    let verifier = verifier(&ca);
    let due = verifier
        .revocation()
        .replace(&crl(&ca, &[&rip], NOW + 60))
        .unwrap();
    assert_eq!(due, Some(NOW + 60));
    assert_eq!(Case::new(&rip, RIP).reason(&verifier, END), "revoked");
    assert_eq!(bob.reason(&verifier, END), "accepted");
}

#[test]
fn a_revoked_authority_in_the_chain_takes_its_callers_along() {
    let root = authority("CA");
    let issuer =
        Issuer::from_ca_cert_pem(root.cert_pem(), KeyPair::from_pem(root.key_pem()).unwrap());
    let (between, below) = odd_under(&issuer.unwrap(), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "between");
    });
    let (mut rip, _) = odd_under(&below, |params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "rip.mcollective");
    });
    rip.cert_pem.push_str(&between.cert_pem);
    let case = Case::new(&rip, RIP);
    let verifier = verifier(&root);
    assert_eq!(case.reason(&verifier, NOW), "accepted");
    verifier
        .revocation()
        .replace(&crl(&root, &[&between], END))
        .unwrap();
    assert_eq!(case.reason(&verifier, NOW), "revoked");
}

#[test]
fn a_list_that_is_no_good_leaves_the_one_before_in_force() {
    let (ca, strange, namesake) = (authority("CA"), authority("Strange"), authority("CA"));
    let rip = client(&ca, "rip.mcollective");
    let case = Case::new(&rip, RIP);
    let verifier = verifier(&ca);
    let revocation = verifier.revocation();
    let good = crl(&ca, &[&rip], END);
    revocation.replace(&good).unwrap();
    for (text, at, wanted) in [
        (
            crl(&strange, &[], END),
            1,
            "its issuer CN=Strange is none of",
        ),
        (
            crl(&namesake, &[], END),
            1,
            "it is not signed by the authority",
        ),
        (format!("{good}{good}"), 2, "it is the second one"),
        (String::new(), 0, "none in the pem text"),
        (rip.cert_pem, 0, "none in the pem text"),
    ] {
        match revocation.replace(&text) {
            Err(SecurityError::BadRevocationList { position, why }) => {
                assert_eq!(position, at, "{why}");
                assert!(why.contains(wanted), "{wanted} in {why}");
            }
            other => panic!("{other:?} for {wanted}"),
        }
        assert_eq!(case.reason(&verifier, NOW), "revoked");
    }
}
