//! Ed25519 keys as the fleet writes them: 64 hex digits, in files and in tokens.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

const KEY_BYTES: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; KEY_BYTES]);

/// A seed with its public key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Not 64 characters.
    Length(usize),
    /// Holds something else than hex digits.
    NotHex,
    /// The seed makes no key, or the key is of a kind that is not used.
    Rejected,
    /// Neither hex nor the PEM of a key.
    NotPem,
}

impl PublicKey {
    /// Reads 64 hex digits.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        decode_hex(text).map(Self)
    }

    /// Whether `signature` is one over `message` by this key's holder.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
    }

    /// Whether `signature` is what a holder of this key answers to a broker's nonce; see
    /// [`SigningKey::sign_nonce`]. Both base64 alphabets are taken, with or without padding.
    #[must_use]
    pub fn verify_nonce(&self, nonce: &str, signature: &str) -> bool {
        let bare = signature.trim_end_matches('=');
        let decoded = URL_SAFE_NO_PAD
            .decode(bare)
            .or_else(|_| STANDARD.decode(signature));
        decoded.is_ok_and(|signature| self.verify(nonce.as_bytes(), &signature))
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl SigningKey {
    /// Reads a seed file: 64 hex digits. White space around them is tolerated, which peers do not.
    ///
    /// # Errors
    /// The text is something else.
    pub fn from_seed_hex(text: &str) -> Result<Self, KeyError> {
        Self::from_seed(&decode_hex(text.trim())?)
    }

    /// A key of 32 bytes the caller brings; they must be random to be of use.
    ///
    /// # Errors
    /// The library refuses the seed.
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Rejected)?;
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| KeyError::Rejected)?;
        Ok(Self {
            pair,
            public: PublicKey(public),
        })
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The signature over `message`; the same for the same message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let signature = self.pair.sign(message);
        let mut bytes = [0; SIGNATURE_BYTES];
        bytes.copy_from_slice(signature.as_ref());
        bytes
    }

    /// What answers the nonce of a broker's INFO: the signature over it in URL-safe base64 without padding.
    #[must_use]
    pub fn sign_nonce(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.sign(nonce.as_bytes()))
    }
}

/// Lower-case hex of any bytes, as chain signatures carry them.
pub(super) fn encode_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}

/// Exactly `N` bytes in hex of either case.
pub(super) fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], KeyError> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return Err(KeyError::Length(text.chars().count()));
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex(pair[0])? << 4 | hex(pair[1])?;
    }
    Ok(bytes)
}

const fn hex(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyError::NotHex),
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The seed stays out of logs.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(chars) => write!(f, "key has {chars} characters, not 64 hex digits"),
            Self::NotHex => f.write_str("key holds something else than hex digits"),
            Self::Rejected => {
                f.write_str("seed makes no key, or the key is of a kind that is not used")
            }
            Self::NotPem => f.write_str("neither 64 hex digits nor the pem of a key"),
        }
    }
}

impl std::error::Error for KeyError {}
