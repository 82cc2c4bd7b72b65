//! Subjects: tokens, wildcards, matching.
//!
//! A subject is a sequence of tokens with dots between them.
//! `*` stands for exactly one token, `>` for one or more and only at the end, and either counts
//! only where it is the whole token: `foo.*bar` and `foo>bar` are plain text.
//! Case counts; bytes above 0x7f and control bytes are ordinary.
//!
//! | who | subject | in the dialect |
//! |---|---|---|
//! | SUB | empty token, or tokens after `>` | `-ERR 'Invalid Subject'`, no subscription |
//! | PUB | a token `*` or `>` | accepted; matches only a wildcard at that place |
//! | PUB | empty token | accepted, matches nothing |
//! | PUB, pedantic | either of the two | `-ERR 'Invalid Publish Subject'`, then as above |
//!
//! Nothing here looks for blanks or line ends, because a parsed subject can't hold any; for
//! subjects from elsewhere there is [`is_argument`].

/// The tokens, in order; an empty subject has one empty token.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|b| *b == b'.')
}

/// No empty token and no wildcard token: what a pedantic connection may publish to.
pub fn is_valid_publish(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !token.is_empty() && !is_wildcard(token))
}

/// No empty token, and `>` at most as the last one.
pub fn is_valid_subscription(subject: &[u8]) -> bool {
    let mut open = true;
    tokens(subject).all(|token| {
        let valid = open && !token.is_empty();
        open = token != b">";
        valid
    })
}

/// Whether a whole token is `*` or `>`.
pub fn has_wildcard(subject: &[u8]) -> bool {
    tokens(subject).any(is_wildcard)
}

/// No wildcard: as a subscription it matches only itself.
pub fn is_literal(subject: &[u8]) -> bool {
    !has_wildcard(subject)
}

/// Whether a message published to `subject` reaches a subscription to `filter`.
///
/// Wildcards in `subject` are plain tokens. Nothing matches where either has an empty token, or
/// where `filter` goes on behind `>`.
pub fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut filter = tokens(filter);
    let mut subject = tokens(subject);
    loop {
        match (filter.next(), subject.next()) {
            (None, None) => return true,
            (Some(b">"), Some(token)) => {
                return !token.is_empty()
                    && filter.next().is_none()
                    && subject.all(|token| !token.is_empty());
            }
            (Some(want), Some(token)) => {
                // A subject's `>` equals no filter token but `>`, which was taken above.
                if token.is_empty() || (want != b"*" && want != token) {
                    return false;
                }
            }
            (None, Some(_)) | (Some(_), None) => return false,
        }
    }
}

/// Whether `bytes` can be one argument of a control line: not empty, no blank, no line end.
pub fn is_argument(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && !bytes
            .iter()
            .any(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

fn is_wildcard(token: &[u8]) -> bool {
    matches!(token, b"*" | b">")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity() {
        // subject, valid to publish to, valid to subscribe to, has a wildcard
        let table: &[(&str, bool, bool, bool)] = &[
            ("foo", true, true, false),
            ("foo.bar", true, true, false),
            ("foo.*", false, true, true),
            ("foo.>", false, true, true),
            (">", false, true, true),
            ("*", false, true, true),
            ("foo.*.>", false, true, true),
            ("foo.*bar", true, true, false),
            ("foo>bar", true, true, false),
            ("*x", true, true, false),
            (">>", true, true, false),
            ("**.x", true, true, false),
            ("", false, false, false),
            (".", false, false, false),
            (".foo", false, false, false),
            ("foo.", false, false, false),
            ("foo..bar", false, false, false),
            ("foo.>.bar", false, false, true),
            ("foo.>.", false, false, true),
            (">.>", false, false, true),
            ("\u{e9}.\u{1}", true, true, false),
        ];
        for &(subject, publish, subscription, wildcard) in table {
            let bytes = subject.as_bytes();
            assert_eq!(is_valid_publish(bytes), publish, "publish {subject:?}");
            assert_eq!(
                is_valid_subscription(bytes),
                subscription,
                "subscribe {subject:?}"
            );
            assert_eq!(has_wildcard(bytes), wildcard, "wildcard {subject:?}");
            assert_eq!(is_literal(bytes), !wildcard, "literal {subject:?}");
        }
    }

    #[test]
    fn matching() {
        let table: &[(&str, &str, bool)] = &[
            ("foo", "foo", true),
            ("foo", "Foo", false),
            ("foo", "foo.bar", false),
            ("foo.bar", "foo", false),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo", false),
            ("foo.*", "foo.bar.baz", false),
            ("*.bar", "foo.bar", true),
            ("*", "foo.bar", false),
            ("foo.>", "foo", false),
            ("foo.>", "foo.bar", true),
            ("foo.>", "foo.bar.baz", true),
            (">", "foo", true),
            ("*.>", "foo", false),
            ("*.>", "foo.bar.baz", true),
            ("foo.*bar", "foo.xbar", false),
            ("foo.*bar", "foo.*bar", true),
            // A publisher's wildcard is a token like any other.
            ("foo.bar", "foo.*", false),
            ("foo.*", "foo.*", true),
            ("foo.*", "foo.>", true),
            ("foo.>", "foo.>", true),
            ("foo.bar", "foo.>", false),
            // Empty tokens match nothing, not even a wildcard.
            ("foo.*", "foo.", false),
            ("foo.>", "foo.", false),
            ("foo.>", "foo.bar..baz", false),
            (">", "", false),
            ("*", "", false),
            ("", "", false),
            ("foo..bar", "foo..bar", false),
            // Not a valid filter.
            ("foo.>.bar", "foo.x.bar", false),
            ("foo.>.bar", "foo.>.bar", false),
        ];
        for &(filter, subject, expected) in table {
            let found = matches(filter.as_bytes(), subject.as_bytes());
            assert_eq!(found, expected, "{filter:?} {subject:?}");
        }
    }

    #[test]
    fn arguments() {
        for good in ["a", "a.b", "*", "\u{1}"] {
            assert!(is_argument(good.as_bytes()), "{good:?}");
        }
        for bad in ["", " ", "a b", "a\t", "a\r", "\na"] {
            assert!(!is_argument(bad.as_bytes()), "{bad:?}");
        }
    }
}
