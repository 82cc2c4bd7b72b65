//! What a caller gets, whatever the program does.

use std::fs;
use std::time::{Duration, Instant};

use muster_protocol::rpc::StatusCode;
use muster_server::Authorisation;
use serde_json::json;

use crate::lab::{Lab, ddl, install, script};

const TROUBLE: &str = r#"
case $action in
good) reply '{"statuscode":0,"data":{"said":"x"}}' ;;
bare) reply '{}' ;;
own) reply '{"statuscode":5,"statusmsg":"own words"}' ;;
fail) reply '{}'; echo oh no >&2; exit 3 ;;
signal) kill -9 $$ ;;
hang) sleep 1000 & wait ;;
chatty) i=0; while [ $i -lt 500 ]; do echo "line $i"; echo "error $i" >&2; i=$((i+1)); done; reply '{}' ;;
flood) while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done ;;
flood_error) while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx >&2; done ;;
garbage) reply 'OK, done' ;;
array) reply '[1]' ;;
no_object) reply '{"data":"x"}' ;;
empty) ;;
gone) rm "$CHORIA_EXTERNAL_REPLY" ;;
folder) rm "$CHORIA_EXTERNAL_REPLY"; mkdir "$CHORIA_EXTERNAL_REPLY" ;;
pipe) rm "$CHORIA_EXTERNAL_REPLY"; mkfifo "$CHORIA_EXTERNAL_REPLY" ;;
huge) head -c 70000 /dev/zero | tr '\0' ' ' >"$CHORIA_EXTERNAL_REPLY" ;;
litter) mkdir -p "$(dirname "$CHORIA_EXTERNAL_REPLY")/deep/er"; reply '{}' ;;
esac
"#;

const ACTIONS: [&str; 18] = [
    "good",
    "bare",
    "own",
    "fail",
    "signal",
    "hang",
    "chatty",
    "flood",
    "flood_error",
    "garbage",
    "array",
    "no_object",
    "empty",
    "gone",
    "folder",
    "pipe",
    "huge",
    "litter",
];

fn trouble() -> Lab {
    let mut lab = Lab::with(|options| {
        options.reply_bytes_max = 65_536;
        options.log_bytes_max = 65_536;
    });
    lab.add("trouble", &ddl("trouble", &ACTIONS), TROUBLE);
    assert_eq!(lab.rescan(), ["trouble"]);
    lab
}

#[test]
fn replies_reach_the_caller() {
    let mut lab = trouble();
    for (action, status, message, said) in [
        ("good", StatusCode::Ok, "OK", "x"),
        ("bare", StatusCode::Ok, "OK", "nothing"),
        ("own", StatusCode::UnknownError, "own words", "nothing"),
        ("chatty", StatusCode::Ok, "OK", "nothing"),
        ("litter", StatusCode::Ok, "OK", "nothing"),
    ] {
        let answer = lab.ask("trouble", action, "{}");
        assert_eq!(
            answer,
            (status, message.to_owned(), json!({"said": said})),
            "{action}"
        );
    }
}

#[test]
fn every_failure_names_agent_and_action() {
    let mut lab = trouble();
    for (action, why) in [
        ("fail", "trouble failed: exit status 3"),
        ("signal", "trouble failed: signal 9"),
        ("flood", "more than 65536 bytes on its standard output"),
        ("flood_error", "more than 65536 bytes on its standard error"),
        (
            "garbage",
            "the reply is not json: expected value at line 1 column 1",
        ),
        ("array", "the reply is not an object"),
        ("no_object", "data of the reply is not an object"),
        ("empty", "the reply is empty"),
        (
            "gone",
            "files of the call: No such file or directory (os error 2)",
        ),
        ("folder", "files of the call: the reply is not a file"),
        ("pipe", "files of the call: the reply is not a file"),
        ("huge", "the reply has more than 65536 bytes"),
    ] {
        let (status, message, data) = lab.ask("trouble", action, "{}");
        let expected = format!("Could not call external agent trouble#{action}: {why}");
        assert_eq!(
            (status, message, data),
            (StatusCode::Aborted, expected, json!({}))
        );
    }
}

#[test]
fn a_program_that_hangs_holds_up_nobody() {
    let mut lab = trouble();
    let start = Instant::now();
    assert!(lab.begin("trouble", "hang", "{}").is_none());
    // Another call is answered meanwhile, and before.
    assert_eq!(lab.ask("trouble", "good", "{}").0, StatusCode::Ok);
    let (status, message, _) = lab.wait();
    assert_eq!(status, StatusCode::Aborted);
    let expected = "Could not call external agent trouble#hang: no reply within 2.5 seconds";
    assert_eq!(message, expected);
    assert!(start.elapsed() >= Duration::from_millis(2500));
}

#[test]
fn what_the_ddl_or_the_policy_refuses_runs_no_program() {
    let mut lab = Lab::new();
    let ran = lab.path("ran");
    let body = format!("touch '{}'; reply '{{}}'", ran.display());
    lab.add("one", &ddl("one", &["act"]), &body);
    lab.rescan();
    let refused = [
        (
            r#"{"word":"A"}"#,
            r#"Validation failed: input word is "A", which does not satisfy ^[a-z]+$"#,
        ),
        (
            r#"{"word":1}"#,
            r#"Validation failed: input word is "1", not a text"#,
        ),
        (
            r#"{"word":"abcdefghijk","x":1}"#,
            "Validation failed: the action has no input x; input word has 11 bytes, more than 9",
        ),
    ];
    for (data, expected) in refused {
        let (status, message, _) = lab.ask("one", "act", data);
        assert_eq!((status, &*message), (StatusCode::Aborted, expected));
    }
    let (status, message, _) = lab.ask("one", "other", "{}");
    assert_eq!(status, StatusCode::UnknownAction);
    assert_eq!(message, "Unknown action other for agent one");
    lab.base(|options| options.authorise = std::sync::Arc::new(Authorisation::DenyAll));
    lab.rescan();
    let (status, message, _) = lab.ask("one", "act", "{}");
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(
        message,
        "You are not authorized to call this agent or action"
    );
    assert!(!ran.exists());
    lab.base(|options| options.authorise = std::sync::Arc::new(Authorisation::AllowAll));
    lab.rescan();
    assert_eq!(lab.ask("one", "act", r#"{"word":"abc"}"#).0, StatusCode::Ok);
    assert!(ran.exists());
}

#[test]
fn a_program_gets_what_the_contract_says_and_no_more() {
    let mut lab = Lab::new();
    let seen = lab.path("seen");
    let body = format!(
        "exec >'{}'; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= | sort; echo \"$#\"; echo \"$1\"; echo \"$2\"
         echo \"$3\"; pwd; ls -l \"$(dirname \"$1\")\" | sed 1d | cut -c1-10; stat -c %a \"$(dirname \"$1\")\"
         cat \"$CHORIA_EXTERNAL_FACTS\"; echo; cat \"$CHORIA_EXTERNAL_REQUEST\"; reply '{{}}'",
        seen.display()
    );
    lab.add("one", &ddl("one", &["act"]), &body);
    lab.rescan();
    assert_eq!(lab.ask("one", "act", r#"{"word":"abc"}"#).0, StatusCode::Ok);
    let seen = fs::read_to_string(seen).unwrap();
    let lines: Vec<_> = seen.lines().collect();
    let tmp = lab.path("tmp");
    let folder = lines[7].strip_suffix("/request.json").unwrap();
    assert!(folder.starts_with(tmp.to_str().unwrap()), "{folder}");
    let rpc = "io.choria.mcorpc.external.v1.rpc_request";
    let config = lab.path("etc/plugin.d/one").display().to_string();
    let expected = [
        format!("CHORIA_EXTERNAL_CONFIG={config}"),
        format!("CHORIA_EXTERNAL_FACTS={folder}/facts.json"),
        format!("CHORIA_EXTERNAL_PROTOCOL={rpc}"),
        format!("CHORIA_EXTERNAL_REPLY={folder}/reply.json"),
        format!("CHORIA_EXTERNAL_REQUEST={folder}/request.json"),
        "PATH=/usr/local/bin:/usr/bin:/bin".to_owned(),
        "3".to_owned(),
        format!("{folder}/request.json"),
        format!("{folder}/reply.json"),
        rpc.to_owned(),
        tmp.display().to_string(),
        "-rw-------".to_owned(),
        "-rw-------".to_owned(),
        "-rw-------".to_owned(),
        "700".to_owned(),
        r#"{"country":"c1","os":{"family":"Debian","release":12}}"#.to_owned(),
    ];
    assert_eq!(lines[..expected.len()], expected);
    let request: serde_json::Value = serde_json::from_str(lines[expected.len()]).unwrap();
    assert_eq!(request["callerid"], "choria=rip.mcollective");
    assert_eq!(request["data"], json!({"word": "abc"}));
    assert_eq!(request["ttl"], 60);
}

#[test]
fn a_program_taken_away_while_it_runs_still_answers() {
    let mut lab = Lab::new();
    let (started, go) = (lab.path("started"), lab.path("go"));
    let body = format!(
        "touch '{}'; while [ ! -e '{}' ]; do sleep 0.01; done; reply '{{\"data\":{{\"said\":\"late\"}}}}'",
        started.display(),
        go.display()
    );
    lab.add(
        "one",
        &ddl("one", &["act"]).replace("\"timeout\":1", "\"timeout\":60"),
        &body,
    );
    lab.rescan();
    assert!(lab.begin("one", "act", "{}").is_none());
    while !started.exists() {
        std::thread::yield_now();
    }
    fs::remove_file(lab.agent_file("one")).unwrap();
    fs::remove_file(lab.agent_file("one.json")).unwrap();
    assert_eq!(lab.rescan(), [""; 0]);
    fs::write(go, "").unwrap();
    let (status, _, data) = lab.wait();
    assert_eq!((status, data), (StatusCode::Ok, json!({"said": "late"})));
    assert!(lab.node().node.counters().unknown_agent == 0);
}

#[test]
fn a_program_that_is_gone_or_cannot_be_run_is_told() {
    let mut lab = Lab::new();
    lab.add("one", &ddl("one", &["act"]), "reply '{}'");
    lab.rescan();
    fs::remove_file(lab.agent_file("one")).unwrap();
    let (status, message, _) = lab.ask("one", "act", "{}");
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(
        message,
        "Could not call external agent one#act: one was not found"
    );
    install(
        &lab.agent_file("one"),
        &script("").replace("#!/bin/sh", "#!/nonexistent/shell"),
    );
    let (_, message, _) = lab.ask("one", "act", "{}");
    let expected = "Could not call external agent one#act: one does not start: No such file or directory (os error 2)";
    assert_eq!(message, expected);
}

#[test]
fn a_reply_too_large_for_the_broker_is_told() {
    let mut lab = Lab::new();
    let body = r#"{ printf '{"data":{"said":"'; head -c 900000 /dev/zero | tr '\0' x; printf '"}}'; } >"$CHORIA_EXTERNAL_REPLY""#;
    lab.add("one", &ddl("one", &["act"]), body);
    lab.rescan();
    let (status, message, _) = lab.ask("one", "act", "{}");
    assert_eq!(status, StatusCode::Aborted);
    assert!(
        message.starts_with("The reply of one#act cannot be sent: "),
        "{message}"
    );
    assert!(message.contains("1048576"), "{message}");
    let counters = lab.node().node.counters();
    assert_eq!((counters.replies, counters.unsent), (1, 0));
}
