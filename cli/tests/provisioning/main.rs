//! Provisioning from end to end, with processes: brokers, nodes without configuration, a provisioner, the helpers of the
//! examples. What is asserted is what an operator sees, and what went over the provisioning network.

#![expect(
    clippy::print_stderr,
    reason = "what is skipped is said on standard error"
)]
#![expect(clippy::unwrap_used, reason = "a test program")]

mod examples;
#[allow(dead_code, reason = "shared with another test program")]
#[path = "../fleet/process.rs"]
mod process;
mod recorder;
mod site;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use site::{Namespaces, Site};

/// The nodes of the first trial.
const NODES: usize = 20;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each has a fleet of its own.
    arguments.test_threads.get_or_insert(2);
    let mut trials = vec![
        Trial::test("twenty_nodes_get_their_place_in_the_fleet", twenty),
        Trial::test("a_provisioner_killed_in_mid_flow_costs_only_time", killed),
        Trial::test("a_wrong_secret_and_a_bad_file_are_told", refusals),
    ];
    trials.extend(examples::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn twenty() -> Result<(), Failed> {
    let site = Site::start()?;
    let namespaces = Namespaces::probe();
    let recorder = site.record()?;
    let provisioner = site.provisioner(&site.good_helper())?;
    let names: Vec<String> = (0..NODES).map(|n| format!("n{n:02}.example.net")).collect();
    let nodes: Result<Vec<_>, Failed> = names
        .iter()
        .map(|name| site.node(name, namespaces))
        .collect();
    let nodes = nodes?;
    site.wait_for_fleet(&names)?;
    drop(provisioner);
    let traffic = recorder.finish()?;
    assert!(
        traffic.contains("BEGIN CERTIFICATE REQUEST"),
        "what is looked for would be seen: requests are"
    );
    for name in &names {
        let key = site.private_key(name)?;
        let line = key.lines().nth(5).ok_or("the key has no lines")?;
        if traffic.contains(line) || traffic.contains("PRIVATE KEY") {
            return Err(format!("the private key of {name} went over the network").into());
        }
    }
    drop(nodes);
    Ok(())
}

fn killed() -> Result<(), Failed> {
    let site = Site::start()?;
    // The first helper never ends, so the first provisioner is in mid-flow when it dies.
    let hanging = site.helper("touch asked; exec sleep 600")?;
    let provisioner = site.provisioner(&hanging)?;
    let name = "n1.example.net".to_owned();
    let node = site.node(&name, Namespaces::probe())?;
    site.wait_for_file("asked")?;
    provisioner.end_with("KILL")?;
    let provisioner = site.provisioner(&site.good_helper())?;
    site.wait_for_fleet(&[name])?;
    let ended = provisioner.end_with("TERM")?;
    assert!(ended.success(), "{ended}");
    drop(node);
    Ok(())
}

fn refusals() -> Result<(), Failed> {
    let site = Site::start()?;
    site.configure("helper: h\nworkers: 0\ntokne: x\n")?;
    let said = site.run_provisioner()?.ended_with(1)?;
    said.says(&[
        "provisioner.yaml:2: workers 0 is not a number from 1 to 4096",
        "provisioner.yaml:3: tokne is not a key of the provisioner",
    ])?;
    let name = "n1.example.net";
    let helper = site.good_helper();
    let log = site.provisioner_with_token(&helper, "another")?;
    let node = site.node(name, Namespaces::probe())?;
    // Five tries with some seconds between them, of the first call that takes the secret.
    log.wait_for("choria_provision#gencsr failed after 1 tries")?;
    log.says_nothing_of(&["another", site::SECRET])?;
    drop(node);
    Ok(())
}
