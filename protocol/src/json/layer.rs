//! What every layer's parser needs from its document, and the errors they share.

use std::borrow::Cow;
use std::fmt;

use super::reader::{JsonError, RawStr, Reader};
use crate::base64::{self, Base64Error};
use crate::version::ProtocolVersion;

/// Why bytes are not a document of the layer they were taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerError {
    /// Not JSON.
    Json(JsonError),
    /// The `protocol` field names another layer or version.
    WrongProtocol {
        /// The value the layer demands.
        expected: &'static str,
        /// The value found, cut to 64 characters.
        found: Box<str>,
    },
    /// A required field is missing.
    Missing(&'static str),
    /// A field holds a value of another type.
    WrongType {
        /// Path of the field.
        field: &'static str,
        /// The type the layer demands.
        expected: &'static str,
    },
    /// A field that must not be empty is.
    Empty(&'static str),
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "invalid json: {error}"),
            Self::WrongProtocol { expected, found } => {
                write!(f, "protocol is {found:?}, not {expected:?}")
            }
            Self::Missing(field) => write!(f, "field {field} is missing"),
            Self::WrongType { field, expected } => write!(f, "field {field} is not {expected}"),
            Self::Empty(field) => write!(f, "field {field} is empty"),
        }
    }
}

impl std::error::Error for LayerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

impl From<JsonError> for LayerError {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// A string field while its object is being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    field: &'static str,
    value: Option<RawStr<'a>>,
}

impl<'a> Text<'a> {
    pub(crate) const fn new(field: &'static str) -> Self {
        Self { field, value: None }
    }

    /// Reads the value the cursor stands before; `null` counts as absent.
    pub(crate) fn read(&mut self, reader: &mut Reader<'a>) -> Result<(), LayerError> {
        self.value = match reader.peek()? {
            b'"' => Some(reader.string()?),
            b'n' => {
                reader.value()?;
                None
            }
            _ => {
                return Err(LayerError::WrongType {
                    field: self.field,
                    expected: "a string",
                });
            }
        };
        Ok(())
    }

    pub(crate) fn required(self) -> Result<RawStr<'a>, LayerError> {
        self.value.ok_or(LayerError::Missing(self.field))
    }

    pub(crate) fn non_empty(self) -> Result<RawStr<'a>, LayerError> {
        let value = self.required()?;
        if value.is_empty() {
            Err(LayerError::Empty(self.field))
        } else {
            Ok(value)
        }
    }

    /// The value, where an empty one counts as absent.
    pub(crate) fn optional(self) -> Option<Cow<'a, str>> {
        self.value
            .filter(|value| !value.is_empty())
            .map(RawStr::to_cow)
    }

    /// The field must hold what one of the versions has there.
    pub(crate) fn version(
        self,
        name: fn(ProtocolVersion) -> &'static str,
    ) -> Result<ProtocolVersion, LayerError> {
        let found = self.required()?.to_cow();
        [ProtocolVersion::V1, ProtocolVersion::V2]
            .into_iter()
            .find(|version| found == name(*version))
            .ok_or_else(|| wrong_protocol(name(ProtocolVersion::V1), &found))
    }

    /// The field must hold exactly `expected`.
    pub(crate) fn constant(self, expected: &'static str) -> Result<(), LayerError> {
        let found = self.required()?.to_cow();
        if found == expected {
            return Ok(());
        }
        Err(wrong_protocol(expected, &found))
    }

    /// The bytes of a field in base64, which must be some, appended to `out`.
    pub(crate) fn decode_into(self, out: &mut Vec<u8>) -> Result<(), LayerError> {
        let field = self.field;
        base64::decode(self.non_empty()?.to_cow().as_bytes(), out).map_err(|Base64Error| {
            LayerError::WrongType {
                field,
                expected: "standard base64",
            }
        })
    }
}

fn wrong_protocol(expected: &'static str, found: &str) -> LayerError {
    let found: String = found.chars().take(64).collect();
    LayerError::WrongProtocol {
        expected,
        found: found.into(),
    }
}

impl<'a> Reader<'a> {
    /// Opens the object the cursor stands before.
    pub(crate) fn object(&mut self, field: &'static str) -> Result<(), LayerError> {
        match self.peek()? {
            b'{' => Ok(self.begin_object()?),
            _ => Err(LayerError::WrongType {
                field,
                expected: "an object",
            }),
        }
    }

    /// Opens the array the cursor stands before.
    pub(crate) fn array(&mut self, field: &'static str) -> Result<(), LayerError> {
        match self.peek()? {
            b'[' => Ok(self.begin_array()?),
            _ => Err(LayerError::WrongType {
                field,
                expected: "an array",
            }),
        }
    }

    /// Consumes a `null`, if that is next.
    pub(crate) fn null(&mut self) -> Result<bool, LayerError> {
        if self.peek()? == b'n' {
            self.value()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// A string that is an element of an array.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<Cow<'a, str>, LayerError> {
        match self.peek()? {
            b'"' => Ok(self.string()?.to_cow()),
            _ => Err(LayerError::WrongType {
                field,
                expected: "an array of strings",
            }),
        }
    }

    /// A whole number.
    pub(crate) fn whole(&mut self, field: &'static str) -> Result<i64, LayerError> {
        let wrong = LayerError::WrongType {
            field,
            expected: "a whole number",
        };
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.integer()?.ok_or(wrong),
            _ => Err(wrong),
        }
    }
}
