//! Compound filters.

use serde_json::json;

use super::super::*;
use super::{FACTS, check, matches};

/// Whether the node of [`matches`] is meant by compound entries that hold these expressions.
fn compound(expressions: &[&str]) -> bool {
    let mut filter = Filter::default();
    for expression in expressions {
        filter.add_compound(expression);
    }
    assert!(CompiledFilter::new(&filter).has_compound());
    matches(&filter)
}

#[test]
fn compound_filters_see_all_of_a_node() {
    for expression in [
        "with('country=de') or with('role::none')",
        "with('/^ROLE/') and with('base') and with('rpcutil') and with('/^disc/')",
        "not with('nothing') and !with('country=/x/')",
        "fact('os.release') > 11 and fact('os.family') == 'Debian'",
        "fact('nothing') == nil",
        "fact('if.#(name==\"eth0\").ip') startsWith '10.'",
        "'base' in classes and 'rpcutil' in agents",
        "facts.os.family matches '^Deb' and facts.list[1] == 2",
        "include(fact('list'), 2) and include(classes, 'base')",
        "semver('1.2.3', '>= 1.0, < 2')",
        "unknown ?? true",
    ] {
        assert!(compound(&[expression]), "{expression}");
        assert_eq!(check_compound(expression), Ok(()), "{expression}");
    }
}

#[test]
fn compound_filters_that_fail_match_nobody() {
    for expression in [
        "false",
        "nil",
        "unknown",
        "fact('nothing') > 1 or with('base')",
        "semver('new', '> 1') or with('base')",
        "choria().uptime > 1 or with('base')",
        "with('base') and",
        "with(1)",
        "'base'",
        "true or 1 + 'a' == 2",
        "facts.os.family",
    ] {
        assert!(!compound(&[expression]), "{expression}");
    }
    let broken = check_compound("with('base') and").unwrap_err();
    assert_eq!(
        broken.to_string(),
        "column 17: the end of the expression is not expected here"
    );
}

#[test]
fn compound_entries_are_counted_for_and_against() {
    assert!(compound(&["true", "true"]));
    assert!(!compound(&["true", "false"]));
    assert!(compound(&["true", "false", "true"]));
    assert!(!compound(&["true", "nil"]));
    assert!(!compound(&["true", "true", "1 +"]));
    assert!(!compound(&["true", "true", "fact('nothing') > 1"]));
    assert!(compound(&["true"; COMPOUND_MAX]));
    assert!(!compound(&["true"; COMPOUND_MAX + 1]));
    check(&json!({"compound": [[{"expr": "true", "other": 1}]]}), true);
    for entry in [
        json!([]),
        json!([{}]),
        json!([{"expr": 1}]),
        json!([{"expr": "true"}, {"expr": "true"}]),
        json!({"expr": "true"}),
        json!("true"),
        json!(null),
    ] {
        check(&json!({"compound": [[{"expr": "true"}], entry]}), false);
    }
    check(
        &json!({"compound": [[{"expr": "true"}]], "identity": ["other"]}),
        false,
    );
}

/// Counts how often it is asked.
#[derive(Debug, Default)]
struct Counting(std::cell::Cell<u32>);

impl DataPlugins for Counting {
    fn query(&self, plugin: &str, query: Option<&str>) -> Option<Value> {
        self.0.set(self.0.get() + 1);
        match (plugin, query) {
            ("choria", None) => Some(json!({"uptime": 7})),
            ("config_item", Some(key)) => Some(json!({"present": key == "ttl", "value": key})),
            ("broken", _) => Some(json!({})),
            _ => None,
        }
    }
}

#[test]
fn data_plugins_are_asked_once() {
    let facts = FactsView::parse(FACTS).unwrap();
    let none: [&str; 0] = [];
    for (expression, expected, asked) in [
        ("choria().uptime > 5 and choria().uptime < 8", true, 1),
        (
            "config_item('ttl').present and not config_item('x').present",
            true,
            2,
        ),
        ("broken().x == nil", true, 1),
        ("other().x == nil", false, 1),
        ("config_item(1).present", false, 0),
        ("false and choria().uptime > 5", false, 0),
        ("any(1..100, choria().uptime == #)", true, 1),
    ] {
        let data = Counting::default();
        let mut filter = Filter::default();
        filter.add_compound(expression);
        let node = NodeView {
            identity: "n",
            agents: &none,
            classes: &none,
            facts: &facts,
            data: &data,
        };
        assert_eq!(filter.matches(&node), expected, "{expression}");
        assert_eq!(data.0.get(), asked, "{expression}");
    }
}
