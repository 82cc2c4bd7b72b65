//! A private key on its way to a node, where the site's helper makes the keys.
//!
//! ```text
//!  node: X25519 pair, tells its public half (action jwt)
//!  here: own pair; secret = X25519(own private, node's public); the key as legacy PEM (RFC 1423 headers, AES-256-CBC)
//!        with the secret as its password; our public half goes along (action configure)
//! ```
//!
//! The form is that of the fleet. It hides the key from brokers and listeners; nothing vouches for whose public half the
//! node's is beyond the channel it came over. A node that makes its own key (feature `pki`) needs none of this.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::cipher::{AES_256, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use crate::secret::Secret;

/// Bytes of X25519 keys and secrets.
pub const ECDH_BYTES: usize = 32;
/// Bytes of an AES block.
pub const IV_BYTES: usize = 16;
/// The longest key that is sent, in bytes of PEM: what nodes take.
const KEY_BYTES_MAX: usize = 10_240;
/// Characters of a line of PEM.
const PEM_LINE: usize = 64;

/// A key that only one node can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// The encrypted PEM.
    pub key: String,
    /// Our public half, in hex.
    pub ecdh_public: String,
}

/// What must be random and told to nobody, for one delivery.
#[derive(Clone, Copy)]
pub struct SealSeed {
    /// Our private half.
    pub private: [u8; ECDH_BYTES],
    /// The first block.
    pub iv: [u8; IV_BYTES],
}

/// Why a key is not sent. No key is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The text is no PEM of one private key.
    NotPem,
    /// It is longer than nodes take.
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// What the node sent is no X25519 key in hex.
    PeerKey,
    /// The library refuses.
    Crypto,
}

/// Encrypts `pem` for the node with this public half.
///
/// # Errors
/// The key, or the node's half, is none.
pub fn seal_key(pem: &Secret, peer_hex: &str, seed: &SealSeed) -> Result<SealedKey, SealError> {
    let pem = pem.expose();
    if pem.len() > KEY_BYTES_MAX {
        return Err(SealError::TooLong { bytes: pem.len() });
    }
    let (label, mut der) = parse_pem(pem).ok_or(SealError::NotPem)?;
    let peer: [u8; ECDH_BYTES] = decode_hex(peer_hex).ok_or(SealError::PeerKey)?;
    let private =
        PrivateKey::from_private_key(&X25519, &seed.private).map_err(|_| SealError::Crypto)?;
    let public = private
        .compute_public_key()
        .map_err(|_| SealError::Crypto)?;
    let peer = UnparsedPublicKey::new(&X25519, peer);
    let key = agree(&private, peer, SealError::PeerKey, |secret| {
        Ok(derive_key(secret, &seed.iv))
    })?;
    let cipher = UnboundCipherKey::new(&AES_256, &key)
        .and_then(PaddedBlockEncryptingKey::cbc_pkcs7)
        .map_err(|_| SealError::Crypto)?;
    let context = EncryptionContext::Iv128(FixedLength::from(&seed.iv));
    cipher
        .less_safe_encrypt(&mut der, context)
        .map_err(|_| SealError::Crypto)?;
    Ok(SealedKey {
        key: encode_pem(&label, &seed.iv, &der),
        ecdh_public: encode_hex(public.as_ref()),
    })
}

/// The key of legacy PEM: MD5 over password and salt, chained until there is enough. The salt is half of the first block.
fn derive_key(password: &[u8], iv: &[u8; IV_BYTES]) -> [u8; 32] {
    let mut key = [0; 32];
    let mut previous = Vec::new();
    for part in key.chunks_exact_mut(16) {
        let digest = Md5::new()
            .chain_update(&previous)
            .chain_update(password)
            .chain_update(&iv[..8])
            .finalize();
        part.copy_from_slice(&digest);
        previous = digest.to_vec();
    }
    key
}

/// Label and content of the one block in a text, if it is an unencrypted private key.
fn parse_pem(text: &str) -> Option<(String, Vec<u8>)> {
    let text = text.trim();
    let rest = text.strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let body = rest.strip_suffix(&format!("-----END {label}-----"))?;
    if !label.ends_with("PRIVATE KEY") || body.contains(':') || body.contains('-') {
        return None;
    }
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD.decode(body).ok()?;
    (!der.is_empty()).then(|| (label.to_owned(), der))
}

fn encode_pem(label: &str, iv: &[u8], content: &[u8]) -> String {
    let body = STANDARD.encode(content);
    let mut pem = format!(
        "-----BEGIN {label}-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,{}\n\n",
        encode_hex(iv)
    );
    for line in body.as_bytes().chunks(PEM_LINE) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

/// Lower-case hex.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// Exactly `N` bytes in hex of either case.
pub(crate) fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        let digits = text.get(2 * index..2 * index + 2)?;
        if digits.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

/// Leaves both out.
impl fmt::Debug for SealSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealSeed(***)")
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str("the key is not one unencrypted private key in pem"),
            Self::TooLong { bytes } => {
                write!(f, "the key has {bytes} bytes, nodes take {KEY_BYTES_MAX}")
            }
            Self::PeerKey => f.write_str("the node sent no key to encrypt for"),
            Self::Crypto => f.write_str("the key cannot be encrypted"),
        }
    }
}

impl std::error::Error for SealError {}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    const SEED: SealSeed = SealSeed {
        private: [7; ECDH_BYTES],
        iv: *b"0123456789abcdef",
    };

    fn key() -> Secret {
        Secret::new(rcgen::KeyPair::generate().unwrap().serialize_pem())
    }

    /// The node's half of it.
    fn node() -> (PrivateKey, String) {
        let private = PrivateKey::from_private_key(&X25519, &[9; ECDH_BYTES]).unwrap();
        let public = encode_hex(private.compute_public_key().unwrap().as_ref());
        (private, public)
    }

    fn password(node: &PrivateKey, sealed: &SealedKey) -> Vec<u8> {
        let ours: [u8; ECDH_BYTES] = decode_hex(&sealed.ecdh_public).unwrap();
        let ours = UnparsedPublicKey::new(&X25519, ours);
        agree(node, ours, (), |secret| Ok(secret.to_vec())).unwrap()
    }

    #[test]
    fn the_node_can_derive_the_same_key() {
        let (node, public) = node();
        let key = key();
        let sealed = seal_key(&key, &public, &SEED).unwrap();
        assert!(
            sealed
                .key
                .contains("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,30313233")
        );
        let derived = derive_key(&password(&node, &sealed), &SEED.iv);
        let body = sealed.key.split("\n\n").nth(1).unwrap();
        let body = body.split("-----").next().unwrap().replace('\n', "");
        let mut der = STANDARD.decode(body).unwrap();
        let cipher = UnboundCipherKey::new(&AES_256, &derived).unwrap();
        let cipher = aws_lc_rs::cipher::PaddedBlockDecryptingKey::cbc_pkcs7(cipher).unwrap();
        let context = aws_lc_rs::cipher::DecryptionContext::Iv128(FixedLength::from(&SEED.iv));
        let clear = cipher.decrypt(&mut der, context).unwrap();
        assert_eq!(clear, parse_pem(key.expose()).unwrap().1);
    }

    /// The password is bytes and a command line takes text, so a file takes it there. Skipped, said so, without openssl.
    #[test]
    fn openssl_reads_the_form() {
        let Ok(version) = Command::new("openssl").arg("version").output() else {
            eprintln!("skipped: openssl is not installed");
            return;
        };
        assert!(version.status.success());
        let key = key();
        let (label, mut der) = parse_pem(key.expose()).unwrap();
        let derived = derive_key(b"password", &SEED.iv);
        let cipher = UnboundCipherKey::new(&AES_256, &derived).unwrap();
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).unwrap();
        let context = EncryptionContext::Iv128(FixedLength::from(&SEED.iv));
        cipher.less_safe_encrypt(&mut der, context).unwrap();
        // Legacy encryption stands around the old form of keys; openssl looks at the label.
        let pem = encode_pem(&label, &SEED.iv, &der);
        let mut openssl = Command::new("openssl")
            .args(["pkey", "-passin", "pass:password"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        openssl
            .stdin
            .take()
            .unwrap()
            .write_all(pem.as_bytes())
            .unwrap();
        let output = openssl.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(
            String::from_utf8(output.stdout).unwrap().trim(),
            key.expose().trim()
        );
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_, public) = node();
        for text in [
            "",
            "x",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        ] {
            let refused = seal_key(&Secret::new(text), &public, &SEED);
            assert_eq!(refused, Err(SealError::NotPem), "{text}");
        }
        let zero = "0".repeat(64);
        for peer in ["", "00", zero.as_str(), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(
                seal_key(&key(), peer, &SEED),
                Err(SealError::PeerKey),
                "{peer}"
            );
        }
        let long = Secret::new("x".repeat(KEY_BYTES_MAX + 1));
        assert!(matches!(
            seal_key(&long, &public, &SEED),
            Err(SealError::TooLong { .. })
        ));
    }
}
