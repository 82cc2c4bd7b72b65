//! The configurations that packages bring.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A packaged configuration, and whose it is.
const FILES: [(&str, &str); 4] = [
    ("broker.conf", "broker"),
    ("server.conf", "server"),
    ("client.conf", "client"),
    ("provisioner.conf", "client"),
];

fn packaged(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/etc");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// What `muster tool config` says of a configuration, and whether a daemon could start with it.
fn checked(role: &str, text: &str) -> (bool, String) {
    let home = TempDir::new().unwrap();
    let file = home.path().join("it.conf");
    fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_muster"))
        .args(["tool", "config", "--role", role, "--config"])
        .arg(&file)
        .env("HOME", home.path())
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// A key that stands in the file behind `#`, to be switched on.
fn switched_on(line: &str) -> &str {
    let setting = line.strip_prefix('#').filter(|rest| {
        rest.split_once(" = ")
            .is_some_and(|(key, _)| !key.is_empty() && !key.contains(' '))
    });
    setting.unwrap_or(line)
}

#[test]
fn a_daemon_starts_with_them_as_they_are() {
    for (name, role) in FILES {
        let (is_good, said) = checked(role, &packaged(name));
        assert!(is_good, "{name}: {said}");
    }
}

#[test]
fn every_key_that_can_be_switched_on_is_known() {
    for (name, role) in FILES {
        let text = packaged(name);
        let all: Vec<&str> = text.lines().map(switched_on).collect();
        assert_ne!(all.join("\n"), text.trim_end(), "{name} offers nothing");
        let (_, said) = checked(role, &all.join("\n"));
        assert!(!said.contains("is not known"), "{name}: {said}");
        let (_, said) = checked(role, &format!("{}\nno.such.key = 1\n", all.join("\n")));
        assert!(
            said.contains("is not known"),
            "an unknown key goes unseen: {said}"
        );
    }
}
