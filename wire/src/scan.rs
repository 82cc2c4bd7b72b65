//! What the parsers share: operation names, control lines, arguments, payload frames.
//!
//! Everything here is stateless and looks only forward from the buffer's start, so each answer for
//! a prefix holds for any longer input: an error stays the same error, and "incomplete" turns into
//! nothing but what the whole input would have given.

use memchr::memchr;

use crate::error::{ArgumentError, ParseError};
use crate::limits::IGNORED_MAX;

/// Whether a blank must stand between an operation's name and its argument.
#[derive(Clone, Copy)]
pub(crate) enum Blank {
    Required,
    Optional,
}

/// What a CR among the arguments does, other than the one before the LF.
#[derive(Clone, Copy)]
pub(crate) enum StrayCr {
    Refused,
    Separates,
}

/// A complete control line.
pub(crate) struct Line<'a> {
    /// From the first byte that is not a blank, without the line end.
    pub(crate) argument: &'a [u8],
    /// Where the next line, or the payload, begins in the buffer.
    pub(crate) end: usize,
}

/// The bytes behind a control line that announced them.
pub(crate) enum Frame<'a> {
    /// All there; `len` counts from the buffer's start and includes the CR LF.
    Whole { payload: &'a [u8], len: usize },
    /// The buffer must have this length first.
    Need(usize),
}

/// True if `buf` begins with `name` in any case, false if it ends inside it.
pub(crate) fn has_name(buf: &[u8], name: &[u8]) -> Result<bool, ParseError> {
    let seen = buf.len().min(name.len());
    if buf[..seen].eq_ignore_ascii_case(&name[..seen]) {
        Ok(seen == name.len())
    } else {
        Err(ParseError::UnknownOperation)
    }
}

/// The control line of an operation whose name, already checked, is `name_len` bytes long.
///
/// Only argument bytes count against `max`. They are also counted while the LF is missing, so that
/// a line without an end is not kept for ever.
pub(crate) fn control_line(
    buf: &[u8],
    name_len: usize,
    blank: Blank,
    max: usize,
) -> Result<Option<Line<'_>>, ParseError> {
    let Some(rest) = buf.get(name_len..) else {
        return Ok(None);
    };
    match (blank, rest.first()) {
        (_, None) => return Ok(None),
        (Blank::Required, Some(b)) if !is_blank(*b) => return Err(ParseError::UnknownOperation),
        (Blank::Required | Blank::Optional, Some(_)) => {}
    }
    let blanks = rest.iter().take_while(|b| is_blank(**b)).count();
    if blanks > IGNORED_MAX {
        return Err(ParseError::ControlLineTooLong);
    }
    let rest = &rest[blanks..];
    let (argument, line) = match memchr(b'\n', rest) {
        Some(lf) => (without_cr(&rest[..lf]), Some(name_len + blanks + lf + 1)),
        None => (without_cr(rest), None),
    };
    if argument.len() > max {
        return Err(ParseError::ControlLineTooLong);
    }
    Ok(line.map(|end| Line { argument, end }))
}

/// Where the line ends of an operation that takes no argument and ignores what stands there.
pub(crate) fn ignored_line(buf: &[u8], name_len: usize) -> Result<Option<usize>, ParseError> {
    let Some(rest) = buf.get(name_len..) else {
        return Ok(None);
    };
    let lf = memchr(b'\n', rest);
    if lf.unwrap_or(rest.len()) > IGNORED_MAX {
        return Err(ParseError::ControlLineTooLong);
    }
    Ok(lf.map(|at| name_len + at + 1))
}

/// Splits at runs of blanks into at most `N` arguments; returns how many there were.
#[inline]
pub(crate) fn split<const N: usize>(
    line: &[u8],
    cr: StrayCr,
) -> Result<([&[u8]; N], usize), ArgumentError> {
    let mut arguments: [&[u8]; N] = [&[]; N];
    let mut count = 0;
    let mut start = None;
    for (at, &b) in line.iter().enumerate() {
        // Subjects seldom hold bytes this low, so one comparison decides for nearly every byte.
        if b > b' ' || !matches!(b, b' ' | b'\t' | b'\r') {
            start.get_or_insert(at);
            continue;
        }
        if b == b'\r' && matches!(cr, StrayCr::Refused) {
            return Err(ArgumentError::StrayCarriageReturn);
        }
        if let Some(from) = start.take() {
            *arguments.get_mut(count).ok_or(ArgumentError::Count)? = &line[from..at];
            count += 1;
        }
    }
    if let Some(from) = start {
        *arguments.get_mut(count).ok_or(ArgumentError::Count)? = &line[from..];
        count += 1;
    }
    Ok((arguments, count))
}

/// The first field of what is left of a line, and what stands behind it; `None` if only blanks are left.
pub(crate) fn field(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = rest.iter().position(|b| !is_blank(*b))?;
    let rest = &rest[start..];
    let end = rest.iter().position(|b| is_blank(*b));
    Some(rest.split_at(end.unwrap_or(rest.len())))
}

/// What stands before the last field of what is left of a line, and that field.
pub(crate) fn last_field(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.iter().rposition(|b| !is_blank(*b))? + 1;
    let rest = &rest[..end];
    let start = rest.iter().rposition(|b| is_blank(*b));
    Some(rest.split_at(start.map_or(0, |blank| blank + 1)))
}

/// Without blanks at both ends. Unlike `trim_ascii` it leaves a form feed, which may belong to a name.
pub(crate) fn trimmed(mut rest: &[u8]) -> &[u8] {
    while let [first, behind @ ..] = rest
        && is_blank(*first)
    {
        rest = behind;
    }
    while let [before @ .., last] = rest
        && is_blank(*last)
    {
        rest = before;
    }
    rest
}

/// One to nine ASCII digits.
pub(crate) fn size(digits: &[u8]) -> Result<usize, ArgumentError> {
    if digits.is_empty() || digits.len() > 9 {
        return Err(ArgumentError::Size);
    }
    let mut value = 0;
    for &b in digits {
        if !b.is_ascii_digit() {
            return Err(ArgumentError::Size);
        }
        value = value * 10 + usize::from(b - b'0');
    }
    Ok(value)
}

/// A decimal number of 64 bits, digits only.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, &b| {
        if !b.is_ascii_digit() {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(b - b'0'))
    })
}

/// The `size` bytes from `start` and the CR LF behind them.
///
/// A wrong byte in place of the CR is told at once, even while the LF is missing.
pub(crate) fn frame(buf: &[u8], start: usize, size: usize) -> Result<Frame<'_>, ParseError> {
    // At most nine digits of size, so the sums stay far below the range of usize.
    let end = start + size;
    match (buf.get(end), buf.get(end + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(Frame::Whole {
            payload: &buf[start..end],
            len: end + 2,
        }),
        (None, _) | (Some(b'\r'), None) => Ok(Frame::Need(end + 2)),
        (Some(_), _) => Err(ParseError::BadTerminator),
    }
}

/// The text of an `-ERR`: without blanks around it and without one pair of single quotes.
pub(crate) fn unquoted(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    text.strip_prefix(b"'")
        .and_then(|rest| rest.strip_suffix(b"'"))
        .unwrap_or(text)
}

fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
