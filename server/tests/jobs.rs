//! Calls that take time, and a node that learns new agents while it is connected.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod support;

use std::sync::{Arc, Barrier, LazyLock};
use std::time::Duration;

use muster_client::Moment;
use muster_protocol::Scratch;
use muster_protocol::ddl::Ddl;
use muster_protocol::reply::parse_reply;
use muster_protocol::rpc::{RpcReply, RpcRequest, StatusCode};
use muster_reactor::wake::Wake;
use muster_server::agent::{HostView, Rpc, RpcAgent, RpcAnswer, RpcCall, RpcOutcome, Work};
use muster_server::job::Job;
use muster_server::pool::{THREADS_MAX, WAITING_MAX, WorkerPool};
use muster_server::{AgentSet, NodeOptions};

use support::{Connected, UNIX, options, request, setup, signed};

const SLOW: &str = "mcollective.broadcast.agent.slow";

static DDL: LazyLock<Ddl> = LazyLock::new(|| {
    let text = r#"{"metadata":{"name":"slow","timeout":5},
        "actions":[{"action":"wait"},{"action":"panic"}]}"#;
    Ddl::parse(text.as_bytes()).unwrap()
});

/// Answers once the barrier lets it.
#[derive(Debug)]
struct Slow(Arc<Barrier>);

impl RpcAgent for Slow {
    fn ddl(&self) -> &Ddl {
        &DDL
    }

    fn call(&self, call: &RpcCall<'_>, _host: &HostView<'_>) -> RpcAnswer {
        let barrier = Arc::clone(&self.0);
        let panics = call.action == "panic";
        RpcAnswer::Later(Work::new(move || {
            assert!(!panics, "as asked");
            barrier.wait();
            RpcOutcome::ok(r#"{"waited":true}"#)
        }))
    }
}

fn with_slow(barrier: &Arc<Barrier>) -> NodeOptions {
    let mut options = options();
    options
        .agents
        .insert(Arc::new(Rpc::new(Slow(Arc::clone(barrier)))));
    options
}

fn ask(node: &mut Connected, n: usize, action: &str) -> Job {
    let body = RpcRequest::encode("slow", action, "{}");
    let payload = signed(&request(&format!("{n:032x}"), "slow", &body));
    assert!(node.deliver(SLOW, &payload, UNIX).is_empty());
    node.node.poll_job().unwrap()
}

fn moment() -> Moment {
    Moment {
        now: Duration::from_secs(2),
        unix: Duration::from_secs(UNIX.try_into().unwrap()),
    }
}

/// The node's only reply: its request, status and message.
fn answer(node: &mut Connected, done: muster_server::job::JobDone) -> (String, StatusCode, String) {
    node.node.handle_job_done(done, moment(), &mut node.scratch);
    let published = node.published();
    assert_eq!(published.len(), 1);
    let mut scratch = Scratch::new();
    let reply = parse_reply(&published[0].payload, &mut scratch).unwrap();
    let id = reply.request_id.to_string();
    let body = RpcReply::parse(reply.body).unwrap();
    (id, body.statuscode, body.statusmsg.into_owned())
}

#[test]
fn a_reply_comes_when_the_work_is_done() {
    let barrier = Arc::new(Barrier::new(1));
    let mut node = Connected::new(&setup(with_slow(&barrier)), "node1.example.net");
    let job = ask(&mut node, 7, "wait");
    assert_eq!((job.agent(), job.action()), ("slow", "wait"));
    assert_eq!(node.node.counters().replies, 0);
    let (id, status, _) = answer(&mut node, job.run());
    assert_eq!((id, status), (format!("{:032x}", 7), StatusCode::Ok));
    assert_eq!(node.node.counters().replies, 1);
}

#[test]
fn work_that_panics_has_an_outcome() {
    let barrier = Arc::new(Barrier::new(1));
    let mut node = Connected::new(&setup(with_slow(&barrier)), "node1.example.net");
    let job = ask(&mut node, 1, "panic");
    let (_, status, text) = answer(&mut node, job.run());
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(text, "slow#panic panicked");
}

#[test]
fn a_full_pool_turns_away_and_loses_nothing() {
    let barrier = Arc::new(Barrier::new(THREADS_MAX + 1));
    let mut node = Connected::new(&setup(with_slow(&barrier)), "node1.example.net");
    let wake = Wake::new().unwrap();
    let pool = WorkerPool::new(wake);
    let jobs = THREADS_MAX + WAITING_MAX + 1;
    for n in 0..jobs {
        let job = ask(&mut node, n, "wait");
        pool.submit(job);
        // A thread takes its first job before the next is handed in, so that what waits is known.
        while n < THREADS_MAX && pool.waiting() > 0 {
            std::thread::yield_now();
        }
    }
    let (id, status, text) = answer(&mut node, pool.poll_done().unwrap());
    assert_eq!(id, format!("{:032x}", jobs - 1));
    assert_eq!(status, StatusCode::Aborted);
    assert_eq!(text, "256 calls are waiting on this node already");
    // Each round lets every thread finish one job.
    for _ in 0..(jobs - 1) / THREADS_MAX {
        barrier.wait();
    }
    let mut answered = 1;
    while answered < jobs {
        while let Some(done) = pool.poll_done() {
            assert_eq!(answer(&mut node, done).1, StatusCode::Ok);
            answered += 1;
        }
        std::thread::yield_now();
    }
}

#[test]
fn agents_come_and_go_on_a_standing_connection() {
    let barrier = Arc::new(Barrier::new(1));
    let mut node = Connected::new(&setup(options()), "node1.example.net");
    node.node.set_setup(setup(with_slow(&barrier)));
    assert_eq!(node.taken(), ["SUB mcollective.broadcast.agent.slow 5"]);
    let mut bare = options();
    bare.agents = AgentSet::new();
    bare.collectives = vec!["eu".to_owned()];
    bare.main_collective = "eu".to_owned();
    node.node.set_setup(setup(bare));
    assert_eq!(
        node.taken(),
        [
            "UNSUB 1",
            "UNSUB 2",
            "UNSUB 3",
            "UNSUB 4",
            "UNSUB 5",
            "SUB eu.node.node1.example.net 6"
        ]
    );
}
