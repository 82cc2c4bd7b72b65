use serde_json::json;

use super::*;

#[test]
fn builtin_ddls_read_and_hold_together() {
    let rpcutil = Ddl::builtin("rpcutil").unwrap();
    assert_eq!(rpcutil.actions.len(), 9);
    for action in &rpcutil.actions {
        assert_eq!(action.display, Display::Always, "{}", action.name);
        for aggregate in &action.aggregate {
            assert_eq!(aggregate.function, "summary");
            let output = aggregate.output().unwrap();
            assert!(
                action.output.contains_key(output),
                "{}: {output}",
                action.name
            );
        }
    }
    assert_eq!(Ddl::builtin("discovery").unwrap().actions, []);
    assert!(Ddl::builtin("x").is_none());
    let util = Ddl::builtin("choria_util").unwrap();
    let info = util.action("info").unwrap();
    assert_eq!((info.output.len(), info.aggregate.len()), (16, 8));
    assert_eq!(util.action("machine_transition").unwrap().input.len(), 5);
    let provision = Ddl::builtin("choria_provision").unwrap();
    assert_eq!(provision.actions.len(), 8);
    for action in &provision.actions {
        let token = &action.input["token"];
        assert_eq!(token.maxlength, Some(128), "{}", action.name);
        assert_eq!(token.optional, action.name == "configure");
    }
    let action = rpcutil.action("daemon_stats").unwrap();
    assert_eq!(action.display_as("validated"), "Security Validated");
    assert_eq!(action.display_as("other"), "other");
}

#[test]
fn metadata_serialises_in_the_recorded_order() {
    let mut metadata = Ddl::builtin("discovery").unwrap().metadata.clone();
    metadata.provider.clear();
    let text = serde_json::to_string(&metadata).unwrap();
    let places: Vec<_> = [
        "license",
        "author",
        "timeout",
        "name",
        "version",
        "url",
        "description",
    ]
    .iter()
    .map(|key| text.find(&format!("\"{key}\":")).unwrap())
    .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(!text.contains("provider"));
}

fn every_type() -> Action {
    serde_json::from_value(json!({
        "action": "all",
        "input": {
            "s": {"type": "string", "validation": "^[a-z]+$", "maxlength": 5},
            "safe": {"type": "string", "optional": true, "validation": "shellsafe", "maxlength": 0},
            "ip": {"type": "string", "optional": true, "validation": "ipaddress"},
            "odd": {"type": "string", "optional": true, "validation": "puppet_name"},
            "i": {"type": "integer", "optional": true},
            "f": {"type": "float", "optional": true},
            "n": {"type": "number", "optional": true, "default": 7},
            "b": {"type": "boolean", "optional": true},
            "l": {"type": "list", "optional": true, "list": ["x", "y"]},
            "h": {"type": "Hash", "optional": true},
            "a": {"type": "array", "optional": true, "default": null}
        },
        "output": null,
        "aggregate": [{"function": "summary", "args": ["s", {"format": "%s on %d"}]}]
    }))
    .unwrap()
}

#[track_caller]
fn accepted(words: &[&str], expected: &Value) {
    let inputs = every_type().parse_inputs(words).unwrap();
    assert_eq!(&Value::Object(inputs), expected, "{words:?}");
}

#[track_caller]
fn refused(words: &[&str], expected: &[&str]) {
    let errors = every_type().parse_inputs(words).unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts, expected, "{words:?}");
}

#[test]
fn words_become_values_by_type() {
    accepted(&["s=ab"], &json!({"s": "ab", "n": 7}));
    accepted(
        &[
            "S=ab",
            "i=-3",
            "f=1.5",
            "n=2",
            "b=T",
            "l=y",
            "h={\"k\":[1]}",
            "a=[1,\"x\"]",
        ],
        &json!({"s":"ab","i":-3,"f":1.5,"n":2,"b":true,"l":"y","h":{"k":[1]},"a":[1,"x"]}),
    );
    accepted(
        &[
            "s=ab",
            "n=0.25",
            "b=0",
            "safe=a=b & c",
            "ip=::1",
            "odd=Anything",
        ],
        &json!({"s":"ab","n":0.25,"b":false,"safe":"a=b & c","ip":"::1","odd":"Anything"}),
    );
}

#[test]
fn every_problem_is_named() {
    refused(&[], &["input s is required"]);
    refused(&["s=abcdef"], &["input s has 6 bytes, more than 5"]);
    refused(
        &["s=A"],
        &["input s is \"A\", which does not satisfy ^[a-z]+$"],
    );
    refused(
        &["s=a", "x=1", "y"],
        &[
            "the action has no input x",
            "\"y\" is not of the form key=value",
        ],
    );
    refused(
        &["s=a", "l=z"],
        &["input l is \"z\", which does not satisfy x, y"],
    );
    refused(
        &["s=a", "ip=1.2.3"],
        &["input ip is \"1.2.3\", which does not satisfy ipaddress"],
    );
    for bad in ["i=1.5", "i=x"] {
        let value = &bad[2..];
        refused(
            &["s=a", bad],
            &[&format!("input i is {value:?}, not a whole number")],
        );
    }
    refused(&["s=a", "f=inf"], &["input f is \"inf\", not a number"]);
    refused(
        &["s=a", "b=yes"],
        &["input b is \"yes\", not true or false"],
    );
    refused(&["s=a", "h=[]"], &["input h is \"[]\", not a json object"]);
    refused(&["s=a", "a={}"], &["input a is \"{}\", not a json array"]);
    for unsafe_text in ["`", "$", ";", "|", "&&", ">", "<"] {
        let word = format!("safe=a{unsafe_text}b");
        assert!(
            every_type().parse_inputs(&["s=a", &word]).is_err(),
            "{word}"
        );
    }
}

#[test]
fn defaults_of_outputs_fill_what_an_agent_left_out() {
    let action: Action = serde_json::from_value(json!({
        "action": "a",
        "output": {"o": {"default": 7}, "p": {"default": null}, "q": {"default": "x"}, "r": {}}
    }))
    .unwrap();
    let mut data = json!({"q": null}).as_object().unwrap().clone();
    action.fill_outputs(&mut data);
    assert_eq!(Value::Object(data), json!({"o": 7, "q": null}));
}

#[test]
fn typed_values_are_checked_too() {
    let action = every_type();
    let check = |value: Value| action.validate(value.as_object().unwrap());
    assert_eq!(check(json!({"s": "a", "process_results": true})), Ok(()));
    assert_eq!(check(json!({"s": "a", "i": 1, "f": 1, "n": 1.5})), Ok(()));
    let errors = check(json!({"s": 1, "i": "1", "zz": 0})).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert_eq!(action.aggregate[0].format(), Some("%s on %d"));
    assert_eq!(action.display, Display::Failed);
}
