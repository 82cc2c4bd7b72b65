//! One test for each reason to refuse, each beside a request that differs in nothing else and is accepted.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::*;

const RIP: &str = "choria=rip.mcollective";

#[test]
fn a_good_request_is_accepted() {
    let ca = authority("CA");
    let case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    let verified = case.check(&verifier(&ca), NOW).unwrap();
    assert_eq!(
        verified,
        Verified {
            certname: "rip.mcollective".to_owned(),
            privileged: false
        }
    );
}

#[test]
fn a_strange_authority_is_refused_even_under_the_same_name() {
    let (ca, strange) = (authority("CA"), authority("CA"));
    let case = Case::new(&client(&strange, "rip.mcollective"), RIP);
    assert_eq!(case.reason(&verifier(&strange), NOW), "accepted");
    assert_eq!(case.reason(&verifier(&ca), NOW), "untrusted_chain");
    let other = authority("Other CA");
    assert_eq!(case.reason(&verifier(&other), NOW), "untrusted_chain");
}

#[test]
fn a_certificate_counts_from_its_first_to_its_last_second() {
    let ca = Authority::new(
        "CA",
        KeyKind::EcdsaP256,
        Validity::days_from(NOW - 86_400, 100),
    )
    .unwrap();
    let case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    // The cached verdict must not outlive the dates, so one verifier sees all four moments.
    let verifier = verifier(&ca);
    assert_eq!(
        case.check(&verifier, NOW - 1),
        Err(VerifyError::NotYetValid {
            not_before: NOW,
            now: NOW - 1
        })
    );
    assert_eq!(case.reason(&verifier, NOW), "accepted");
    assert_eq!(case.reason(&verifier, END), "accepted");
    assert_eq!(
        case.check(&verifier, END + 1),
        Err(VerifyError::Expired {
            not_after: END,
            now: END + 1
        })
    );
    assert_eq!(case.reason(&verifier, NOW), "accepted");
    assert_eq!(case.reason(&verifier, NOW - 1), "not_yet_valid");
}

#[test]
fn an_expired_authority_vouches_for_nobody() {
    let ca = authority("CA");
    let profile = Profile::new(
        Role::Client,
        "rip.mcollective",
        Validity::days_from(NOW, DAYS * 2),
    );
    let case = Case::new(&ca.issue(&profile).unwrap(), RIP);
    let verifier = verifier(&ca);
    assert_eq!(case.reason(&verifier, END), "accepted");
    assert_eq!(
        case.check(&verifier, END + 1),
        Err(VerifyError::Expired {
            not_after: END,
            now: END + 1
        })
    );
}

#[test]
fn a_changed_message_or_signature_is_refused() {
    let ca = authority("CA");
    let verifier = verifier(&ca);
    let good = client(&ca, "rip.mcollective");
    for spoil in [
        |case: &mut Case| case.message[3] ^= 1,
        |case: &mut Case| case.signature = String::new(),
        |case: &mut Case| case.signature = "AAAA".to_owned(),
    ] {
        let mut case = Case::new(&good, RIP);
        spoil(&mut case);
        assert_eq!(case.reason(&verifier, NOW), "bad_signature");
    }
    let mut case = Case::new(&good, RIP);
    case.signature = Case::new(&client(&ca, "rip.mcollective"), RIP).signature;
    assert_eq!(
        case.reason(&verifier, NOW),
        "bad_signature",
        "of another key"
    );
}

#[test]
fn a_signature_that_is_no_base64_is_refused() {
    let ca = authority("CA");
    let mut case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    for signature in ["insecure!", "AAA", "AA AA", "=", "ü"] {
        case.signature = signature.to_owned();
        assert_eq!(
            case.reason(&verifier(&ca), NOW),
            "bad_signature_encoding",
            "{signature}"
        );
    }
}

#[test]
fn a_wrapped_signature_is_accepted() {
    let ca = authority("CA");
    for line_end in ["\n", "\r\n"] {
        let mut case = Case::new(&client(&ca, "rip.mcollective"), RIP);
        let (first, second) = case.signature.split_at(60);
        case.signature = format!("{first}{line_end}{second}{line_end}");
        assert_eq!(case.reason(&verifier(&ca), NOW), "accepted");
    }
}

#[test]
fn a_caller_must_be_in_the_certificate() {
    let ca = authority("CA");
    let mut case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    for caller in [
        "choria=root.mcollective",
        "choria=ip.mcollective",
        "choria=Rip.mcollective",
    ] {
        case.caller_id = caller.to_owned();
        assert_eq!(
            case.reason(&verifier(&ca), NOW),
            "caller_not_in_certificate",
            "{caller}"
        );
    }
    // Another provider's word in front is as good, and what follows the name does not count.
    for caller in ["up=rip.mcollective", "choria=rip.mcollective@host"] {
        case.caller_id = caller.to_owned();
        assert_eq!(case.reason(&verifier(&ca), NOW), "accepted", "{caller}");
    }
}

#[test]
fn a_wildcard_in_a_certificate_is_no_name_of_a_caller() {
    let ca = authority("CA");
    let profile = Profile::new(Role::Client, "rip.mcollective", validity()).dns("*.mcollective");
    let mut case = Case::new(&ca.issue(&profile).unwrap(), RIP);
    assert_eq!(case.reason(&verifier(&ca), NOW), "accepted");
    case.caller_id = "choria=root.mcollective".to_owned();
    assert_eq!(
        case.reason(&verifier(&ca), NOW),
        "caller_not_in_certificate"
    );
}

#[test]
fn a_caller_id_without_its_form_is_refused() {
    let ca = authority("CA");
    let mut case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    for caller in [
        "",
        "rip.mcollective",
        "=rip.mcollective",
        "choria=",
        "Choria=rip.mcollective",
    ] {
        case.caller_id = caller.to_owned();
        assert_eq!(
            case.reason(&verifier(&ca), NOW),
            "bad_caller_id",
            "{caller:?}"
        );
    }
}

#[test]
fn a_name_outside_the_allow_list_is_refused() {
    let ca = authority("CA");
    let case = Case::new(&client(&ca, "bob.example.net"), "choria=bob.example.net");
    assert_eq!(case.reason(&verifier(&ca), NOW), "not_allowed");
    let mut policy = TrustPolicy::new(ca.cert_pem());
    policy.allow = vec!["bob".to_owned()];
    assert_eq!(
        case.reason(&Verifier::new(policy.clone()).unwrap(), NOW),
        "accepted"
    );
    policy.allow = vec!["/^bob$/".to_owned()];
    assert_eq!(
        case.reason(&Verifier::new(policy.clone()).unwrap(), NOW),
        "not_allowed"
    );
    policy.allow = Vec::new();
    assert_eq!(
        case.reason(&Verifier::new(policy).unwrap(), NOW),
        "not_allowed"
    );
}

#[test]
fn a_privileged_certificate_may_claim_any_caller() {
    let ca = authority("CA");
    let signer = client(&ca, "signer.privileged.mcollective");
    let mut case = Case::new(&signer, "up=bob");
    let verified = case.check(&verifier(&ca), NOW).unwrap();
    assert_eq!(
        verified,
        Verified {
            certname: "bob".to_owned(),
            privileged: true
        }
    );
    // All else holds for it too.
    assert_eq!(
        case.reason(&verifier(&authority("CA")), NOW),
        "untrusted_chain"
    );
    assert_eq!(case.reason(&verifier(&ca), END + 1), "expired");
    case.message[0] ^= 1;
    assert_eq!(case.reason(&verifier(&ca), NOW), "bad_signature");
}

#[test]
fn listed_uses_must_name_client_authentication() {
    let ca = authority("CA");
    let with_uses = |uses: &[ExtendedKeyUsagePurpose]| {
        let issued = odd(&ca, |params| {
            params
                .distinguished_name
                .push(DnType::CommonName, "rip.mcollective");
            params.extended_key_usages = uses.to_vec();
        });
        Case::new(&issued, RIP).reason(&verifier(&ca), NOW)
    };
    use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    assert_eq!(with_uses(&[ServerAuth]), "no_client_auth");
    assert_eq!(with_uses(&[ServerAuth, ClientAuth]), "accepted");
    assert_eq!(
        with_uses(&[]),
        "accepted",
        "a certificate without the extension is good for all"
    );
}

#[test]
fn a_common_name_alone_is_enough() {
    let ca = authority("CA");
    let issued = odd(&ca, |params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "rip.mcollective");
    });
    assert_eq!(
        Case::new(&issued, RIP).reason(&verifier(&ca), NOW),
        "accepted"
    );
    let nameless = odd(&ca, |params| {
        params.distinguished_name.push(DnType::CountryName, "NL");
    });
    assert_eq!(
        Case::new(&nameless, RIP).reason(&verifier(&ca), NOW),
        "caller_not_in_certificate"
    );
}

#[test]
fn intermediates_come_behind_the_signer() {
    let ca = authority("CA");
    let root =
        Issuer::from_ca_cert_pem(ca.cert_pem(), KeyPair::from_pem(ca.key_pem()).unwrap()).unwrap();
    let (middle, below) = odd_under(&root, |params| {
        params.distinguished_name.push(DnType::CommonName, "Middle");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let (leaf, _) = odd_under(&below, |params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "rip.mcollective");
    });
    let mut case = Case::new(&leaf, RIP);
    assert_eq!(case.reason(&verifier(&ca), NOW), "untrusted_chain");
    case.pubcert = format!("{}{}", leaf.cert_pem, middle.cert_pem);
    let verifier = verifier(&ca);
    assert_eq!(case.reason(&verifier, NOW), "accepted");
    assert_eq!(case.reason(&verifier, NOW), "accepted", "from the cache");
    case.pubcert = format!("{}{}", middle.cert_pem, leaf.cert_pem);
    assert_eq!(
        case.reason(&verifier, NOW),
        "untrusted_chain",
        "the first one signs"
    );
}

#[test]
fn a_certificate_text_that_is_none_is_refused() {
    let ca = authority("CA");
    let good = client(&ca, "rip.mcollective");
    let mut case = Case::new(&good, RIP);
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pubcert, reason) in [
        ("", "no_certificate"),
        ("insecure", "no_certificate"),
        (good.key_pem.as_str(), "no_certificate"),
        (garbage, "bad_certificate"),
        (
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
            "bad_certificate",
        ),
        (&good.cert_pem[..good.cert_pem.len() / 2], "bad_certificate"),
        (
            &"x".repeat(trust::PUBCERT_BYTES_MAX + 1),
            "certificate_too_large",
        ),
        (
            &good.cert_pem.repeat(trust::CHAIN_CERTS_MAX + 1),
            "chain_too_long",
        ),
    ] {
        case.pubcert = pubcert.to_owned();
        let shown = &pubcert[..pubcert.len().min(40)];
        assert_eq!(case.reason(&verifier(&ca), NOW), reason, "{shown:?}");
    }
}

#[test]
fn no_cut_or_flipped_certificate_panics_or_passes() {
    let ca = authority("CA");
    let verifier = verifier(&ca);
    let mut case = Case::new(&client(&ca, "rip.mcollective"), RIP);
    let whole = case.pubcert.clone();
    let der = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).ok();
    let mut changed = 0;
    for at in 0..whole.len() {
        let mut flipped = whole.clone().into_bytes();
        flipped[at] ^= 1;
        for text in [whole[..at].to_owned(), String::from_utf8(flipped).unwrap()] {
            // Some changes of the text, as in its line ends, leave the certificate as it was.
            if der(&text) != der(&whole) {
                changed += 1;
                case.pubcert = text;
                assert_ne!(case.reason(&verifier, NOW), "accepted", "at {at}");
            }
        }
    }
    assert!(
        changed > whole.len(),
        "only {changed} changes of {} bytes",
        whole.len()
    );
    case.pubcert = whole;
    assert_eq!(case.reason(&verifier, NOW), "accepted");
}

#[test]
fn many_callers_go_through_a_small_cache() {
    let ca = authority("CA");
    let verifier = verifier(&ca);
    let cases: Vec<_> = (0..cache::ENTRIES_MAX + 10)
        .map(|n| {
            Case::new(
                &client(&ca, &format!("u{n}.mcollective")),
                &format!("choria=u{n}.mcollective"),
            )
        })
        .collect();
    for _ in 0..2 {
        for case in &cases {
            assert_eq!(
                case.reason(&verifier, NOW),
                "accepted",
                "{}",
                case.caller_id
            );
        }
    }
    assert!(format!("{verifier:?}").contains(&format!("cached: {}", cache::ENTRIES_MAX)));
    // A cached certificate vouches for its own names and key only.
    let last = &cases[cases.len() - 1];
    let stolen = Case {
        message: last.message.clone(),
        signature: last.signature.clone(),
        pubcert: last.pubcert.clone(),
        caller_id: cases[0].caller_id.clone(),
    };
    assert_eq!(stolen.reason(&verifier, NOW), "caller_not_in_certificate");
}

#[test]
fn refused_certificates_are_not_cached() {
    let (ca, strange) = (authority("CA"), authority("CA"));
    let verifier = verifier(&ca);
    let case = Case::new(&client(&strange, "rip.mcollective"), RIP);
    assert_eq!(case.reason(&verifier, NOW), "untrusted_chain");
    assert!(format!("{verifier:?}").contains("cached: 0"));
}

#[test]
fn insecure_mode_believes_everything_and_says_so() {
    let request = SignedRequest {
        signer_token: None,
        message: MESSAGE,
        signature_b64: "insecure",
        pubcert_pem: "insecure",
        caller_id: RIP,
    };
    assert!(RequestSecurity::InsecureAcceptAll.is_insecure());
    let verified = RequestSecurity::InsecureAcceptAll
        .verify(&request, 0)
        .unwrap();
    assert_eq!(
        verified,
        Verified {
            certname: "rip.mcollective".to_owned(),
            privileged: false
        }
    );
    let secure = RequestSecurity::X509(Box::new(verifier(&authority("CA"))));
    assert!(!secure.is_insecure());
    assert_eq!(
        secure.verify(&request, NOW),
        Err(VerifyError::NoCertificate)
    );
}
