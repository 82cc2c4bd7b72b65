//! `muster replicate` between two streams, and an asynchronous request whose replies end in one.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::Act;
use crate::lab::{Process, Stream};

pub(crate) const ALL: &[(&str, Act)] = &[(
    "a_replicator_copies_what_has_changed",
    copies_what_has_changed,
)];

fn replicator(folder: &Path, from: &Stream, to: &Stream) -> Result<Process, Failed> {
    let text = format!(
        "name: site1\nstate_store: state\nstreams:\n- stream: FLEET\n  source_url: nats://{}\n  target_url: nats://{}\n\
         \x20 target_stream: CENTRAL\n  target_subject_remove: in\n  target_subject_prefix: site1\n\
         \x20 inspect_field: sender\n  inspect_duration: 1h\n  advisory:\n    subject: site1.advisory.%s\n    reliable: true\n",
        from.address(),
        to.address()
    );
    fs::write(folder.join("sr.yaml"), text)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["replicate", "--config", "sr.yaml", "--loglevel", "warn"]);
    command.current_dir(folder);
    Ok(Process::start(&mut command, &["Replicator is ready"])?.0)
}

/// Looks until the target has so many messages and subjects, and not one more.
fn wait_for_state(to: &Stream, wanted: [u64; 2]) {
    let by = Instant::now() + Duration::from_secs(60);
    loop {
        let info = to.client().request("$JS.API.STREAM.INFO.CENTRAL", "");
        let state = ["messages", "num_subjects"].map(|key| info["state"][key].as_u64());
        if state == wanted.map(Some) {
            return;
        }
        assert!(state[0] <= Some(wanted[0]), "{wanted:?}: {info}");
        assert!(Instant::now() < by, "{wanted:?}: {info}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn publish(stream: &Stream, senders: std::ops::Range<u32>) {
    let mut client = stream.client();
    for number in senders {
        let text = format!(r#"{{"sender":"n{number}","data":"x"}}"#);
        client.publish(&format!("in.n{number}"), text.as_bytes());
    }
    client.flush();
}

/// Looks until the consumer of the replicator has nothing left to do.
fn wait_until_done(from: &Stream) {
    let by = Instant::now() + Duration::from_secs(60);
    loop {
        let info = from
            .client()
            .request("$JS.API.CONSUMER.INFO.FLEET.SR_FLEET", "");
        if info["num_pending"] == 0 && info["num_ack_pending"] == 0 {
            return;
        }
        assert!(Instant::now() < by, "{info}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn copies_what_has_changed() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    let from = Stream::start(&here)?;
    let mut to = Stream::start(&there)?;
    publish(&from, 0..300);
    publish(&from, 0..300);
    let mut process = replicator(folder.path(), &from, &to)?;
    wait_until_done(&from);
    // 300 senders once each, and an advisory for each that is new.
    wait_for_state(&to, [600, 301]);
    // Neither end of the replicator nor of the target loses or doubles any.
    publish(&from, 300..350);
    process.kill();
    to.kill();
    publish(&from, 350..400);
    process = replicator(folder.path(), &from, &to)?;
    to.up()?;
    wait_until_done(&from);
    wait_for_state(&to, [800, 401]);
    process.kill();
    Ok(())
}
