//! openssl makes requests that we sign, and judges what we make. Without it, its trials are listed as ignored.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use muster_pki::{
    Authority, CaFolder, CertInfo, IfExists, KeyKind, Profile, Reason, RequestError, RequestRules,
    Role, SigningRequest, Validity,
};
use tempfile::TempDir;

type Act = fn() -> Result<(), Failed>;

const ALL: &[(&str, Act)] = &[
    ("keys_that_are_signed", keys_that_are_signed),
    ("keys_that_are_not", keys_that_are_not),
    ("requests_never_signed", requests_never_signed),
    ("names_that_need_permission", names_that_need_permission),
    ("a_spoilt_request", a_spoilt_request),
    ("revocation_list", revocation_list),
    ("an_authority_of_openssl", an_authority_of_openssl),
];

const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn main() -> ExitCode {
    let is_there = Command::new("openssl")
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let trials = ALL
        .iter()
        .map(|(name, act)| Trial::test(*name, act).with_ignored_flag(!is_there));
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn output(home: &Path, words: &[&str]) -> Result<Output, Failed> {
    Ok(Command::new("openssl")
        .args(words)
        .current_dir(home)
        // The machine's own settings play no part.
        .env("OPENSSL_CONF", "/dev/null")
        .stdin(Stdio::null())
        .output()?)
}

fn openssl(home: &Path, words: &[&str]) -> Result<String, Failed> {
    let Output {
        status,
        stdout,
        stderr,
    } = output(home, words)?;
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    if status.success() {
        Ok(said.into_owned())
    } else {
        Err(format!("openssl {}: {said}", words.join(" ")).into())
    }
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// From an hour ago: openssl goes by the clock.
fn validity() -> Validity {
    Validity::days_from(now() - 3600, 30)
}

fn folder(kind: KeyKind) -> Result<TempDir, Failed> {
    let dir = tempfile::tempdir()?;
    let authority = Authority::new("Test CA", kind, validity())?;
    CaFolder::create(dir.path(), &authority, IfExists::Refuse)?;
    Ok(dir)
}

/// `key.pem`, by the words of `openssl genpkey`.
fn make_key(home: &Path, words: &[&str]) -> Result<(), Failed> {
    openssl(home, &[&["genpkey", "-out", "key.pem"], words].concat()).map(|_| ())
}

/// A request of `key.pem`.
fn make_request(home: &Path, subject: &str, extensions: &[&str]) -> Result<String, Failed> {
    fs::write(
        home.join("req.cnf"),
        "[req]\ndistinguished_name = dn\n[dn]\n",
    )?;
    let mut words = vec!["req", "-new", "-key", "key.pem", "-out", "csr.pem"];
    words.extend(["-config", "req.cnf", "-subj", subject]);
    for extension in extensions {
        words.extend(["-addext", extension]);
    }
    openssl(home, &words)?;
    Ok(fs::read_to_string(home.join("csr.pem"))?)
}

const fn rules(role: Role) -> RequestRules<'static> {
    RequestRules {
        role,
        name: None,
        allow_alternative_names: false,
    }
}

fn expect_refusal(text: &str, wanted: &str) -> Result<(), Failed> {
    match SigningRequest::from_pem(text) {
        Err(error) if error.to_string().contains(wanted) => Ok(()),
        other => Err(format!("no {wanted:?} in {other:?}").into()),
    }
}

fn keys_that_are_signed() -> Result<(), Failed> {
    let rsa_3072: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"];
    let p384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
    let kinds: [(&[&str], &str); 5] = [
        (RSA, "rsa 2048"),
        (rsa_3072, "rsa 3072"),
        (P256, "ecdsa p-256"),
        (p384, "ecdsa p-384"),
        (&["-algorithm", "ED25519"], "ed25519"),
    ];
    for ca_kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let dir = folder(ca_kind)?;
        let home = dir.path();
        let mut folder = CaFolder::open(home)?;
        for (words, kind) in kinds {
            make_key(home, words)?;
            let names = "subjectAltName=DNS:a.n1.example.net,DNS:n1.example.net";
            let text = make_request(home, "/CN=n1.example.net", &[names])?;
            let request = SigningRequest::from_pem(&text)?;
            assert_eq!(request.key().kind().to_string(), kind);
            request.check(&rules(Role::Node))?;
            let place = (None, IfExists::Replace);
            let signed = folder.sign(&request, (Role::Node, validity()), now(), place)?;
            assert_eq!(signed.info.key, kind);
            assert_eq!(
                signed.info.dns_names,
                ["n1.example.net", "a.n1.example.net"]
            );
            let cert = "n1.example.net.pem";
            for purpose in ["sslserver", "sslclient"] {
                let strict = ["-x509_strict", "-CAfile", "ca.pem", cert];
                let words = [&["verify", "-purpose", purpose][..], &strict].concat();
                openssl(home, &words)?;
            }
            let certified = openssl(home, &["x509", "-in", cert, "-noout", "-pubkey"])?;
            let wished = openssl(home, &["req", "-in", "csr.pem", "-noout", "-pubkey"])?;
            assert_eq!(certified, wished, "{kind}");
            // A caller may not have the second name either, but the key comes first.
            let as_caller = request.check(&rules(Role::Client)).unwrap_err();
            let is_for_key = matches!(as_caller, RequestError::CallersKey { .. });
            assert_eq!(is_for_key, kind == "ed25519", "{as_caller}");
        }
    }
    Ok(())
}

fn keys_that_are_not() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    for (algorithm, option, wanted) in [
        ("RSA", "rsa_keygen_bits:1024", "rsa key of 1024 bits"),
        ("EC", "ec_paramgen_curve:P-521", "curve 1.3.132.0.35"),
        ("EC", "ec_paramgen_curve:secp256k1", "curve 1.3.132.0.10"),
    ] {
        make_key(dir.path(), &["-algorithm", algorithm, "-pkeyopt", option])?;
        expect_refusal(&make_request(dir.path(), "/CN=n1", &[])?, wanted)?;
    }
    make_key(dir.path(), &["-algorithm", "ED448"])?;
    let text = make_request(dir.path(), "/CN=n1", &[])?;
    expect_refusal(&text, "key kind 1.3.101.113")
}

fn requests_never_signed() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let home = dir.path();
    make_key(home, P256)?;
    let most: Vec<String> = (0..64).map(|n| format!("DNS:n{n}.n1")).collect();
    let most = format!("subjectAltName={}", most.join(","));
    let too_many = format!("{most},IP:192.0.2.1");
    let other = "neither a dns name nor an ip address";
    for (subject, extension, wanted) in [
        (
            "/CN=n1",
            "basicConstraints=CA:TRUE",
            "its basic constraints",
        ),
        ("/CN=n1", "keyUsage=keyCertSign", "its key usage"),
        (
            "/CN=n1",
            "keyUsage=digitalSignature,cRLSign",
            "its key usage",
        ),
        (
            "/CN=n1",
            "subjectAltName=DNS:*.n1",
            "name \"*.n1\" has a wildcard",
        ),
        (
            "/CN=n1",
            "subjectAltName=DNS:-n",
            "name \"-n\" cannot stand",
        ),
        ("/CN=n1", "subjectAltName=email:a@example.net", other),
        ("/CN=n1", "subjectAltName=URI:http://n1", other),
        ("/CN=n1", "subjectAltName=otherName:1.2.3;UTF8:n1", other),
        (
            "/CN=n1",
            &too_many,
            "65 alternative names, above the limit of 64",
        ),
        ("/CN=*.n1", "", "name \"*.n1\" has a wildcard"),
        ("/O=Nobody", "", "no common name"),
        ("/CN=n1/CN=n2", "", "2 common names"),
        (
            "/CN=..\\/x",
            "",
            "name \"../x\" cannot stand in a certificate",
        ),
        ("/CN=a b", "", "name \"a b\" cannot stand"),
    ] {
        let extensions: &[&str] = if extension.is_empty() {
            &[]
        } else {
            &[extension]
        };
        expect_refusal(&make_request(home, subject, extensions)?, wanted)?;
    }
    let request = SigningRequest::from_pem(&make_request(home, "/CN=n1", &[&most])?)?;
    request.check(&rules(Role::Node))?;
    assert_eq!(request.dns_names().len(), 64);
    // What is asked for beside names is left out, and told.
    let more = [
        "extendedKeyUsage=codeSigning",
        "basicConstraints=CA:FALSE",
        "tlsfeature=status_request",
    ];
    let request = SigningRequest::from_pem(&make_request(home, "/O=x/CN=n1", &more)?)?;
    assert_eq!(request.ignored(), ["1.3.6.1.5.5.7.1.24"]);
    expect_refusal(&"x".repeat(70_000), "70000 bytes is above the limit")?;
    expect_refusal("nothing", "request cannot be read")
}

fn names_that_need_permission() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    make_key(dir.path(), P256)?;
    for (role, name, more, wanted) in [
        (Role::Node, "n1", "DNS:n1,DNS:a.n1", ""),
        (Role::Node, "n1", "DNS:n2", "\"n2\" is not covered"),
        (
            Role::Node,
            "n1",
            "DNS:evil-n1",
            "\"evil-n1\" is not covered",
        ),
        (Role::Broker, "b1", "IP:192.0.2.1", "\"192.0.2.1\" is not"),
        (
            Role::Broker,
            "b1",
            "IP:2001:db8::1",
            "\"2001:db8::1\" is not",
        ),
        (
            Role::Node,
            "a.choria",
            "DNS:a.choria",
            "\"a.choria\" would let",
        ),
        (
            Role::Node,
            "choria",
            "DNS:a.choria",
            "\"a.choria\" would let",
        ),
        (Role::Client, "a.choria", "DNS:a.choria", ""),
        (
            Role::Client,
            "choria",
            "DNS:a.choria",
            "\"a.choria\" is not",
        ),
    ] {
        let names = format!("subjectAltName={more}");
        let text = make_request(dir.path(), &format!("/CN={name}"), &[&names])?;
        let request = SigningRequest::from_pem(&text)?;
        let found = match request.check(&rules(role)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            found.is_empty(),
            wanted.is_empty(),
            "{name} {more}: {found}"
        );
        assert!(found.contains(wanted), "{name} {more}: {found}");
        let permitted = RequestRules {
            allow_alternative_names: true,
            ..rules(role)
        };
        request.check(&permitted)?;
        let named = RequestRules {
            name: Some("other"),
            ..permitted
        };
        let refused = request.check(&named).unwrap_err().to_string();
        assert!(refused.ends_with("not for \"other\""), "{refused}");
    }
    Ok(())
}

fn pem_of(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = "-----BEGIN CERTIFICATE REQUEST-----\n".to_owned();
    for chunk in der.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize]);
            text.push(if at > chunk.len() { '=' } else { digit });
        }
    }
    text + "\n-----END CERTIFICATE REQUEST-----\n"
}

/// Somebody else's request under a name of one's own proves nothing.
fn a_spoilt_request() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    make_key(dir.path(), P256)?;
    make_request(dir.path(), "/CN=good-name", &[])?;
    let words = [
        "req", "-in", "csr.pem", "-outform", "DER", "-out", "csr.der",
    ];
    openssl(dir.path(), &words)?;
    let der = fs::read(dir.path().join("csr.der"))?;
    let genuine = SigningRequest::from_pem(&pem_of(&der))?;
    assert_eq!(genuine.name(), "good-name");
    let at = der.windows(9).position(|part| part == b"good-name");
    let mut renamed = der.clone();
    renamed[at.unwrap()..][..9].copy_from_slice(b"evil-name");
    expect_refusal(&pem_of(&renamed), "not signed by the key it names")?;
    let longer = [&der[..], b"\0"].concat();
    expect_refusal(&pem_of(&longer), "1 bytes follow it")?;
    expect_refusal(&pem_of(&der[..der.len() - 5]), "request cannot be read")?;
    // A changed byte is refused, or stands in the wrapping around what is signed; none brings anything down.
    let mut refused = 0;
    for position in 0..der.len() {
        let mut spoilt = der.clone();
        spoilt[position] ^= 1;
        match SigningRequest::from_pem(&pem_of(&spoilt)) {
            Ok(taken) => assert_eq!(taken, genuine, "byte {position}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused + 4 > der.len(), "{refused} of {}", der.len());
    Ok(())
}

fn check_against_list(home: &Path, cert: &str) -> Result<(bool, String), Failed> {
    let words = ["verify", "-crl_check", "-CAfile", "ca.pem", "-CRLfile"];
    let checked = output(home, &[&words[..], &["crl.pem", cert]].concat())?;
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    Ok((checked.status.success(), said))
}

fn expect_one_revoked(home: &Path) -> Result<(), Failed> {
    let (good, said) = check_against_list(home, "good.pem")?;
    assert!(good, "{said}");
    let (good, said) = check_against_list(home, "gone.pem")?;
    assert!(!good && said.contains("certificate revoked"), "{said}");
    Ok(())
}

fn revocation_list() -> Result<(), Failed> {
    for kind in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let dir = folder(kind)?;
        let home = dir.path();
        let mut folder = CaFolder::open(home)?;
        for name in ["good", "gone"] {
            let profile = Profile::new(Role::Node, name, validity());
            folder.issue(&profile, now(), IfExists::Refuse)?;
        }
        let (_, empty) = folder.write_crl(now(), 30)?;
        assert_eq!(empty.revoked, []);
        let (good, said) = check_against_list(home, "gone.pem")?;
        assert!(good, "{said}");
        folder.revoke("gone", Reason::KeyCompromise, now(), 7)?;
        expect_one_revoked(home)?;
        let words = ["crl", "-in", "crl.pem", "-noout", "-text"];
        let text = openssl(home, &[&words[..], &["-CAfile", "ca.pem"]].concat())?;
        let serial = folder.index().entries()[1].serial.to_string();
        for wanted in [
            "verify OK",
            "Key Compromise",
            "X509v3 CRL Number",
            "Version 2",
            &serial.to_uppercase(),
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
    }
    Ok(())
}

/// Its key identifier is made in another way than ours, and its subject has more parts.
fn an_authority_of_openssl() -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let home = dir.path();
    make_key(home, RSA)?;
    fs::rename(home.join("key.pem"), home.join("ca.key"))?;
    let config = "[req]\ndistinguished_name = dn\nx509_extensions = ca\n[dn]\n\
                  [ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign,cRLSign\n\
                  subjectKeyIdentifier = hash\n";
    fs::write(home.join("ca.cnf"), config)?;
    let words = ["req", "-x509", "-key", "ca.key", "-out", "ca.pem"];
    let more = ["-config", "ca.cnf", "-days", "30"];
    let subject = ["-subj", "/O=Example/CN=Old CA"];
    openssl(home, &[&words[..], &more, &subject].concat())?;
    let mut folder = CaFolder::open(home)?;
    // An authority made this second is not valid an hour ago.
    let validity = Validity::days_from(now(), 5);
    for name in ["good", "gone"] {
        let profile = Profile::new(Role::Node, name, validity);
        folder.issue(&profile, now(), IfExists::Refuse)?;
    }
    let file = home.join("gone.pem");
    folder.revoke(&file.to_string_lossy(), Reason::Superseded, now(), 7)?;
    expect_one_revoked(home)?;
    let info = CertInfo::from_pem(&fs::read_to_string(home.join("good.pem"))?)?;
    let words = ["x509", "-in", "good.pem", "-noout", "-fingerprint"];
    let shown = openssl(home, &[&words[..], &["-sha256", "-serial"]].concat())?;
    assert!(shown.contains(&info.fingerprint), "{shown}");
    let serial = info.serial.to_string().to_uppercase();
    assert!(shown.contains(&serial), "{shown}");
    Ok(())
}
