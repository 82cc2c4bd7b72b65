#[path = "../tests/support/mod.rs"]
mod support;
use muster_server::*;
use std::sync::Arc;
use std::time::Instant;
use support::*;
fn main() {
    let gate = Arc::new(VerifyShared::new(security()));
    let mut o = options_with(gate.clone());
    o.replay_max = 128;
    let setup = setup(o);
    for (name, agent, body) in [
        ("ping", "discovery", "cGluZw==".to_owned()),
        (
            "rpc ping",
            "rpcutil",
            muster_protocol::rpc::RpcRequest::encode("rpcutil", "ping", "{}"),
        ),
        (
            "inventory",
            "rpcutil",
            muster_protocol::rpc::RpcRequest::encode("rpcutil", "inventory", "{}"),
        ),
    ] {
        let payload = signed(&request(ID, agent, &body));
        let mut nodes: Vec<_> = (0..5000)
            .map(|_| Connected::new(&setup, "node1.example.net"))
            .collect();
        let t = Instant::now();
        let mut n = 0;
        for node in &mut nodes {
            n += node
                .deliver(
                    &format!("mcollective.broadcast.agent.{agent}"),
                    &payload,
                    UNIX,
                )
                .len();
        }
        println!(
            "{name} {n} {:?} each, payload {}",
            t.elapsed() / 5000,
            payload.len()
        );
    }
    let each = VerifyEach::new(security());
    let payload = signed(&ping(ID));
    let t = Instant::now();
    for _ in 0..1000 {
        each.open(&payload, std::time::Duration::from_secs(UNIX as u64))
            .unwrap();
    }
    println!("verify each {:?}", t.elapsed() / 1000);
    println!("size {}", size_of::<Node>());
    // paths
    let facts = Facts::parse(r#"{"country":"c1","a":[1,{"b":2},"x"],"os":{"family":"Deb\"ian","release":12.5},"é":{"ü":null}}"#).unwrap();
    let alphabet: Vec<char> = ".#()[]{}=<>!%*?|@\\\"~:,0123456789abcosé family_this pretty reverse"
        .chars()
        .collect();
    let mut rng = 88172645463325252u64;
    for _ in 0..3_000_000u64 {
        let mut p = String::new();
        let mut r = || {
            rng ^= rng << 13;
            rng ^= rng >> 7;
            rng ^= rng << 17;
            rng
        };
        let len = r() % 14;
        for _ in 0..len {
            p.push(alphabet[(r() % alphabet.len() as u64) as usize]);
            if r() % 12 == 0 {
                p.push_str(
                    ["country", "os.", "a.#", "@this", "@pretty", "@flatten:"][(r() % 6) as usize],
                );
            }
        }
        if std::panic::catch_unwind(|| facts.view().get(&p)).is_err() {
            println!("PANIC path {p:?}");
        }
    }
}
