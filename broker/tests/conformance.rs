//! Wire scripts against real sockets: what a client sends, and every byte it must get.
//!
//! Each case of `conformance/*.txt` runs against this broker with one shard and with three, against a real nats-server,
//! against three of ours in a cluster and against two of ours with a real one, its connections spread over the members,
//! so that an expectation of ours that nobody else shares cannot stand.
//! The real one is `MUSTER_NATS_SERVER`, or `target/peers/bin/nats-server` (made by `scripts/peers`); without it, its trials are listed as ignored.
//! What the parser does with every split of its input is tested in `wire`.

#![expect(clippy::unwrap_used, reason = "a test program")]

#[path = "conformance/members.rs"]
mod members;
#[path = "conformance/play.rs"]
mod play;
#[path = "conformance/script.rs"]
mod script;
#[path = "conformance/target.rs"]
mod target;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use script::Case;
use target::{Target, nats_server};

const SCRIPTS: &[(&str, &str)] = &[
    ("auth", include_str!("conformance/auth.txt")),
    ("connect", include_str!("conformance/connect.txt")),
    ("delivery", include_str!("conformance/delivery.txt")),
    ("headers", include_str!("conformance/headers.txt")),
    ("keep_alive", include_str!("conformance/keep_alive.txt")),
    ("limits", include_str!("conformance/limits.txt")),
    (
        "no_responders",
        include_str!("conformance/no_responders.txt"),
    ),
    ("operations", include_str!("conformance/operations.txt")),
    ("queues", include_str!("conformance/queues.txt")),
    ("subjects", include_str!("conformance/subjects.txt")),
    ("unsub", include_str!("conformance/unsub.txt")),
    ("verbose", include_str!("conformance/verbose.txt")),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let peer = nats_server();
    let mut trials = Vec::new();
    for (file, text) in SCRIPTS {
        let cases = script::parse(file, text);
        assert!(!cases.is_empty(), "{file}.txt has no case");
        for case in cases {
            let case = Arc::new(case);
            for shards in [1, 3] {
                trials.extend(trial(&case, Target::Muster { shards }, false));
            }
            let target = Target::NatsServer(peer.clone().unwrap_or_default());
            trials.extend(trial(&case, target, peer.is_none()));
            trials.extend(trial(&case, Target::Cluster(None), false));
            let mixed = Target::Cluster(Some(peer.clone().unwrap_or_default()));
            trials.extend(trial(&case, mixed, peer.is_none()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(case: &Arc<Case>, target: Target, absent: bool) -> Option<Trial> {
    if !target.plays(case) {
        return None;
    }
    let case = Arc::clone(case);
    let name = format!("{}::{target}", case.name);
    let run = move || {
        let mut server = target.start(&case.settings)?;
        play::play(&case, &mut server).map_err(Into::into)
    };
    Some(Trial::test(name, run).with_ignored_flag(absent))
}
