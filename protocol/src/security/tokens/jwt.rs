//! The form of a token: header, claims and signature in URL-safe base64, with dots between.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use super::claims::{CLIENT_PURPOSE, SERVER_PURPOSE};
use super::issuer_key::Algorithm;
use super::{Claims, IssuerKey, IssuerSigningKey, PublicKey, SigningKey, TokenError};

/// The longest token that is looked at. An honest one has some 600 bytes, with a policy in it a few thousand.
pub const TOKEN_BYTES_MAX: usize = 32 * 1024;

const ALGORITHM: &str = "EdDSA";
/// The header of every token that is made here: `{"alg":"EdDSA","typ":"JWT"}`.
const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// A token that was read and not checked. Its claims may be shown, not believed.
#[derive(Debug, Clone, PartialEq)]
pub struct UnverifiedToken<'a> {
    /// What it says.
    pub claims: Claims,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Purpose {
    #[serde(default)]
    purpose: String,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is no token, of another algorithm, or neither a client's nor a server's.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge {
                bytes: text.len(),
                limit: TOKEN_BYTES_MAX,
            });
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_three_parts)?;
        let (header, claims) = signed.split_once('.').ok_or_else(not_three_parts)?;
        let header: Header = from_json(&decode(header, "header")?, "header")?;
        if header.alg != ALGORITHM {
            return Err(TokenError::Algorithm {
                name: header.alg.chars().take(16).collect(),
            });
        }
        Ok(Self {
            claims: parse_claims(&decode(claims, "claims")?)?,
            signed,
            signature: decode(signature, "signature")?,
        })
    }

    /// Whether this key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.verify(self.signed.as_bytes(), &self.signature)
    }
}

/// The parts of a token of any algorithm that is known.
#[derive(Clone, PartialEq)]
pub(super) struct Parts<'a> {
    algorithm: Algorithm,
    claims: Vec<u8>,
    signed: &'a str,
    signature: Vec<u8>,
}

impl<'a> Parts<'a> {
    pub(super) fn split(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLarge {
                bytes: text.len(),
                limit: TOKEN_BYTES_MAX,
            });
        }
        let (signed, signature) = text.rsplit_once('.').ok_or_else(not_three_parts)?;
        let (header, claims) = signed.split_once('.').ok_or_else(not_three_parts)?;
        let header: Header = from_json(&decode(header, "header")?, "header")?;
        Ok(Self {
            algorithm: Algorithm::of(&header.alg)?,
            claims: decode(claims, "claims")?,
            signed,
            signature: decode(signature, "signature")?,
        })
    }

    /// The claims. An error does not repeat them: there may be secrets among them.
    pub(super) fn claims<T: for<'de> Deserialize<'de>>(&self) -> Result<T, TokenError> {
        serde_json::from_slice(&self.claims).map_err(|error| TokenError::Malformed {
            why: format!("claims are of another form at byte {}", error.column()),
        })
    }

    pub(super) fn is_signed_by(&self, key: &IssuerKey) -> bool {
        key.verify(self.algorithm, self.signed.as_bytes(), &self.signature)
    }
}

/// A token with these claims, signed with a key of either kind.
pub(super) fn encode_by(
    claims: &impl Serialize,
    key: &IssuerSigningKey,
) -> Result<String, TokenError> {
    let claims = serde_json::to_string(claims).map_err(|error| TokenError::Malformed {
        why: format!("claims cannot be written: {error}"),
    })?;
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, key.algorithm());
    let mut token = BASE64.encode(header);
    token.push('.');
    BASE64.encode_string(escape_as_peers(&claims), &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    BASE64.encode_string(signature, &mut token);
    Ok(token)
}

/// A token with these claims, signed with this key.
pub(super) fn encode(claims: &impl Serialize, key: &SigningKey) -> Result<String, TokenError> {
    let claims = serde_json::to_string(claims).map_err(|error| TokenError::Malformed {
        why: format!("claims cannot be written: {error}"),
    })?;
    let mut token = BASE64.encode(HEADER);
    token.push('.');
    BASE64.encode_string(escape_as_peers(&claims), &mut token);
    let signature = key.sign(token.as_bytes());
    token.push('.');
    BASE64.encode_string(signature, &mut token);
    Ok(token)
}

/// These characters stand in strings only, so their escapes can be put in afterwards.
fn escape_as_peers(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '<' => text.push_str("\\u003c"),
            '>' => text.push_str("\\u003e"),
            '&' => text.push_str("\\u0026"),
            '\u{2028}' => text.push_str("\\u2028"),
            '\u{2029}' => text.push_str("\\u2029"),
            other => text.push(other),
        }
    }
    text
}

fn parse_claims(json: &[u8]) -> Result<Claims, TokenError> {
    let Purpose { purpose } = from_json(json, "claims")?;
    match &*purpose {
        CLIENT_PURPOSE => from_json(json, "claims").map(Claims::Client),
        SERVER_PURPOSE => from_json(json, "claims").map(Claims::Server),
        _ => Err(TokenError::Purpose {
            purpose: purpose.chars().take(32).collect(),
        }),
    }
}

fn decode(text: &str, part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64.decode(text).map_err(|error| TokenError::Malformed {
        why: format!("{part} is not url-safe base64: {error}"),
    })
}

fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8], part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(json).map_err(|error| TokenError::Malformed {
        why: format!("{part}: {error}"),
    })
}

fn not_three_parts() -> TokenError {
    TokenError::Malformed {
        why: "it has not three parts".to_owned(),
    }
}
