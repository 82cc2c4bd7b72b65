//! Writing JSON strings the way Go's default encoder does.

use super::swar::{below, equal, equal_under, first, word};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// What a byte needs when it stands in a string.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    /// A backslash and this character.
    Short(u8),
    /// `\u00` and two hex digits.
    Unicode,
    /// First byte of U+2028 and U+2029, which are escaped, and of characters that are not.
    MaybeLineSeparator,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Plain; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Unicode;
        byte += 1;
    }
    classes[0x08] = Class::Short(b'b');
    classes[0x09] = Class::Short(b't');
    classes[0x0a] = Class::Short(b'n');
    classes[0x0c] = Class::Short(b'f');
    classes[0x0d] = Class::Short(b'r');
    classes[b'"' as usize] = Class::Short(b'"');
    classes[b'\\' as usize] = Class::Short(b'\\');
    classes[b'<' as usize] = Class::Unicode;
    classes[b'>' as usize] = Class::Unicode;
    classes[b'&' as usize] = Class::Unicode;
    classes[0xe2] = Class::MaybeLineSeparator;
    classes
};

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escape_into(out, text.as_bytes());
    out.push(b'"');
}

/// Appends `bytes` escaped, without quotes.
///
/// Eight bytes are written blindly and then counted up to the first that needs an escape; `end` is what counts.
fn escape_into(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut end = out.len();
    let mut at = 0;
    while at < bytes.len() {
        if out.len() < end + 8 {
            out.resize(end + 8 + (bytes.len() - at) * 5 / 4, 0);
        }
        if let Some(chunk) = bytes.get(at..at + 8) {
            out[end..end + 8].copy_from_slice(chunk);
            let hits = suspects(word(chunk));
            let plain = if hits == 0 { 8 } else { first(hits) };
            at += plain;
            end += plain;
            if plain == 8 {
                continue;
            }
        }
        let (escape, len, consumed) = escape(&bytes[at..]);
        if out.len() < end + 8 {
            out.resize(end + 8, 0);
        }
        out[end..end + 8].copy_from_slice(&escape);
        end += len;
        at += consumed;
    }
    out.truncate(end);
}

/// Flags bytes whose class may not be plain.
const fn suspects(word: u64) -> u64 {
    // The quote and the ampersand differ in one bit, and so do the angle brackets.
    below(word, 0x20)
        | equal_under(word, 0x04, b'"' | 0x04)
        | equal_under(word, 0x02, b'<' | 0x02)
        | equal(word, b'\\')
        | equal(word, 0xe2)
}

/// How the first character (or byte of a plain one) is written: the text in up to eight bytes, its length, and how many
/// bytes it stands for.
fn escape(bytes: &[u8]) -> ([u8; 8], usize, usize) {
    let byte = bytes[0];
    match CLASSES[usize::from(byte)] {
        Class::Short(letter) => ([b'\\', letter, 0, 0, 0, 0, 0, 0], 2, 1),
        Class::Unicode => (
            unicode([b'0', b'0', HEX[usize::from(byte >> 4)], low(byte)]),
            6,
            1,
        ),
        Class::MaybeLineSeparator if is_line_separator(bytes) => {
            (unicode([b'2', b'0', b'2', low(bytes[2])]), 6, 3)
        }
        Class::Plain | Class::MaybeLineSeparator => ([byte, 0, 0, 0, 0, 0, 0, 0], 1, 1),
    }
}

const fn unicode(digits: [u8; 4]) -> [u8; 8] {
    [
        b'\\', b'u', digits[0], digits[1], digits[2], digits[3], 0, 0,
    ]
}

fn low(byte: u8) -> u8 {
    HEX[usize::from(byte & 0xf)]
}

fn is_line_separator(bytes: &[u8]) -> bool {
    matches!(bytes, [0xe2, 0x80, 0xa8 | 0xa9, ..])
}

/// Appends `value` in decimal.
pub fn write_integer(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).expect("a remainder of ten is one digit");
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), expected);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }

    #[test]
    fn escapes_are_those_of_go() {
        check("", r#""""#);
        check("plain ~\u{7f}", "\"plain ~\u{7f}\"");
        check("a\"b\\c/", r#""a\"b\\c/""#);
        check("\u{8}\t\n\u{c}\r\u{0}\u{1f}", r#""\b\t\n\f\r\u0000\u001f""#);
        check("<a&b>", r#""\u003ca\u0026b\u003e""#);
        check("\u{2028}x\u{2029}", r#""\u2028x\u2029""#);
        check("€â\u{2027}\u{202a}日本", "\"€â\u{2027}\u{202a}日本\"");
    }

    #[test]
    fn integers_are_decimal() {
        for value in [0, 7, 10, -1, 1_700_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_integer(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
