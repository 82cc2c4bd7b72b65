//! Two collectives, each on its own broker, and three federation brokers between them and a caller, all real processes over mutual TLS.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod lab;
#[allow(dead_code, reason = "shared with another test program")]
#[path = "../fleet/process.rs"]
mod process;

use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use lab::{DE1, Lab, MT1};

type Act = fn(&Lab) -> Result<(), Failed>;

/// Trials on one laboratory, in their order: the last ones end processes of it.
const ALL: [(&str, Act); 4] = [
    ("every_node_of_both_collectives_answers", everybody_answers),
    ("one_collective_alone_is_asked", one_collective_is_asked),
    ("the_figures_of_a_federation_broker", figures),
    (
        "a_federation_broker_is_killed_in_mid_request",
        one_is_killed,
    ),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let lab: Arc<Mutex<Option<Arc<Lab>>>> = Arc::default();
    let trials = ALL.map(|(name, act)| {
        let lab = Arc::clone(&lab);
        Trial::test(name, move || {
            let mut place = lab.lock().unwrap();
            if place.is_none() {
                *place = Some(Arc::new(Lab::start()?));
            }
            act(place.as_ref().unwrap())
        })
    });
    let own = [
        Trial::test("a_broker_and_its_federation_in_one_process", in_one_process),
        Trial::test("mistakes_are_named_with_their_lines", mistakes),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().chain(own).collect());
    drop(lab);
    conclusion.exit_code()
}

fn all() -> Vec<&'static str> {
    let mut all = [MT1, DE1].concat();
    all.sort_unstable();
    all
}

fn everybody_answers(lab: &Lab) -> Result<(), Failed> {
    let said = lab.ask(&["ping", "--names"])?.ended_with(0)?;
    assert_eq!(said.sorted_lines(), all());
    let said = lab
        .ask(&["rpc", "rpcutil", "get_fact", "fact=site", "--json"])?
        .ended_with(0)?;
    said.says(&all())?.says(&["\"mt1\"", "\"de1\""])?;
    let said = lab.ask(&["find", "-F", "site=de1"])?.ended_with(0)?;
    assert_eq!(said.sorted_lines(), DE1);
    Ok(())
}

fn one_collective_is_asked(lab: &Lab) -> Result<(), Failed> {
    let said = lab
        .ask(&["ping", "--names", "--federations", "mt1"])?
        .ended_with(0)?;
    assert_eq!(said.sorted_lines(), MT1);
    Ok(())
}

fn figures(lab: &Lab) -> Result<(), Failed> {
    lab.ask(&["ping", "--names"])?.ended_with(0)?;
    let mut requests = 0;
    let mut replies = 0;
    for federation in &lab.federations {
        let page = federation.page("/metrics")?;
        requests += lab::sum(
            &page,
            "choria_federation_published_msgs",
            "connected_to=\"collective\"",
        );
        replies += lab::sum(
            &page,
            "choria_federation_published_msgs",
            "connected_to=\"federation\"",
        );
        let status = federation.page("/choria/federation")?;
        assert!(status.contains("\"status\": \"OK\""), "{status}");
    }
    assert!(
        requests >= 2 && replies >= 4,
        "{requests} requests, {replies} replies"
    );
    Ok(())
}

fn one_is_killed(lab: &Lab) -> Result<(), Failed> {
    // Whatever the killed one had in hand may be lost, so this request may miss nodes, and says so.
    let asking = lab.start_asking(&["rpc", "rpcutil", "ping", "--json", "--timeout", "5"])?;
    lab.kill_a_federation_broker()?;
    let code = asking.wait_with_output()?.status.code();
    assert!(
        matches!(code, Some(0..=3)),
        "the caller ended with {code:?}"
    );
    for _ in 0..3 {
        let said = lab
            .ask(&["rpc", "rpcutil", "ping", "--json"])?
            .ended_with(0)?;
        said.says(&all())?;
    }
    Ok(())
}

fn in_one_process() -> Result<(), Failed> {
    let lab = Lab::hosted()?;
    let said = lab.ask(&["ping", "--names"])?.ended_with(0)?;
    assert_eq!(said.sorted_lines(), MT1);
    let page = lab.federations[0].page("/metrics")?;
    for series in [
        "choria_federation_received_msgs",
        "muster_federation_dropped_msgs",
        "muster_broker_protocol_errors_total",
    ] {
        assert!(page.contains(series), "{series} in {page}");
    }
    Ok(())
}

fn mistakes() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let text = "plugin.choria.federation.workers = 1000\nplugin.choria.federation.members = mt1\n";
    fs::write(home.path().join("federation.conf"), text)?;
    let command = process::muster(home.path(), &["federation", "--config", "federation.conf"]);
    let said = process::Said::of(command)?.ended_with(1)?;
    said.says(&[
        "federation.conf:1",
        "1000",
        "federation.conf:2",
        "federation.member.mt1.middleware_hosts",
    ])?;
    Ok(())
}
