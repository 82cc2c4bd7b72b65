//! The agents under `examples/agents` are loaded by a node and called; those whose language a host lacks are listed as
//! ignored.

#![expect(clippy::unwrap_used, reason = "a test program")]

mod lab;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};
use muster_protocol::rpc::StatusCode;
use serde_json::json;

use lab::Lab;

/// Name, the language it needs, and what it does.
type Example = (&'static str, &'static str, fn(&mut Lab));

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials: [Example; 4] = [
        ("shell::usage", "sh", shell_usage),
        ("shell::refusals", "sh", shell_refusals),
        ("python::echo", "python3", python_echo),
        ("python::facts", "python3", python_facts),
    ];
    let trials = trials.map(|(name, language, act)| {
        let run = move || -> Result<(), Failed> {
            act(&mut lab());
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!is_there(language))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn is_there(language: &str) -> bool {
    let mut command = Command::new(language);
    command.args(["-c", ""]).stdin(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agents")
}

fn lab() -> Lab {
    let mut lab = Lab::with(|options| {
        options.library_dirs = vec![examples()];
        // Where a host keeps its languages.
        options.environment = vec![("PATH".into(), std::env::var_os("PATH").unwrap())];
    });
    std::fs::create_dir_all(lab.path("etc/plugin.d")).unwrap();
    let loaded = lab.rescan();
    assert!(loaded.iter().any(|name| name == "disk"), "{loaded:?}");
    lab
}

fn shell_usage(lab: &mut Lab) {
    for data in ["{}", r#"{"path":"/"}"#] {
        let (status, message, data) = lab.ask("disk", "usage", data);
        assert_eq!((status, &*message), (StatusCode::Ok, "OK"));
        assert_eq!(data["path"], "/");
        assert!(data["size"].as_u64() >= data["free"].as_u64());
        assert!(data["percent"].as_u64().unwrap() <= 100);
    }
}

fn shell_refusals(lab: &mut Lab) {
    let (status, message, _) = lab.ask("disk", "usage", r#"{"path":"/nonexistent/x"}"#);
    assert_eq!(
        (status, &*message),
        (StatusCode::Aborted, "there is no such path")
    );
    let (status, message, _) = lab.ask("disk", "usage", r#"{"path":"/\";id"}"#);
    assert_eq!(status, StatusCode::Aborted);
    assert!(
        message.starts_with("Validation failed: input path is "),
        "{message}"
    );
}

fn python_echo(lab: &mut Lab) {
    let (status, message, data) = lab.ask("parrot", "echo", r#"{"message":"grüezi","times":2}"#);
    assert_eq!((status, &*message), (StatusCode::Ok, "OK"));
    assert_eq!(
        data,
        json!({"message": "grüezi grüezi", "volume": "normal"})
    );
    // Settings of its own.
    std::fs::write(lab.path("etc/plugin.d/parrot"), "volume = loud\n").unwrap();
    let (_, _, data) = lab.ask("parrot", "echo", r#"{"message":"hi"}"#);
    assert_eq!(data, json!({"message": "hi", "volume": "loud"}));
    let (status, message, _) = lab.ask("parrot", "echo", "{}");
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(message, "Validation failed: input message is required");
}

fn python_facts(lab: &mut Lab) {
    let (status, _, data) = lab.ask("parrot", "fact", r#"{"name":"country"}"#);
    assert_eq!((status, data), (StatusCode::Ok, json!({"value": "c1"})));
    let (status, message, data) = lab.ask("parrot", "fact", r#"{"name":"weather"}"#);
    assert_eq!(
        (status, &*message),
        (StatusCode::Aborted, "this node has no fact weather")
    );
    assert_eq!(data, json!({"value": ""}));
}
