//! Versions, lists, and the filters over replies.

use super::super::*;
use crate::rpc::RpcReply;

#[test]
fn versions_satisfy_constraints() {
    let check = |version: &str, constraint: &str| semver(&[version.into(), constraint.into()]);
    for (version, constraint, expected) in [
        ("1.2.3", "= 1.2.3", true),
        ("1.2.3", "1.2.3", true),
        ("1.2.4", "1.2.3", false),
        ("v1.2", "1.2.0", true),
        ("1", "1.0.0", true),
        ("1.2.3+b7", "1.2.3", true),
        ("1.2.3", "< 1.2.4", true),
        ("1.2.3", "> 1.0.0", true),
        ("1.2.3", "< 1.0.0", false),
        ("1.5.0", ">= 1.0, < 2", true),
        ("2.0.0", ">= 1.0, < 2", false),
        ("1.5.0", ">=1.0 <2", true),
        ("1.2.9", "1.2.x", true),
        ("1.3.0", "1.2.x", false),
        ("1.2.9", "1.2", true),
        ("9.9.9", "*", true),
        ("1.9.0", "1.x", true),
        ("1.9.0", "1.*.*", true),
        ("1.2.9", "~1.2", true),
        ("1.3.0", "~1.2.3", false),
        ("1.9.0", "~1", true),
        ("1.2.9", "~> 1.2.3", true),
        ("1.9.0", "^1", true),
        ("2.0.0", "^1.2.3", false),
        ("0.2.9", "^0.2.3", true),
        ("0.3.0", "^0.2.3", false),
        ("0.0.3", "^0.0.3", true),
        ("0.0.4", "^0.0.3", false),
        ("0.0.9", "^0.0", true),
        ("0.1.0", "^0.0", false),
        ("0.9.0", "^0", true),
        ("1.2.3", "!= 1.2.3", false),
        ("1.2.4", "!= 1.2.3", true),
        ("1.2.4", "!= 1.2", false),
        ("1.3.0", "!=1.2", true),
        ("11.1.0", "> 11", false),
        ("12.0.0", "> 11", true),
        ("11.1.1", "> 11.1", false),
        ("11.2.0", ">11.1", true),
        ("11.9.0", "<= 11", true),
        ("12.0.0", "<= 11", false),
        ("1.2.9", "<= 1.2", true),
        ("1.3.0", "=< 1.2", false),
        ("1.3.0", "1.2 - 1.4.5", true),
        ("1.4.6", "1.2 - 1.4.5", false),
        ("1.4.9", "1.2 - 1.4", true),
        ("3.0.0", "< 1 || >= 2", true),
        ("1.5.0", "< 1 || >= 2", false),
        ("1.2.3-beta", "> 1.0.0", false),
        ("1.2.3-beta.2", "> 1.2.3-beta.1", true),
        ("1.2.3", ">= 1.2.3-0", true),
        ("1.3.0-rc1", ">= 1.2.0-0, < 2", true),
        ("0.0.0", "^*", true),
        ("1.0.0", "^*", false),
        ("0.1.0", "> *", true),
        ("0.0.5", "~0.0.0", true),
        ("4.0.0", "~0.0.0", true),
        ("4.0.0", "~0.0", false),
    ] {
        assert_eq!(
            check(version, constraint),
            Ok(Value::Bool(expected)),
            "{version} {constraint}"
        );
    }
    for (version, constraint) in [
        ("1.2.3", ""),
        ("1.2.3", "new"),
        ("1.2.3", "> "),
        ("1.2.3", "1.2.3.4"),
        ("1.2.3", "1.2;1.3"),
        ("1.2.3", "1.2.3,"),
        ("1.2.3", "== 1"),
        ("", "> 1"),
        ("x", "> 1"),
        ("1.x", "> 1"),
        ("1.2.3.4", "> 1"),
        ("1.2-", "> 1"),
        ("1.2-a..b", "> 1"),
        ("99999999999999999999", "> 1"),
        ("-1", "> 1"),
    ] {
        assert!(
            check(version, constraint).is_err(),
            "{version} {constraint}"
        );
    }
}

#[test]
fn lists_include_items_of_the_same_kind() {
    let list = fact_value(r#"{"l":[1,2,"a",null]}"#, "l");
    let holds = |item: Value| include(&[list.clone(), item]);
    assert_eq!(holds(Value::Int(1)), Ok(true.into()));
    assert_eq!(holds(Value::Float(2.0)), Ok(true.into()));
    assert_eq!(holds("a".into()), Ok(true.into()));
    assert_eq!(holds("1".into()), Ok(false.into()));
    assert_eq!(holds(Value::Nil), Ok(true.into()));
    assert_eq!(include(&[Value::Nil, 1.into()]), Ok(false.into()));
    assert!(include(&["a".into(), "a".into()]).is_err());
    assert!(include(&[]).is_err());
}

#[test]
fn replies_are_filtered() {
    let body =
        br#"{"statuscode":1,"statusmsg":"no luck","data":{"version":"1.2.3","list":[1,2],"n":5}}"#;
    let reply = RpcReply::parse(body).unwrap();
    for (text, expected) in [
        ("aborted()", true),
        ("ok()", false),
        ("unknown_action() or missing_data()", false),
        ("invalid_data() or unknown_error()", false),
        ("not ok() and code == 1", true),
        ("msg contains 'luck'", true),
        ("data('n') > 4 && data('n') < 6", true),
        ("include(data('list'), 2)", true),
        ("semver(data('version'), '>= 1.2, < 2')", true),
        ("sender() matches '^node1'", true),
        ("time() >= 1700000000", true),
        ("data('x') == nil", true),
    ] {
        let filter = ReplyFilter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            filter.matches(&reply, "node1.example.net", 1_700_000_000),
            Ok(expected),
            "{text}"
        );
    }
    let error = |text: &str| {
        ReplyFilter::parse(text)
            .unwrap()
            .matches(&reply, "n", 0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error("data('n')"),
        "reply filter: the expression gives float, not bool"
    );
    assert_eq!(
        error("data('x') > 1"),
        "reply filter: > does not work on nil and int"
    );
    assert_eq!(
        error("semver(msg, '> 1')"),
        "reply filter: \"no luck\" is no version"
    );
    let refused = |text: &str| ReplyFilter::parse(text).unwrap_err().to_string();
    assert_eq!(
        refused("msg + 'x' and"),
        "column 14: the end of the expression is not expected here"
    );
    assert_eq!(
        refused("code == 1 and succeeded()"),
        "column 15: there is no function succeeded"
    );
    assert_eq!(refused("ok(1)"), "column 1: ok takes 0 arguments, found 1");
    assert_eq!(
        refused("1 + 1"),
        "column 1: the expression gives int, not bool"
    );
}
