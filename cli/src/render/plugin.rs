//! `plugin doc`: an agent's description for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use muster_protocol::ddl::{Action, Aggregate, Ddl, Display, Input, InputType, Output};
use serde_json::Value;

use super::text::{one_line, printable};

/// The whole description; of an agent reduced to one action, that action's.
pub(crate) fn agent(ddl: &Ddl) -> String {
    let metadata = &ddl.metadata;
    let mut out = format!(
        "{} Agent version {}\n\n{}\n\nPlugin Metadata:\n\n",
        one_line(&metadata.name),
        one_line(&metadata.version),
        printable(&metadata.description)
    );
    let mut rows = vec![
        ("Author", metadata.author.clone()),
        ("URL", metadata.url.clone()),
        ("License", metadata.license.clone()),
        ("Timeout", metadata.timeout.to_string()),
    ];
    if !metadata.provider.is_empty() {
        rows.push(("Provider", metadata.provider.clone()));
    }
    if metadata.service {
        rows.push(("Service", "true".to_owned()));
    }
    for (label, value) in rows {
        let _ = writeln!(out, "{label:>10}: {}", one_line(&value));
    }
    let names: Vec<_> = ddl
        .actions
        .iter()
        .map(|action| one_line(&action.name))
        .collect();
    let _ = writeln!(out, "\nAvailable Actions: {}\n\nActions:", names.join(", "));
    for action in &ddl.actions {
        action_text(&mut out, action);
    }
    out
}

/// The description as it would stand in a file.
pub(crate) fn json(ddl: &Ddl) -> String {
    pretty(ddl)
}

/// The known agents.
pub(crate) fn list(agents: &BTreeMap<String, String>) -> String {
    let mut out = "Known Plugins:\n\nAgents:\n\n".to_owned();
    for (name, description) in agents {
        let _ = writeln!(out, "{:>20}: {}", one_line(name), one_line(description));
    }
    out
}

/// The known agents for machines: descriptions by name, under the kind of plugin.
pub(crate) fn list_json(agents: &BTreeMap<String, String>) -> String {
    pretty(&BTreeMap::from([("agent", agents)]))
}

fn pretty(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).expect("keys are texts") + "\n"
}

fn action_text(out: &mut String, action: &Action) {
    let _ = writeln!(out, "\n  {} Action:\n", one_line(&action.name));
    for line in printable(&action.description).lines() {
        let _ = writeln!(out, "    {line}");
    }
    let shown = match action.display {
        Display::Ok => "good replies",
        Display::Failed => "failed replies",
        Display::Always => "all replies",
    };
    let _ = writeln!(out, "\n    Displays: {shown}");
    if !action.input.is_empty() {
        out.push_str("\n    Inputs:\n");
    }
    for (name, input) in &action.input {
        item(out, name, &input.description, &input_rows(input));
    }
    if !action.output.is_empty() {
        out.push_str("\n    Outputs:\n");
    }
    for (name, output) in &action.output {
        item(out, name, &output.description, &output_rows(output));
    }
    if !action.aggregate.is_empty() {
        out.push_str("\n    Summaries:\n\n");
    }
    for aggregate in &action.aggregate {
        let _ = writeln!(out, "      {}", aggregate_text(aggregate, action));
    }
}

fn item(out: &mut String, name: &str, description: &str, rows: &[(&str, String)]) {
    let _ = writeln!(out, "\n      {}:\n", one_line(name));
    for line in printable(description).lines() {
        let _ = writeln!(out, "        {line}");
    }
    out.push('\n');
    for (label, value) in rows {
        let _ = writeln!(out, "        ║ {label:>11}: {}", one_line(value));
    }
    out.push_str("        ╙─\n");
}

fn input_rows(input: &Input) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("Prompt", input.prompt.clone()),
        ("Type", input.kind.name().to_owned()),
        ("Optional", input.optional.to_string()),
    ];
    if input.kind == InputType::List {
        rows.push(("Values", input.list.join(", ")));
    }
    if let Some(validation) = &input.validation {
        rows.push(("Validation", validation.to_string()));
    }
    if let Some(length) = input.maxlength.filter(|length| *length > 0) {
        rows.push(("Max Length", format!("{length} bytes")));
    }
    rows.extend(default_row(input.default.as_ref()));
    rows
}

fn output_rows(output: &Output) -> Vec<(&'static str, String)> {
    let kind = if output.kind.is_empty() {
        "any".to_owned()
    } else {
        output.kind.clone()
    };
    let mut rows = vec![("Display As", output.display_as.clone()), ("Type", kind)];
    rows.extend(default_row(output.default.as_ref()));
    rows
}

fn default_row(value: Option<&Value>) -> Option<(&'static str, String)> {
    match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(("Default", text.clone())),
        Some(other) => Some(("Default", other.to_string())),
    }
}

fn aggregate_text(aggregate: &Aggregate, action: &Action) -> String {
    let output = aggregate.output().unwrap_or("nothing");
    let label = action.display_as(output);
    let text = format!("{} of {output} ({label})", aggregate.function);
    one_line(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of thing a description can say.
    const PARROT: &str = r#"{
        "metadata": {"name":"parrot","description":"Echo","author":"A. Person <a@example.net>","license":"Apache-2.0",
            "version":"1.0.0","url":"https://example.net","timeout":5,"provider":"external","service":true},
        "actions": [{"action":"echo","description":"Says it again","display":"ok",
            "input":{
                "message":{"prompt":"Message","description":"What to say\nand how","type":"string","default":"hello",
                    "optional":false,"validation":"shellsafe","maxlength":120},
                "voice":{"prompt":"Voice","description":"Whose","type":"list","list":["high","low"],"optional":true}},
            "output":{"message":{"description":"What was said\u001b[2J","display_as":"Message","type":"string","default":"nothing"},
                "raw":{"description":"As it came"}},
            "aggregate":[{"function":"summary","args":["message"]},{"function":"average","args":[]}]}]}"#;

    #[test]
    fn a_whole_agent() {
        insta::assert_snapshot!(agent(&Ddl::parse(PARROT.as_bytes()).unwrap()));
    }

    #[test]
    fn json_is_a_description_again() {
        let ddl = Ddl::parse(PARROT.as_bytes()).unwrap();
        assert_eq!(Ddl::parse(json(&ddl).as_bytes()).unwrap(), ddl);
    }

    #[test]
    fn lists() {
        let agents = BTreeMap::from([
            ("parrot".to_owned(), "Echo".to_owned()),
            ("rpcutil".to_owned(), "Facts\nand more".to_owned()),
        ]);
        insta::assert_snapshot!(list(&agents));
        insta::assert_snapshot!("list_for_machines", list_json(&agents));
    }
}
