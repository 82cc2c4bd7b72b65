//! Writing JSON strings the way Go's default encoder does.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// How a byte is written in a string: `len` bytes of `text`. Plain bytes have length 1 and stand for themselves.
#[derive(Clone, Copy)]
struct Escape {
    text: [u8; 8],
    len: u8,
}

/// First byte of U+2028 and U+2029, which are escaped, and of other characters, which are not.
const MAYBE_LINE_SEPARATOR: u8 = 0xe2;

const LINE_SEPARATORS: [Escape; 2] = [Escape::unicode(*b"2028"), Escape::unicode(*b"2029")];

static ESCAPES: [Escape; 256] = {
    let mut table = [Escape::plain(0); 256];
    let mut byte: u8 = 0;
    loop {
        table[byte as usize] = match byte {
            0x08 => Escape::short(b'b'),
            b'\t' => Escape::short(b't'),
            b'\n' => Escape::short(b'n'),
            0x0c => Escape::short(b'f'),
            b'\r' => Escape::short(b'r'),
            b'"' | b'\\' => Escape::short(byte),
            0..0x20 | b'<' | b'>' | b'&' => Escape::unicode([b'0', b'0', high(byte), low(byte)]),
            _ => Escape::plain(byte),
        };
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

impl Escape {
    const fn plain(byte: u8) -> Self {
        Self {
            text: [byte, 0, 0, 0, 0, 0, 0, 0],
            len: 1,
        }
    }

    const fn short(letter: u8) -> Self {
        Self {
            text: [b'\\', letter, 0, 0, 0, 0, 0, 0],
            len: 2,
        }
    }

    const fn unicode(digits: [u8; 4]) -> Self {
        Self {
            text: [
                b'\\', b'u', digits[0], digits[1], digits[2], digits[3], 0, 0,
            ],
            len: 6,
        }
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    escape_into(out, text.as_bytes());
    out.push(b'"');
}

/// Appends `bytes` escaped, without quotes. Bytes that need none are copied in runs.
///
/// Looking at eight bytes at once was measured and lost: in documents nested this deep every few bytes are escaped.
fn escape_into(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut run_start = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let mut escape = &ESCAPES[usize::from(byte)];
        let mut consumed = 1;
        if byte == MAYBE_LINE_SEPARATOR
            && let [0x80, last @ (0xa8 | 0xa9), ..] = bytes[at + 1..]
        {
            escape = &LINE_SEPARATORS[usize::from(last & 1)];
            consumed = 3;
        }
        if escape.len > 1 {
            out.extend_from_slice(&bytes[run_start..at]);
            out.extend_from_slice(&escape.text[..usize::from(escape.len)]);
            run_start = at + consumed;
        }
        at += consumed;
    }
    out.extend_from_slice(&bytes[run_start..]);
}

const fn high(byte: u8) -> u8 {
    HEX[(byte >> 4) as usize]
}

const fn low(byte: u8) -> u8 {
    HEX[(byte & 0xf) as usize]
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
