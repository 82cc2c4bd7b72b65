//! The rules against a twin that knows nothing but single messages.

use super::*;
use proptest::prelude::*;

fn subject(tokens: &[&str]) -> Vec<u8> {
    tokens.join(".").into_bytes()
}

/// Every message of up to three tokens; `z` is named by no pattern and stands for all others.
fn messages() -> Vec<Vec<u8>> {
    let alphabet = ["a", "b", "z"];
    let mut all = Vec::new();
    for one in alphabet {
        all.push(subject(&[one]));
        for two in alphabet {
            all.push(subject(&[one, two]));
            all.extend(alphabet.map(|three| subject(&[one, two, three])));
        }
    }
    all
}

fn pattern() -> impl Strategy<Value = String> {
    let token = || prop::sample::select(vec!["a", "b", "*"]);
    prop_oneof![
        prop::collection::vec(token(), 1..=2).prop_map(|tokens| tokens.join(".")),
        token().prop_map(|token| format!("{token}.>")),
        Just(">".to_owned()),
    ]
}

fn queue() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![None, None, Some("q"), Some("r"), Some("*")])
}

fn entry() -> impl Strategy<Value = String> {
    (pattern(), queue()).prop_map(|(subject, queue)| match queue {
        Some(queue) => format!("{subject} {queue}"),
        None => subject,
    })
}

fn lists<T: Strategy<Value = String>>(
    of: fn() -> T,
) -> impl Strategy<Value = (Option<Vec<String>>, Vec<String>)> {
    (
        prop::option::of(prop::collection::vec(of(), 0..4)),
        prop::collection::vec(of(), 0..4),
    )
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

/// An entry as its two words.
fn words(entry: &str) -> (&str, Option<&str>) {
    match entry.split_once(' ') {
        Some((subject, queue)) => (subject, Some(queue)),
        None => (entry, None),
    }
}

/// Whether all messages of a pattern are messages of another, found by looking at each.
fn includes(outer: &str, inner: &str, all: &[Vec<u8>]) -> bool {
    let mut inner = all
        .iter()
        .filter(|message| matches(inner.as_bytes(), message));
    inner.all(|message| matches(outer.as_bytes(), message))
}

fn is_group(want: &str, queue: Option<&str>) -> bool {
    queue.is_some_and(|queue| want == "*" || want == queue)
}

/// Whether the allow list lets the subscription in, as nats-server says it.
fn naive_allowed(allow: &[String], pattern: &str, queue: Option<&str>, all: &[Vec<u8>]) -> bool {
    let hits: Vec<Option<&str>> = allow
        .iter()
        .map(|entry| words(entry))
        .filter(|(outer, _)| includes(outer, pattern, all))
        .map(|(_, queue)| queue)
        .collect();
    let groups: Vec<&str> = hits.iter().flatten().copied().collect();
    match queue {
        Some(_) if !groups.is_empty() => groups.iter().any(|want| is_group(want, queue)),
        _ => hits.contains(&None),
    }
}

fn naive_denied(deny: &[String], queue: Option<&str>, hit: impl Fn(&str) -> bool) -> bool {
    deny.iter()
        .map(|entry| words(entry))
        .any(|(subject, want)| hit(subject) && want.is_none_or(|want| is_group(want, queue)))
}

proptest! {
    #[test]
    fn publishing_is_judged_as_by_the_twin((allow, deny) in lists(pattern)) {
        let rules = PublishRules::new(allow.as_deref().map(texts).as_deref(), &texts(&deny));
        for message in messages() {
            let hit = |list: &[String]| list.iter().any(|text| matches(text.as_bytes(), &message));
            let wanted = allow.as_deref().is_none_or(hit) && !hit(&deny);
            prop_assert_eq!(rules.allows(&message), wanted);
        }
    }

    #[test]
    fn subscriptions_are_judged_as_by_the_twin(
        (allow, deny) in lists(entry),
        wish in pattern(),
        queue in prop::sample::select(vec![None, Some("q"), Some("s")]),
    ) {
        let all = messages();
        let rules = SubscribeRules::new(allow.as_deref().map(texts).as_deref(), &texts(&deny));
        let name = queue.map(str::as_bytes);
        let verdict = rules.verdict(wish.as_bytes(), name);
        let refused = naive_denied(&deny, queue, |outer| includes(outer, &wish, &all))
            || allow.is_some_and(|allow| !naive_allowed(&allow, &wish, queue, &all));
        prop_assert_eq!(verdict == Verdict::Denied, refused);
        // What is delivered is what was asked for without what is denied, message by message.
        for message in all.iter().filter(|message| matches(wish.as_bytes(), message)) {
            let denied = naive_denied(&deny, queue, |outer| matches(outer.as_bytes(), message));
            prop_assert_eq!(rules.denies_delivery(message, name), denied);
            prop_assert!(!denied || verdict != Verdict::Allowed, "it would come through");
        }
    }
}

#[test]
fn the_lists_of_a_node_say_what_they_should() {
    let node = SubscribeRules::new(
        Some(&[
            "mcollective.broadcast.agent.>",
            "mcollective.node.n1.example.net",
        ]),
        &[],
    );
    let table: [(&str, Verdict); 7] = [
        ("mcollective.broadcast.agent.rpcutil", Verdict::Allowed),
        ("mcollective.broadcast.agent.*", Verdict::Allowed),
        ("mcollective.node.n1.example.net", Verdict::Allowed),
        ("mcollective.node.n2.example.net", Verdict::Denied),
        ("mcollective.node.>", Verdict::Denied),
        ("mcollective.broadcast.>", Verdict::Denied),
        (">", Verdict::Denied),
    ];
    for (subject, verdict) in table {
        assert_eq!(node.verdict(subject.as_bytes(), None), verdict, "{subject}");
    }
}

#[test]
fn a_wildcard_does_not_cover_what_goes_deeper() {
    let rules = SubscribeRules::new(Some(&["a.*"]), &[]);
    assert_eq!(rules.verdict(b"a.>", None), Verdict::Denied);
    assert_eq!(rules.verdict(b"a.*", None), Verdict::Allowed);
}

#[test]
fn no_right_at_all_is_none() {
    let nothing = Permissions::nothing();
    assert!(!nothing.publish().allows(b"a"));
    assert_eq!(nothing.subscribe().verdict(b"a", None), Verdict::Denied);
}
