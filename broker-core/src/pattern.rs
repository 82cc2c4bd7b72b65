//! Relations between subjects with wildcards: which covers which, which overlap, and where.
//!
//! A pattern is a subject as one subscribes to it: `*` stands for one token, `>` at the end for one or more.
//! One that is no valid subscription (an empty token, something behind `>`) matches no message,
//! so it covers nothing but such others, overlaps nothing, and has nothing in common with anything.

use muster_wire::subject::{is_valid_subscription, tokens};

/// Whether every message that `inner` matches is matched by `outer`.
#[must_use]
pub fn covers(outer: &[u8], inner: &[u8]) -> bool {
    if !is_valid_subscription(outer) || !is_valid_subscription(inner) {
        return false;
    }
    let (mut outer, mut inner) = (tokens(outer), tokens(inner));
    loop {
        match (outer.next(), inner.next()) {
            (None, None) => return true,
            (Some(b">"), Some(_)) => return true,
            // What may be any number of tokens is covered by the same alone.
            (Some(_), Some(b">")) => return false,
            (Some(b"*"), Some(_)) => {}
            (Some(want), Some(token)) if want == token => {}
            _ => return false,
        }
    }
}

/// Whether some message is matched by both.
#[must_use]
pub fn overlaps(a: &[u8], b: &[u8]) -> bool {
    if !is_valid_subscription(a) || !is_valid_subscription(b) {
        return false;
    }
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(b"*"), Some(_)) | (Some(_), Some(b"*")) => {}
            (Some(one), Some(other)) if one == other => {}
            _ => return false,
        }
    }
}

/// The pattern of exactly the messages that both match, if there are any.
#[must_use]
pub fn intersection(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    if !overlaps(a, b) {
        return None;
    }
    let mut common: Vec<&[u8]> = Vec::new();
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (Some(b">"), Some(token)) => {
                common.push(token);
                common.extend(b);
                break;
            }
            (Some(token), Some(b">")) => {
                common.push(token);
                common.extend(a);
                break;
            }
            (Some(b"*"), Some(token)) | (Some(token), Some(_)) => common.push(token),
            // They overlap, so they end together.
            (None, _) | (_, None) => break,
        }
    }
    Some(common.join(&b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_wire::subject::matches;
    use proptest::prelude::*;

    /// Every subject of up to four tokens; no pattern below names `z`, so it stands for all other tokens.
    fn subjects() -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut last = vec![Vec::new()];
        for _ in 0..4 {
            last = last
                .iter()
                .flat_map(|before: &Vec<u8>| {
                    [&b"a"[..], b"b", b"z"].map(|token| {
                        let mut subject = before.clone();
                        if !subject.is_empty() {
                            subject.push(b'.');
                        }
                        subject.extend_from_slice(token);
                        subject
                    })
                })
                .collect();
            all.extend_from_slice(&last);
        }
        all
    }

    fn pattern() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec!["a", "b", "*"]);
        let end = prop::sample::select(vec!["", ".>"]);
        let long = (prop::collection::vec(token, 1..=3), end)
            .prop_map(|(tokens, end)| format!("{}{end}", tokens.join(".")).into_bytes());
        prop_oneof![9 => long, 1 => Just(b">".to_vec())]
    }

    proptest! {
        #[test]
        fn patterns_relate_as_the_messages_they_match(a in pattern(), b in pattern()) {
            let all = subjects();
            let of = |pattern: &[u8]| -> Vec<bool> {
                all.iter().map(|subject| matches(pattern, subject)).collect()
            };
            let (in_a, in_b) = (of(&a), of(&b));
            let both: Vec<bool> = in_a.iter().zip(&in_b).map(|(a, b)| *a && *b).collect();
            prop_assert_eq!(covers(&a, &b), both == in_b);
            prop_assert_eq!(overlaps(&a, &b), both.contains(&true));
            match intersection(&a, &b) {
                Some(common) => prop_assert_eq!(of(&common), both),
                None => prop_assert!(!both.contains(&true)),
            }
        }
    }

    #[test]
    fn what_is_no_subscription_relates_to_nothing() {
        for bad in ["", ".", "a..b", "a.>.b", ".a"] {
            let bad = bad.as_bytes();
            for other in [&b">"[..], b"a", bad] {
                assert!(!covers(bad, other) && !covers(other, bad));
                assert!(!overlaps(bad, other) && !overlaps(other, bad));
                assert_eq!(intersection(bad, other), None);
            }
        }
    }
}
