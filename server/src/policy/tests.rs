use super::*;

const FACTS: &str = r#"{"country":"mt","cpus":4}"#;

fn classes() -> Vec<String> {
    vec!["apache".to_owned(), "role::web".to_owned()]
}

fn groups() -> Groups {
    let (groups, warnings) = Groups::parse(
        "# people\nadmins choria=a.mcollective choria=b.mcollective\n\nops.team up=ops\n",
        "groups",
    );
    assert_eq!(warnings, []);
    groups
}

/// Decides for a caller and an action on a node in Malta that is a web server.
fn decide(text: &str, caller: &str, action: &str) -> Decision {
    let (policy, _) = Policy::parse(text, "p.policy");
    policy.decide(
        &CallContext {
            caller,
            agent: "service",
            action,
            facts: FactsView::parse(FACTS).unwrap(),
            classes: &classes(),
        },
        &groups(),
    )
}

#[track_caller]
fn allows(text: &str, caller: &str, action: &str) {
    assert_eq!(
        decide(text, caller, action),
        Decision::Allow,
        "{text:?} {caller} {action}"
    );
}

#[track_caller]
fn denies(text: &str, caller: &str, action: &str) {
    let decision = decide(text, caller, action);
    assert!(
        matches!(decision, Decision::Deny { .. }),
        "{text:?} {caller} {action}"
    );
}

fn warnings(text: &str) -> Vec<String> {
    let (_, warnings) = Policy::parse(text, "p.policy");
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn the_default_decides_where_no_line_does() {
    allows("policy default allow\n", "up=x", "status");
    denies("policy default deny\n", "up=x", "status");
    denies("", "up=x", "status");
    denies("# nothing\n\n  \n", "up=x", "status");
    // The last one counts, wherever it stands.
    allows(
        "policy default deny\npolicy \t default  allow # really\r\n",
        "up=x",
        "status",
    );
    denies(
        "policy default allow\npolicy default allowed\n",
        "up=x",
        "status",
    );
    denies("policy default\n", "up=x", "status");
    let (policy, _) = Policy::parse("", "p");
    assert_eq!(
        policy.with_default(Effect::Allow).default,
        Some(Effect::Allow)
    );
    let (policy, _) = Policy::parse("policy default deny", "p");
    assert_eq!(
        policy.with_default(Effect::Allow).default,
        Some(Effect::Deny)
    );
}

#[test]
fn callers_are_ids_regexes_and_groups() {
    allows("allow\t*\t*\t*\t*", "up=x", "status");
    allows("allow\t\tup=x\t\t*\t\t\t*\t*\n", "up=x", "status");
    denies("allow\tup=xy up=\t*\t*\t*", "up=x", "status");
    let listed = "allow\tchoria=one /^up=.+/ admins ops.team\t*\t*\t*";
    for caller in [
        "choria=one",
        "up=bob",
        "choria=a.mcollective",
        "choria=b.mcollective",
    ] {
        allows(listed, caller, "status");
    }
    for caller in ["choria=two", "Up=bob", ""] {
        denies(listed, caller, "status");
    }
    allows("allow\t/one/\t*\t*\t*", "choria=one.mcollective", "status");
    // A star among others is a name.
    denies("allow\t* up=y\t*\t*\t*", "up=x", "status");
}

#[test]
fn a_broken_regex_ends_the_callers_but_not_the_groups() {
    let text = "allow\tup=a /( up=b /x\t*\t*\t*";
    allows(text, "up=a", "status");
    denies(text, "up=b", "status");
    allows(
        "allow\t/( admins\t*\t*\t*",
        "choria=a.mcollective",
        "status",
    );
    assert_eq!(
        warnings("\nallow\t/(/\t*\t*\t*\n"),
        ["p.policy:2: caller \"/(/\" is no regex, it and those behind it match nobody"]
    );
}

#[test]
fn actions_are_listed() {
    let text = "allow\t*\tstatus restart\t*\t*";
    allows(text, "up=x", "status");
    allows(text, "up=x", "restart");
    denies(text, "up=x", "stop");
    denies(text, "up=x", "Status");
    denies("allow\t*\t/status/\t*\t*", "up=x", "status");
}

#[test]
fn facts_and_classes_must_all_match() {
    allows("allow\t*\t*\tcountry=mt cpus>=4\t*", "up=x", "status");
    denies("allow\t*\t*\tcountry=mt cpus>=5\t*", "up=x", "status");
    denies("allow\t*\t*\tmissing=1\t*", "up=x", "status");
    allows("allow\t*\t*\t*\tapache /^role::/", "up=x", "status");
    denies("allow\t*\t*\t*\tapache nginx", "up=x", "status");
    allows("allow\t*\t*\tcountry=/M/\tAPACHE", "up=x", "status");
    denies("allow\t*\t*\tcountry=de\tapache", "up=x", "status");
    denies("allow\t*\t*\tcountry=mt\tnginx", "up=x", "status");
}

#[test]
fn the_first_line_that_matches_decides() {
    let text = "policy default allow\ndeny\t/^up=guest/\t*\t*\t*\nallow\t*\tstatus\t*\t*\ndeny\t*\t*\t*\t*\n";
    allows(text, "up=x", "status");
    denies(text, "up=guest1", "status");
    denies(text, "up=x", "stop");
    assert_eq!(
        decide(text, "up=x", "stop"),
        Decision::Deny {
            line: Some(4),
            why: "p.policy:4: the line denies".into()
        }
    );
    assert_eq!(
        decide("policy default deny", "up=x", "stop"),
        Decision::Deny {
            line: None,
            why: "p.policy: no line matches, and the policy's default is to deny".into()
        }
    );
}

#[test]
fn malformed_conditions_deny_the_calls_they_are_about() {
    let rest = "\nallow\t*\t*\t*\t*\n";
    for (line, why) in [
        (
            "allow\tup=x\tstatus\t*",
            "the column of the classes is missing",
        ),
        (
            "allow\tup=x\tstatus\t*\t",
            "the column of the classes is missing",
        ),
        (
            "deny\tup=x\tstatus\tcountry=de",
            "the column of the classes is missing",
        ),
        (
            "allow\tup=x\tstatus\tcountry\t*",
            "fact filter \"country\" has none of <= >= => =< < > != =~ == =",
        ),
        (
            "allow\tup=x\tstatus\tcountry=mt  cpus=4\t*",
            "fact filter \"\" has none of <= >= => =< < > != =~ == =",
        ),
        (
            "allow\tup=x\tstatus\t*\tcountry=mt",
            "\"country=mt\" among the classes is a fact filter",
        ),
    ] {
        let text = format!("{line}{rest}");
        assert_eq!(
            decide(&text, "up=x", "status"),
            Decision::Deny {
                line: Some(1),
                why: format!("p.policy:1: {why}").into()
            },
            "{line:?}"
        );
        // Others are not concerned.
        allows(&text, "up=y", "status");
        allows(&text, "up=x", "stop");
        let expected = format!("p.policy:1: {why}; calls the line matches so far are denied");
        assert_eq!(warnings(&text), [expected], "{line:?}");
    }
    // An operator at an end is a part of the name.
    denies(
        "allow\t*\t*\t*\t=apache\nallow\t*\t*\t*\tapache=",
        "up=x",
        "status",
    );
}

#[test]
fn lines_that_can_not_be_read_are_skipped_with_a_warning() {
    for (line, why) in [
        ("allow * * * *", "no tab follows its effect"),
        (
            "permit\t*\t*\t*\t*",
            "it starts neither with allow nor with deny",
        ),
        (" # indented", "it starts neither with allow nor with deny"),
        (
            "Allow\t*\t*\t*\t*",
            "it starts neither with allow nor with deny",
        ),
        ("deny\t*\t*", "it has fewer than four columns between tabs"),
        (
            "deny\t*\t*\t",
            "it has fewer than four columns between tabs",
        ),
        (
            "deny\t*\t*\ta=1 and b=2\t*",
            "compound statements are not supported",
        ),
        (
            "deny\t*\t*\t*\tone or two",
            "compound statements are not supported",
        ),
        (
            "deny\t*\t*\t!a=1\t*",
            "compound statements are not supported",
        ),
        (
            "deny\t*\t*\tpuppet().enabled(x)=1",
            "compound statements are not supported",
        ),
    ] {
        let text = format!("{line}\nallow\t*\t*\t*\t*\n");
        allows(&text, "up=x", "status");
        assert_eq!(
            warnings(&text),
            [format!("p.policy:1: {why}; the line is skipped")],
            "{line:?}"
        );
    }
    assert_eq!(
        warnings("allow\t*\t*\t*\t*\n# c\n\npolicy default deny\n"),
        [""; 0]
    );
}

#[test]
fn the_last_column_is_the_classes() {
    let text = "allow\t*\t*\t*\tnginx\tapache";
    allows(text, "up=x", "status");
    assert_eq!(
        warnings(text),
        ["p.policy:1: the line has 6 columns, the last one is taken for the classes"]
    );
    // A tab at the end belongs to the class.
    let text = "deny\t*\t*\t*\t*\t\nallow\t*\t*\t*\t*";
    allows(text, "up=x", "status");
    assert_eq!(
        warnings(text),
        ["p.policy:1: a tab ends the line, so its classes match no node"]
    );
}

#[test]
fn a_line_without_end_denies_what_comes_after() {
    let long = "x".repeat(LINE_BYTES_MAX);
    let text =
        format!("policy default allow\nallow\tup=a\t*\t*\t*\n{long}\nallow\tup=b\t*\t*\t*\n");
    allows(&text, "up=a", "status");
    denies(&text, "up=b", "status");
    denies(&text, "up=c", "status");
    assert_eq!(
        warnings(&text),
        [
            "p.policy:3: the line has 65536 bytes, at most 65536 are allowed; \
          every call that is not decided before it is denied"
        ]
    );
}

#[test]
fn groups_are_read_line_by_line() {
    let text = "a up=1 up=2\r\nalone\nbad/name up=3\n# comment up=4\n\na up=5 \nb  up=6\n";
    let (groups, warnings) = Groups::parse(text, "groups");
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "groups:2: the group has no members; it is skipped",
            "groups:3: \"bad/name\" is no name for a group; the line is skipped"
        ]
    );
    assert!(groups.contains("a", "up=5") && !groups.contains("a", "up=1"));
    assert!(groups.contains("b", "up=6") && !groups.contains("b", "b"));
    assert!(!groups.contains("alone", "alone") && !groups.contains("nobody", "up=1"));
}

#[test]
fn shipped_policies_allow_what_only_looks() {
    for (agent, changing) in [
        ("rpcutil", &[][..]),
        ("choria_util", &["machine_transition"]),
    ] {
        let (policy, warnings) = Policy::parse(shipped_policy(agent).unwrap(), agent);
        assert_eq!(warnings, []);
        let ddl = muster_protocol::ddl::Ddl::builtin(agent).unwrap();
        for action in &ddl.actions {
            let call = CallContext {
                caller: "choria=rip.mcollective",
                agent,
                action: &action.name,
                facts: FactsView::parse("{}").unwrap(),
                classes: &[],
            };
            let allowed = policy.decide(&call, &Groups::default()) == Decision::Allow;
            let changes = changing.contains(&&*action.name);
            assert_eq!(allowed, !changes, "{agent} {}", action.name);
        }
    }
    assert_eq!(shipped_policy("package"), None);
}
