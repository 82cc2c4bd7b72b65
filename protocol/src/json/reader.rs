//! The pull reader: a cursor over one JSON text.

use std::borrow::Cow;
use std::fmt;

use super::DEPTH_MAX;
use super::swar::{below, equal, first, word};

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Byte offset of the problem.
    pub offset: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonProblem {
    /// The text is not UTF-8.
    NotUtf8,
    /// The text stops in the middle of a value.
    Truncated,
    /// Another byte was expected here.
    Unexpected(u8),
    /// A backslash is followed by no known escape.
    BadEscape,
    /// An unescaped control character stands in a string.
    ControlCharacter(u8),
    /// Arrays and objects nest deeper than [`DEPTH_MAX`].
    TooDeep,
    /// Something follows the document.
    TrailingBytes,
    /// A whole number is too large for 64 bits.
    NumberTooLarge,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            JsonProblem::NotUtf8 => write!(f, "not utf-8")?,
            JsonProblem::Truncated => write!(f, "text ends inside a value")?,
            JsonProblem::Unexpected(byte) => {
                write!(f, "unexpected byte '{}'", byte.escape_ascii())?;
            }
            JsonProblem::BadEscape => write!(f, "unknown escape in a string")?,
            JsonProblem::ControlCharacter(byte) => {
                write!(f, "control character {byte:#04x} in a string")?;
            }
            JsonProblem::TooDeep => write!(f, "nested deeper than {DEPTH_MAX}")?,
            JsonProblem::TrailingBytes => write!(f, "bytes after the document")?,
            JsonProblem::NumberTooLarge => write!(f, "number does not fit in 64 bits")?,
        }
        write!(f, " at offset {}", self.offset)
    }
}

impl std::error::Error for JsonError {}

/// The text between two quotes, checked but still escaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawStr<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The string's value, borrowed when nothing is escaped.
    pub(crate) fn to_cow(self) -> Cow<'a, str> {
        if self.escaped {
            let mut text = Vec::new();
            unescape(self.raw, &mut text);
            Cow::Owned(String::from_utf8(text).expect(STAYS_UTF8))
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// The string's value: the span itself where nothing is escaped, else built in `buffer`, whose content is replaced.
    pub(crate) fn unescape_in<'b>(self, buffer: &'b mut Vec<u8>) -> &'b str
    where
        'a: 'b,
    {
        if !self.escaped {
            return self.raw;
        }
        unescape(self.raw, buffer);
        std::str::from_utf8(buffer).expect(STAYS_UTF8)
    }

    /// No character at all.
    pub(crate) fn is_empty(self) -> bool {
        self.raw.is_empty()
    }
}

const STAYS_UTF8: &str = "text stays utf-8 when escapes become whole characters";

/// A cursor over one document. Methods consume what they name, white space before it included.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// An object or array was opened and nothing read from it: no comma is due.
    fresh: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::from_text(text)),
            Err(error) => Err(JsonError {
                offset: error.valid_up_to(),
                problem: JsonProblem::NotUtf8,
            }),
        }
    }

    pub(crate) const fn from_text(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            fresh: false,
            depth: 0,
        }
    }

    /// First byte of the next value, not consumed.
    pub(crate) fn peek(&mut self) -> Result<u8, JsonError> {
        self.skip_space();
        self.current()
            .ok_or_else(|| self.error(JsonProblem::Truncated))
    }

    pub(crate) fn begin_object(&mut self) -> Result<(), JsonError> {
        self.open(b'{')
    }

    /// The next key of the open object, its colon consumed too; `None` once the object is closed.
    pub(crate) fn next_key(&mut self) -> Result<Option<RawStr<'a>>, JsonError> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    pub(crate) fn begin_array(&mut self) -> Result<(), JsonError> {
        self.open(b'[')
    }

    /// True if the open array has another element, false once it is closed.
    pub(crate) fn next_element(&mut self) -> Result<bool, JsonError> {
        self.more(b']')
    }

    pub(crate) fn string(&mut self) -> Result<RawStr<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            match bytes.get(self.at) {
                Some(b'\\') => {
                    escaped = true;
                    match bytes.get(self.at + 1) {
                        Some(&letter) if ESCAPES[usize::from(letter)] != 0 => self.at += 2,
                        _ => self.unicode_escape()?,
                    }
                }
                Some(b'"') => break,
                Some(&byte) if byte < 0x20 => {
                    return Err(self.error(JsonProblem::ControlCharacter(byte)));
                }
                Some(_) => self.at += 1 + plain_len(&bytes[self.at + 1..]),
                None => return Err(self.error(JsonProblem::Truncated)),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(RawStr { raw, escaped })
    }

    /// A whole number without fraction or exponent; `Ok(None)` if it is a number of another form.
    pub(crate) fn integer(&mut self) -> Result<Option<i64>, JsonError> {
        self.skip_space();
        let start = self.at;
        self.number()?;
        let text = &self.text[start..self.at];
        if text.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return Ok(None);
        }
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(JsonError {
                offset: start,
                problem: JsonProblem::NumberTooLarge,
            }),
        }
    }

    /// Checks and skips one value of any kind, and returns its text.
    pub(crate) fn value(&mut self) -> Result<&'a str, JsonError> {
        self.skip_space();
        let start = self.at;
        match self.peek()? {
            b'{' => {
                self.begin_object()?;
                while self.next_key()?.is_some() {
                    self.value()?;
                }
            }
            b'[' => {
                self.begin_array()?;
                while self.next_element()? {
                    self.value()?;
                }
            }
            b'"' => {
                self.string()?;
            }
            b't' => self.literal("true")?,
            b'f' => self.literal("false")?,
            b'n' => self.literal("null")?,
            _ => self.number()?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        self.skip_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.error(JsonProblem::TrailingBytes))
        }
    }

    fn open(&mut self, bracket: u8) -> Result<(), JsonError> {
        self.expect(bracket)?;
        if self.depth == DEPTH_MAX {
            return Err(self.error(JsonProblem::TooDeep));
        }
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    fn more(&mut self, closing: u8) -> Result<bool, JsonError> {
        let fresh = std::mem::take(&mut self.fresh);
        if self.peek()? == closing {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if !fresh {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn unicode_escape(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        match (bytes.get(self.at + 1), bytes.get(self.at + 2..self.at + 6)) {
            (Some(b'u'), Some(digits)) if digits.iter().all(u8::is_ascii_hexdigit) => {
                self.at += 6;
                Ok(())
            }
            (None, _) | (Some(b'u'), None) => Err(self.error(JsonProblem::Truncated)),
            _ => Err(self.error(JsonProblem::BadEscape)),
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.current() == Some(b'-') {
            self.at += 1;
        }
        if self.current() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.current() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.current(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.current(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.unexpected());
        }
        self.at += count;
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Result<(), JsonError> {
        for &byte in word.as_bytes() {
            if self.current() != Some(byte) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        self.skip_space();
        if self.current() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.current(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn current(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unexpected(&self) -> JsonError {
        self.error(
            self.current()
                .map_or(JsonProblem::Truncated, JsonProblem::Unexpected),
        )
    }

    const fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError {
            offset: self.at,
            problem,
        }
    }
}

/// How many bytes from the start need no attention: neither quote, backslash nor control character. Eight at a time.
fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = word(chunk);
        let hits = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if hits != 0 {
            return len + first(hits);
        }
        len += 8;
    }
    let tail = bytes[len..].iter();
    len + tail
        .take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
        .count()
}

/// What the letter after a backslash stands for; `u` has its own rule.
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table[b'/' as usize] = b'/';
    table[b'b' as usize] = 0x08;
    table[b'f' as usize] = 0x0c;
    table[b'n' as usize] = b'\n';
    table[b'r' as usize] = b'\r';
    table[b't' as usize] = b'\t';
    table
};

/// Replaces the content of `out` by the value of a checked string span.
///
/// Eight bytes are copied blindly and then counted up to the first backslash. No escape is longer undone than done, so
/// the writing end never passes the reading end, and room for the span and one word more always suffices.
fn unescape(raw: &str, out: &mut Vec<u8>) {
    let bytes = raw.as_bytes();
    out.clear();
    out.resize(bytes.len() + 8, 0);
    let (mut read, mut written) = (0, 0);
    while read < bytes.len() {
        if bytes[read] == b'\\' {
            let letter = bytes[read + 1];
            if letter == b'u' {
                let (character, len) = unescape_unicode(&bytes[read..]);
                written += character.encode_utf8(&mut out[written..]).len();
                read += len;
            } else {
                out[written] = ESCAPES[usize::from(letter)];
                written += 1;
                read += 2;
            }
        } else if let Some(chunk) = bytes.get(read..read + 8) {
            out[written..written + 8].copy_from_slice(chunk);
            let hits = equal(word(chunk), b'\\');
            let plain = if hits == 0 { 8 } else { first(hits) };
            read += plain;
            written += plain;
        } else {
            out[written] = bytes[read];
            read += 1;
            written += 1;
        }
    }
    out.truncate(written);
}

/// The character of the `\u` escape at the start of `bytes`, and its length: twelve bytes if two escapes are a pair.
fn unescape_unicode(bytes: &[u8]) -> (char, usize) {
    let code = hex(&bytes[2..6]);
    if let Some(character) = char::from_u32(code) {
        return (character, 6);
    }
    if code < 0xdc00
        && let Some([b'\\', b'u', digits @ ..]) = bytes.get(6..12)
        && let low @ 0xdc00..=0xdfff = hex(digits)
        && let Some(character) = char::from_u32(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00))
    {
        return (character, 12);
    }
    (char::REPLACEMENT_CHARACTER, 6)
}

/// Value of four hex digits, which the reader has checked.
fn hex(digits: &[u8]) -> u32 {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0);
    digits.iter().fold(0, |sum, &digit| sum << 4 | value(digit))
}
