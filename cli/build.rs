//! Notes for `muster buildinfo` what only the build knows: compiler, target, commit and date.
//!
//! A debug build does not name its commit: it would have to be built again after each one, or say an old one.
//! The date is `SOURCE_DATE_EPOCH`, as packagers set it, or else the commit's, so that two builds of one commit are the same.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rerun-if-changed=build.rs");
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let (mut sha, mut date) = (None, None);
    if is_release {
        if let Some(folder) = said("git", &["rev-parse", "--git-dir"]) {
            println!("cargo::rerun-if-changed={folder}/logs/HEAD");
        }
        sha = said("git", &["rev-parse", "--short", "HEAD"]);
        date = said("git", &["log", "-1", "--format=%ct"]);
    }
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().or(date);
    let date = epoch.and_then(|epoch| {
        said(
            "date",
            &["-u", "-d", &format!("@{epoch}"), "+%Y-%m-%d %H:%M:%S +0000"],
        )
    });
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let compiler = said(&compiler, &["--version"]);
    let target = std::env::var("TARGET").ok();
    for (name, value) in [
        ("MUSTER_GIT_SHA", sha),
        ("MUSTER_BUILD_DATE", date),
        ("MUSTER_RUSTC", compiler),
        ("MUSTER_TARGET", target),
    ] {
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        println!("cargo::rustc-env={name}={value}");
    }
}

/// What a program says, where it can be run and ends well.
fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
