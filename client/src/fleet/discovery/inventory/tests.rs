use std::time::Duration;

use super::*;

const FLEET: &str = r#"
$schema: https://choria.io/schemas/choria/discovery/v1/inventory_file.json
groups:
  - name: malta
    filter:
      facts: [country=mt]
  - name: two
    filter: {classes: [two], identities: [/^n/]}
  - name: broken
    filter: {facts: [country]}
  - name: small
    filter: {compound: 'with("two") and not (fact("country") == "de")'}
  - name: plugin
    filter: {compound: 'choria().uptime > 1'}
  - name: half
    filter: {compound: 'with('}
  - name: all
nodes:
  - name: n1.example.net
    collectives: [mcollective, mt]
    facts: {country: mt, os: {name: debian}}
    classes: [one, two]
    agents: [rpcutil]
  - name: n2.example.net
    collectives: [mcollective]
    facts: {country: de}
    classes: [two]
    agents: [rpcutil, other]
  - name: m3.example.net
    collectives: [mt]
    facts: {country: mt}
    classes: []
    agents: [rpcutil]
"#;

fn filter(act: impl FnOnce(&mut Filter)) -> Filter {
    let mut filter = Filter::default();
    act(&mut filter);
    filter
}

fn select(filter: &Filter, agent: Option<&str>, collective: &str) -> Result<String, String> {
    let fleet = Inventory::parse(FLEET, true, true, "fleet.yaml").unwrap();
    let query = Query {
        filter,
        agent,
        collective,
        federations: &[],
        timeout: Duration::ZERO,
    };
    let names = fleet.select(&query).map_err(|error| error.to_string())?;
    let short = |name: &String| name.trim_end_matches(".example.net").to_owned();
    Ok(names.iter().map(short).collect::<Vec<_>>().join(" "))
}

#[test]
fn filters_are_applied_as_the_nodes_would() {
    let named = |names: &[&str]| {
        filter(|filter| filter.identity = names.iter().map(|n| (*n).to_owned()).collect())
    };
    let fact = filter(|f| f.fact.push(parse_fact_filter("os.name=Debian").unwrap()));
    for (filter, agent, collective, expected) in [
        (filter(|_| ()), None, "mcollective", "n1 n2"),
        (filter(|_| ()), None, "mt", "n1 m3"),
        (filter(|_| ()), None, "elsewhere", ""),
        (filter(|_| ()), Some("other"), "mcollective", "n2"),
        (filter(|_| ()), Some("absent"), "mcollective", ""),
        (fact, Some("rpcutil"), "mcollective", "n1"),
        (filter(|f| f.class.push("two".to_owned())), None, "mt", "n1"),
        (named(&["/^n/"]), None, "mt", "n1"),
        (named(&["group:malta"]), None, "mcollective", "n1 m3"),
        (
            named(&["group:two", "group:malta"]),
            None,
            "x",
            "n1 n2 n1 m3",
        ),
        (named(&["group:small"]), None, "x", "n1"),
        // A file knows no data plugins.
        (named(&["group:plugin"]), None, "x", ""),
        (named(&["group:all"]), Some("rpcutil"), "x", "n1 n2 m3"),
    ] {
        let found = select(&filter, agent, collective);
        assert_eq!(found.as_deref(), Ok(expected), "{filter:?}");
    }
}

#[test]
fn groups_stand_alone_and_must_be_there() {
    let group = |name: &str, act: fn(&mut Filter)| {
        let filter = filter(|filter| {
            filter.identity.push(format!("group:{name}"));
            act(filter);
        });
        select(&filter, None, "mcollective").unwrap_err()
    };
    assert_eq!(
        group("nowhere", |_| ()),
        "fleet.yaml has no group \"nowhere\""
    );
    let broken = group("broken", |_| ());
    assert!(
        broken.starts_with("fleet.yaml, group \"broken\": fact filter \"country\""),
        "{broken}"
    );
    let half = group("half", |_| ());
    assert!(half.starts_with("fleet.yaml, group \"half\": "), "{half}");
    for act in [
        (|filter| filter.class.push("one".to_owned())) as fn(&mut Filter),
        |filter| filter.identity.push("n1".to_owned()),
    ] {
        let error = group("malta", act);
        assert_eq!(
            error,
            "discovery method inventory: groups cannot be combined with other filters"
        );
    }
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_refused_unless_told_otherwise() {
    let parse = |text: &str, validate| {
        let parsed = Inventory::parse(text, true, validate, "f");
        parsed.map(|_| ()).map_err(|error| error.to_string())
    };
    let node = "facts: {}, classes: [], agents: [], collectives: []";
    let head = format!("$schema: {SCHEMA}\n");
    let whole = format!("{head}nodes: [{{name: n1, {node}}}]");
    assert_eq!(parse(&whole, true), Ok(()));
    for (text, expected) in [
        (
            format!("{whole}\ngroup: []"),
            "f: file has a key \"group\", which means nothing",
        ),
        (
            format!("{head}nodes: [{{name: n1}}]"),
            "f: node \"n1\" has no collectives",
        ),
        (
            whole.replace("facts: {}", "facts: 7"),
            "f: node \"n1\" has facts 7, which is no object",
        ),
        (head, "f: has no list of nodes"),
    ] {
        assert_eq!(parse(&text, true), Err(expected.to_owned()), "{text}");
        assert_eq!(parse(&text, false), Ok(()), "{text}");
    }
    for (text, expected) in [
        (
            "nodes: []".to_owned(),
            format!("f: schema is \"\", not {SCHEMA}"),
        ),
        (
            whole.replace("n1", "n*"),
            "f names \"n*\", which is no node".to_owned(),
        ),
    ] {
        assert_eq!(parse(&text, false), Err(expected), "{text}");
    }
}
