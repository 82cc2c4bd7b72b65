use proptest::prelude::*;

use super::*;

fn skim(text: &[u8]) -> Result<(), JsonError> {
    let mut reader = Reader::new(text)?;
    reader.value()?;
    reader.end()
}

#[track_caller]
fn refused(text: &[u8], problem: JsonProblem, offset: usize) {
    assert_eq!(
        skim(text),
        Err(JsonError { offset, problem }),
        "{}",
        text.escape_ascii()
    );
}

#[test]
fn documents_are_skimmed() {
    for text in [
        "{}",
        "[]",
        " [ ] ",
        "0",
        "-0",
        "-1.5e+10",
        "1E2",
        "true",
        "false",
        "null",
        "\"\"",
        r#"{"a":[1,{"b":"\u00e9\n"}],"c":{}}"#,
        "[[],[[]],{}]",
        "\"tab\\t and \u{7f}\u{80}\"",
    ] {
        assert_eq!(skim(text.as_bytes()), Ok(()), "{text}");
    }
}

#[test]
fn other_texts_are_refused_where_they_go_wrong() {
    refused(b"", JsonProblem::Truncated, 0);
    refused(b"{", JsonProblem::Truncated, 1);
    refused(b"[1", JsonProblem::Truncated, 2);
    refused(b"\"abc", JsonProblem::Truncated, 4);
    refused(b"\"\\", JsonProblem::Truncated, 1);
    refused(b"\"\\u12", JsonProblem::Truncated, 1);
    refused(b"{}x", JsonProblem::TrailingBytes, 2);
    refused(b"[1,]", JsonProblem::Unexpected(b']'), 3);
    refused(b"[,1]", JsonProblem::Unexpected(b','), 1);
    refused(b"[1 2]", JsonProblem::Unexpected(b'2'), 3);
    refused(b"{\"a\":1,}", JsonProblem::Unexpected(b'}'), 7);
    refused(b"{\"a\" 1}", JsonProblem::Unexpected(b'1'), 5);
    refused(b"{a:1}", JsonProblem::Unexpected(b'a'), 1);
    refused(b"[}", JsonProblem::Unexpected(b'}'), 1);
    refused(b"01", JsonProblem::TrailingBytes, 1);
    refused(b"1.", JsonProblem::Truncated, 2);
    refused(b"-", JsonProblem::Truncated, 1);
    refused(b"+1", JsonProblem::Unexpected(b'+'), 0);
    refused(b"tru", JsonProblem::Truncated, 3);
    refused(b"nul1", JsonProblem::Unexpected(b'1'), 3);
    refused(b"\"\\x\"", JsonProblem::BadEscape, 1);
    refused(b"\"\\u12g4\"", JsonProblem::BadEscape, 1);
    refused(b"\"a\nb\"", JsonProblem::ControlCharacter(b'\n'), 2);
    refused(b"\"\xff\"", JsonProblem::NotUtf8, 1);
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert_eq!(skim(&nested(DEPTH_MAX)), Ok(()));
    refused(&nested(DEPTH_MAX + 1), JsonProblem::TooDeep, DEPTH_MAX + 1);
}

fn unescaped(text: &str) -> String {
    let mut reader = Reader::from_text(text);
    let raw = reader.string().unwrap();
    let mut buffer = b"old".to_vec();
    assert_eq!(raw.to_cow(), raw.unescape_in(&mut buffer));
    raw.to_cow().into_owned()
}

#[test]
fn escapes_are_undone() {
    assert_eq!(
        unescaped(r#""a\"\\\/\b\f\n\r\tz""#),
        "a\"\\/\u{8}\u{c}\n\r\tz"
    );
    assert_eq!(unescaped(r#""\u0041\u00e9\u20AC""#), "Aé€");
    assert_eq!(unescaped(r#""\ud83d\ude00""#), "😀");
}

#[test]
fn surrogates_without_a_partner_become_the_replacement_character() {
    for text in [r#""\ud83d""#, r#""\ude00""#] {
        assert_eq!(unescaped(text), "\u{fffd}", "{text}");
    }
    assert_eq!(unescaped(r#""\ud83dx""#), "\u{fffd}x");
    assert_eq!(unescaped(r#""\ud83d\u0041""#), "\u{fffd}A");
    assert_eq!(unescaped(r#""\ud83d\n""#), "\u{fffd}\n");
    assert_eq!(unescaped(r#""\ud83d\ud83d\ude00""#), "\u{fffd}😀");
    assert_eq!(unescaped(r#""\ude00\ud83d""#), "\u{fffd}\u{fffd}");
}

#[test]
fn integers_are_whole_and_bounded() {
    let integer = |text| Reader::from_text(text).integer();
    assert_eq!(integer("-12"), Ok(Some(-12)));
    assert_eq!(integer("9223372036854775807"), Ok(Some(i64::MAX)));
    assert_eq!(integer("1.0"), Ok(None));
    assert_eq!(integer("1e3"), Ok(None));
    let error = integer("9223372036854775808").unwrap_err();
    assert_eq!(
        error.to_string(),
        "number does not fit in 64 bits at offset 0"
    );
}

proptest! {
    #[test]
    fn strings_round_trip_and_agree_with_serde(text in ".*") {
        let mut out = Vec::new();
        write_string(&mut out, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text.clone());
        prop_assert_eq!(unescaped(std::str::from_utf8(&out).unwrap()), text.clone());
        let theirs = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(unescaped(&theirs), text);
    }

    /// Whatever the reader accepts, `serde_json` accepts, save for lone surrogates and floats beyond range; and the
    /// other way round.
    #[test]
    fn the_reader_agrees_with_serde(text in r#"[\[\]{}:,"\\u0-9a-f.eE+ \-]{0,12}|(\[|\]|\{|\}|"a"|:|,|1|null| ){0,12}"#) {
        let ours = skim(text.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        if !text.contains("\\u") {
            prop_assert_eq!(ours, theirs, "{}", text);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = skim(&bytes);
    }

    /// The word-at-a-time scan finds the same byte as looking at each.
    #[test]
    fn strings_end_where_they_should(prefix in "[a-zé]{0,20}", suffix in "[a-z\"]{0,20}") {
        let text = format!("\"{prefix}\"{suffix}");
        let mut reader = Reader::from_text(&text);
        prop_assert_eq!(reader.string().unwrap().to_cow(), prefix);
    }
}
