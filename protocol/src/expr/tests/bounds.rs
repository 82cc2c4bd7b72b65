//! What is refused: texts that are no expressions, ask too much, or can not work.

use serde_json::json;

use super::super::*;
use super::{evaluate, gives, refused};

#[test]
fn broken_texts_are_refused_where_they_break() {
    for (text, message) in [
        (
            "",
            "column 1: the end of the expression is not expected here",
        ),
        (
            "1 +",
            "column 4: the end of the expression is not expected here",
        ),
        (
            "(1",
            "column 3: ) is expected, found the end of the expression",
        ),
        ("1 2", "column 3: 2 is not expected here"),
        ("'ä' x", "column 5: x is not expected here"),
        ("with('a", "column 6: the text has no closing quote"),
        ("'a\nb'", "column 1: the text has no closing quote"),
        ("`a", "column 1: the text has no closing quote"),
        (r"'\q'", "column 3: \\q is no escape"),
        (r"'\ud800'", "column 3: the escape names no character"),
        ("1x", "column 2: this is no number, or too large for one"),
        (
            "9223372036854775808",
            "column 20: this is no number, or too large for one",
        ),
        ("1e999", "column 6: this is no number, or too large for one"),
        ("a § b", "column 3: '§' has no meaning in an expression"),
        ("/* a", "column 1: the comment has no end"),
        ("let x = 1; x", "column 1: let is not supported"),
        ("if yes {1} else {2}", "column 1: if is not supported"),
        ("a; b", "column 2: ; is not expected here"),
        ("a not b", "column 7: b is not expected here"),
        ("a = b", "column 3: = is not expected here"),
        (
            "[1, 2",
            "column 6: , is expected, found the end of the expression",
        ),
        (
            "{1.5: 2}",
            "column 2: a key is a name, a text or stands in brackets",
        ),
        ("a.1", "column 2: 0.1 is not expected here"),
        (
            "a. [1]",
            "column 4: a name is expected after the dot, found [",
        ),
        ("x | 1", "column 5: a function is expected after |"),
        (
            "a ? b",
            "column 6: : is expected, found the end of the expression",
        ),
        ("$env.x", "column 1: $env is not supported"),
    ] {
        refused(text, message);
    }
}

#[test]
fn hostile_texts_are_refused() {
    let long = format!("'{}'", "a".repeat(EXPRESSION_BYTES_MAX));
    refused(
        &long,
        "column 1: the expression has 16386 bytes, at most 16384 are allowed",
    );
    let wide = "1,".repeat(TOKENS_MAX);
    refused(
        &format!("[{wide}]"),
        "column 1: the expression has 8195 words and signs, at most 4096 are allowed",
    );
    for open in [
        "(", "[", "!", "-", "{a:", "not ", "a ? ", "1 ** ", "any(a, ", "x[",
    ] {
        let text = open.repeat(2_000.min(EXPRESSION_BYTES_MAX / open.len() / 2));
        assert!(Expression::parse(&text).is_err(), "{open}");
    }
    let deep = format!("n{}", ".x".repeat(1_500));
    refused(
        &deep,
        "column 1: the expression is more than 128 operations deep",
    );
    let sum = format!("n{}", "+n".repeat(1_500));
    refused(
        &sum,
        "column 1: the expression is more than 128 operations deep",
    );
    let regexes = vec!["host matches 'a'"; REGEXES_MAX + 1].join(" or ");
    let error = Expression::parse(&regexes).unwrap_err();
    assert_eq!(&*error.message, "more than 16 regexes in one expression");
    refused(
        "host matches '((a{200}){200}){200}'",
        "column 6: \"((a{200}){200}){200}\" is no regex, or too large a one",
    );
}

#[test]
fn what_is_as_deep_as_may_be_runs() {
    gives(&format!("n{}", "+n".repeat(DEPTH_MAX - 1)), json!(3 * 128));
    gives(&format!("n{}", "+n".repeat(DEPTH_MAX - 2)), json!(3 * 127));
    let brackets = NESTING_MAX - 1;
    let nested = format!("{}true{}", "(".repeat(brackets), ")".repeat(brackets));
    gives(&nested, json!(true));
    gives(&format!("{}yes", "!".repeat(NESTING_MAX - 1)), json!(false));
    let closures = format!("{}yes{}", "any([1], {".repeat(31), "})".repeat(31));
    gives(&closures, json!(true));
}

#[test]
fn a_long_choice_is_no_deep_one() {
    let text = vec!["n == 4"; 1_000].join(" or ");
    gives(&text, json!(false));
}

#[test]
fn work_is_bounded() {
    for text in [
        "len(1..1000000) > 1",
        "any(1..2000, {any(1..2000, {# == -1})})",
        "1..9223372036854775807 == []",
        "count(1..1000, {len(map(1..1000, 'aaaaaaaaaaaaaaaaaaaaa')) == 0}) == 0",
        "all(1..1000, {host matches string(#) + '.*' or yes})",
    ] {
        let error = evaluate(text).expect_err(text);
        assert_eq!(error, EvalError::TooMuchWork, "{text}");
    }
    gives("len(1..50000)", json!(50_000));
}

#[test]
fn what_can_not_work_is_refused_before_it_runs() {
    let functions = [Function {
        name: "with",
        parameters: &[Kind::Text],
        gives: Kind::Bool,
    }];
    for (text, message) in [
        (
            "'apache'",
            "column 1: the expression gives string, not bool",
        ),
        ("1 + 1", "column 1: the expression gives int, not bool"),
        ("yes or 'apache'", "column 5: or does not work on string"),
        ("with(1)", "column 1: with does not work on int"),
        ("with()", "column 1: with takes 1 arguments, found 0"),
        ("not 'a'", "column 1: not does not work on string"),
        (
            "1 + 'a' == 2",
            "column 3: + does not work on int and string",
        ),
        (
            "with('a') > 1",
            "column 11: > does not work on bool and int",
        ),
        ("1 == 'a'", "column 3: == does not work on int and string"),
        (
            "'a' in 'abc'",
            "column 5: in does not work on string and string",
        ),
        ("any(1, true)", "column 1: any does not work on int"),
        ("any(list, 1)", "column 1: any does not work on int"),
        ("1 matches 'a'", "column 3: matches does not work on int"),
        (
            "len(host) contains 'a'",
            "column 11: contains does not work on int and string",
        ),
        ("(1 ? yes : no)", "column 4: ? does not work on int"),
        ("1.5 % 2 == 1", "column 5: % does not work on float and int"),
    ] {
        let error = Expression::parse(text)
            .unwrap()
            .check(&functions)
            .expect_err(text);
        assert_eq!(error.to_string(), message, "{text}");
    }
    for text in [
        "yes",
        "with('a')",
        "n > 1",
        "missing == 'a'",
        "yes ? no : host",
        "other(1) and with(host)",
        "1 == 1.0",
        "nil == 'a'",
        "any(list, # > 1)",
        "missing ?? true",
        "os?.x",
        "yes ?: no",
        "count(list, # > 1) in 1..3",
        "'a' + host == 'b'",
        "map(list, #)[0] == 1",
    ] {
        assert_eq!(
            Expression::parse(text).unwrap().check(&functions),
            Ok(()),
            "{text}"
        );
    }
}
