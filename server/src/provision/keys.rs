//! Keys the agent makes: for certificates, for tokens, and for receiving a key that was made elsewhere.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use md5::{Digest, Md5};
use muster_protocol::base64;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_RSA_SHA256};

/// What stands before the PKCS#1 key in the PKCS#8 form of a key of 2048 bits, but for lengths.
const PKCS8_HEAD: usize = 26;
/// The object identifier of RSA keys and the null behind it.
const RSA_ALGORITHM: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
const KEY_LABEL: &str = "RSA PRIVATE KEY";

/// Why a key is not made, or not understood. Nothing of a key is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyProblem(pub(crate) String);

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn problem(text: impl fmt::Display) -> KeyProblem {
    KeyProblem(text.to_string())
}

/// What a certificate is asked for with; empty parts are left out.
#[derive(Debug, Default)]
pub(crate) struct SubjectName<'a> {
    pub(crate) common_name: &'a str,
    pub(crate) country: &'a str,
    pub(crate) state: &'a str,
    pub(crate) locality: &'a str,
    pub(crate) organization: &'a str,
    pub(crate) unit: &'a str,
}

/// A fresh key with a request for its certificate.
pub(crate) struct CertificateRequest {
    /// The private key in PEM.
    pub(crate) key: String,
    /// The request in PEM.
    pub(crate) csr: String,
    /// The public key in PEM.
    pub(crate) public: String,
}

/// Makes an RSA key of 2048 bits, and signs a request with it.
pub(crate) fn certificate_request(
    name: &SubjectName<'_>,
) -> Result<CertificateRequest, KeyProblem> {
    let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).map_err(problem)?;
    let mut params = CertificateParams::default();
    let mut subject = DistinguishedName::new();
    for (kind, text) in [
        (DnType::CountryName, name.country),
        (DnType::StateOrProvinceName, name.state),
        (DnType::LocalityName, name.locality),
        (DnType::OrganizationName, name.organization),
        (DnType::OrganizationalUnitName, name.unit),
        (DnType::CommonName, name.common_name),
    ] {
        if !text.is_empty() {
            subject.push(kind, text);
        }
    }
    params.distinguished_name = subject;
    let request = params.serialize_request(&pair).map_err(problem)?;
    Ok(CertificateRequest {
        key: private_pem(&pair),
        csr: request.pem().map_err(problem)?,
        public: pair.public_key_pem(),
    })
}

/// PKCS#1, which every program of the fleet reads.
fn private_pem(pair: &KeyPair) -> String {
    let der = pair.serialize_der();
    match der.get(PKCS8_HEAD..) {
        Some(inner) if der[7..22] == RSA_ALGORITHM && inner.first() == Some(&0x30) => {
            pem(KEY_LABEL, inner)
        }
        _ => pair.serialize_pem(),
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::encode_to_string(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// A pair for one delivery of a private key.
pub(crate) struct Exchange {
    private: PrivateKey,
    public: Vec<u8>,
}

impl Exchange {
    /// A fresh pair.
    pub(crate) fn new() -> Result<Self, KeyProblem> {
        let private = PrivateKey::generate(&X25519).map_err(problem)?;
        let public = private.compute_public_key().map_err(problem)?;
        let public = public.as_ref().to_vec();
        Ok(Self { private, public })
    }

    /// The public half, hex.
    pub(crate) fn public_hex(&self) -> String {
        hex(&self.public)
    }

    fn secret(&self, peer_hex: &str) -> Result<Vec<u8>, KeyProblem> {
        let peer = unhex(peer_hex).filter(|peer| peer.len() == 32);
        let peer = peer.ok_or_else(|| problem("ecdh_public is not 64 hex digits"))?;
        let peer = UnparsedPublicKey::new(&X25519, peer);
        let refused = problem("ecdh_public is no key");
        agree(&self.private, peer, refused, |secret| Ok(secret.to_vec()))
    }

    /// A private key that was encrypted for this pair, in PEM as it is kept.
    pub(crate) fn open(&self, key_pem: &str, peer_hex: &str) -> Result<String, KeyProblem> {
        let secret = self.secret(peer_hex)?;
        let der = decrypt_pem(key_pem, &secret)?;
        if aws_lc_rs::rsa::KeyPair::from_der(&der).is_err() {
            // A wrong secret mostly shows in the padding, and else here.
            return Err(problem(
                "the key cannot be decrypted with the shared secret",
            ));
        }
        Ok(pem(KEY_LABEL, &der))
    }
}

/// Opens a legacy encrypted PEM block: AES-256-CBC, its key made from password and salt by MD5.
fn decrypt_pem(text: &str, password: &[u8]) -> Result<Vec<u8>, KeyProblem> {
    const BEGIN: &str = "-----BEGIN RSA PRIVATE KEY-----";
    const END: &str = "-----END RSA PRIVATE KEY-----";
    let block = text
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let (block, _) = block.ok_or_else(|| problem("the key is not PEM"))?;
    let (mut iv, mut body) = (None, String::new());
    let mut is_encrypted = false;
    for line in block.lines().map(str::trim) {
        if let Some(kind) = line.strip_prefix("Proc-Type:") {
            is_encrypted = kind.trim() == "4,ENCRYPTED";
        } else if let Some(info) = line.strip_prefix("DEK-Info:") {
            let info = info.trim().strip_prefix("AES-256-CBC,");
            let info = info.ok_or_else(|| problem("the key is not encrypted with AES-256-CBC"))?;
            iv = unhex(info);
        } else {
            body.push_str(line);
        }
    }
    if !is_encrypted {
        return Err(problem("the key is not encrypted"));
    }
    let iv: [u8; 16] = iv
        .and_then(|iv| iv.try_into().ok())
        .ok_or_else(|| problem("the key has no initialization vector of 16 bytes"))?;
    let mut data = Vec::new();
    base64::decode(body.as_bytes(), &mut data).map_err(|_| problem("the key is not base64"))?;
    let key = derive(password, &iv[..8]);
    let refused = |_| problem("the key cannot be decrypted with the shared secret");
    let key = UnboundCipherKey::new(&AES_256, &key).map_err(refused)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(refused)?;
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let plain = key.decrypt(&mut data, context).map_err(refused)?;
    Ok(plain.to_vec())
}

/// 32 bytes: MD5 over what came before, password and salt, twice.
fn derive(password: &[u8], salt: &[u8]) -> [u8; 32] {
    let first = Md5::new().chain_update(password).chain_update(salt);
    let first = first.finalize();
    let second = Md5::new().chain_update(first);
    let second = second.chain_update(password).chain_update(salt).finalize();
    let mut key = [0; 32];
    key[..16].copy_from_slice(&first);
    key[16..].copy_from_slice(&second);
    key
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let digits = text.as_bytes();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CertificateRequest")
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exchange")
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn each_request_has_a_key_of_its_own_and_the_name_asked_for() {
        let name = SubjectName {
            common_name: "n1.example.net",
            country: "MT",
            state: "Gozo",
            ..SubjectName::default()
        };
        let (first, second) = (
            certificate_request(&name).unwrap(),
            certificate_request(&name).unwrap(),
        );
        assert_ne!(first.key, second.key);
        assert_ne!(first.public, second.public);
        assert!(first.key.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        assert!(KeyPair::from_pem(&first.key).is_ok());
        let csr = rcgen::CertificateSigningRequestParams::from_pem(&first.csr).unwrap();
        let subject = &csr.params.distinguished_name;
        let text = |kind| format!("{:?}", subject.get(&kind));
        assert!(text(DnType::CommonName).contains("n1.example.net"));
        assert!(text(DnType::StateOrProvinceName).contains("Gozo"));
        assert!(subject.get(&DnType::LocalityName).is_none());
        assert!(!format!("{first:?}").contains("BEGIN"));
    }

    /// A key that openssl encrypted with the secret of two pairs comes out as it was.
    #[test]
    fn a_key_that_was_encrypted_for_the_node_is_opened() {
        let node = Exchange::new().unwrap();
        let provisioner = Exchange::new().unwrap();
        let secret = provisioner.secret(&node.public_hex()).unwrap();
        assert_eq!(node.secret(&provisioner.public_hex()).unwrap(), secret);
        let plain = certificate_request(&SubjectName::default()).unwrap().key;
        let encrypted = encrypt(&plain, &secret);
        let opened = node.open(&encrypted, &provisioner.public_hex()).unwrap();
        assert_eq!(opened, plain);
        let other = Exchange::new().unwrap().public_hex();
        let error = node.open(&encrypted, &other).unwrap_err();
        assert!(error.to_string().contains("shared secret"), "{error}");
        for (key, peer, why) in [
            (plain.as_str(), provisioner.public_hex(), "not encrypted"),
            ("nonsense", provisioner.public_hex(), "not PEM"),
            (&encrypted, "12".to_owned(), "64 hex digits"),
        ] {
            let error = node.open(key, &peer).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    /// As RFC 1423 has it, with the same library the other way round.
    fn encrypt(plain: &str, secret: &[u8]) -> String {
        use aws_lc_rs::cipher::{EncryptionContext, PaddedBlockEncryptingKey};
        let lines = plain.lines().filter(|line| !line.starts_with("-----"));
        let mut data = Vec::new();
        base64::decode(lines.collect::<String>().as_bytes(), &mut data).unwrap();
        let iv = [7; 16];
        let key = UnboundCipherKey::new(&AES_256, &derive(secret, &iv[..8])).unwrap();
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).unwrap();
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(&mut data, context).unwrap();
        let text = pem(KEY_LABEL, &data);
        let head = format!(
            "-----BEGIN {KEY_LABEL}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{}\n\n",
            hex(&iv)
        );
        text.replacen(&format!("-----BEGIN {KEY_LABEL}-----\n"), &head, 1)
    }

    /// What we open, openssl opens too, where it is installed.
    #[test]
    fn openssl_reads_the_same_form() {
        let plain = certificate_request(&SubjectName::default()).unwrap().key;
        let encrypted = encrypt(&plain, b"a password of letters");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        std::fs::write(&path, encrypted).unwrap();
        let openssl = Command::new("openssl")
            .args([
                "rsa",
                "-traditional",
                "-passin",
                "pass:a password of letters",
                "-in",
            ])
            .arg(&path)
            .output();
        let Ok(output) = openssl else {
            eprintln!("openssl is not installed: nothing is compared");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.trim(), plain.trim());
    }
}
