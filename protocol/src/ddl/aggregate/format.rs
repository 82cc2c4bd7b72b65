//! How a number is written into a line.

/// Writes a number into a format with one of `%f`, `%.2f`, `%5.1f`, `%d`, `%s`, `%v`; `%%` is a percent sign. What is no such place stays as it is.
#[must_use]
pub fn format_number(format: &str, number: f64) -> String {
    let mut out = String::with_capacity(format.len() + 8);
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match place(rest) {
            Some((len, None)) => {
                out.push('%');
                rest = &rest[len..];
            }
            Some((len, Some(place))) => {
                out.push_str(&place.write(number));
                rest = &rest[len..];
            }
            None => {
                out.push('%');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// A place for a number.
struct Place {
    width: usize,
    decimals: Option<usize>,
    verb: u8,
}

/// Columns and decimals a format may ask for; files of others are not trusted with memory.
const PLACE_MAX: usize = 64;

/// Reads the place a text begins with, and its length; no place for `%%`.
fn place(text: &str) -> Option<(usize, Option<Place>)> {
    let bytes = text.as_bytes();
    if bytes.get(1) == Some(&b'%') {
        return Some((2, None));
    }
    let digits = |from: usize| {
        let len = bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (from + len, text[from..from + len].parse::<usize>().ok())
    };
    let (mut at, width) = digits(1);
    let mut decimals = None;
    if bytes.get(at) == Some(&b'.') {
        let (end, number) = digits(at + 1);
        decimals = Some(number.unwrap_or(0).min(PLACE_MAX));
        at = end;
    }
    let verb = *bytes
        .get(at)
        .filter(|verb| matches!(verb, b'f' | b'd' | b's' | b'v'))?;
    let width = width.unwrap_or(0).min(PLACE_MAX);
    let place = Place {
        width,
        decimals,
        verb,
    };
    Some((at + 1, Some(place)))
}

impl Place {
    fn write(&self, number: f64) -> String {
        let width = self.width;
        match (self.verb, self.decimals) {
            (b'd', _) => format!("{number:width$.0}"),
            (b'f', decimals) => format!("{number:width$.0$}", decimals.unwrap_or(6)),
            (_, Some(decimals)) => format!("{number:width$.decimals$}"),
            (_, None) => format!("{number:width$}"),
        }
    }
}
