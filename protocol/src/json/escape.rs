//! Writing JSON strings the way Go's default encoder does.

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

static CLASSES: [Class; 256] = {
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
fn escape_into(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut run_start = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let class = CLASSES[usize::from(byte)];
        if class == Class::Plain {
            at += 1;
            continue;
        }
        if class == Class::MaybeLineSeparator && !is_line_separator(&bytes[at..]) {
            at += 1;
            continue;
        }
        out.extend_from_slice(&bytes[run_start..at]);
        match class {
            Class::Short(letter) => out.extend_from_slice(&[b'\\', letter]),
            Class::MaybeLineSeparator => {
                out.extend_from_slice(b"\\u202");
                out.push(HEX[usize::from(bytes[at + 2] & 0xf)]);
                at += 2;
            }
            Class::Unicode | Class::Plain => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xf)]);
            }
        }
        at += 1;
        run_start = at;
    }
    out.extend_from_slice(&bytes[run_start..]);
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
