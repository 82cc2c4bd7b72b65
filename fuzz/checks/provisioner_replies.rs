//! Whatever nodes reply, their way ends or goes on: each reply is taken by a host with every feature, step by step.

use std::sync::Arc;
use std::time::Duration;

use muster_client::Moment;
use muster_client::nats::Backoff;
use muster_protocol::rpc::RpcReply;
use muster_provisioner::config::Features;
use muster_provisioner::csr::DenyList;
use muster_provisioner::helper::Decision;
use muster_provisioner::host::{Entropy, Flow, Host, Step};

#[derive(Debug)]
struct Zero;

impl Entropy for Zero {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(1);
    }
}

/// The replies of a node stand in lines, each the body of an agent.
pub(crate) fn run(data: &[u8]) {
    for pki in [false, true] {
        let flow = Arc::new(Flow {
            features: Features {
                pki,
                jwt: !pki,
                ed25519: !pki,
                upgrades: false,
            },
            token: None,
            deny: DenyList::default(),
            jwt_key: None,
            issuer: None,
            upgrades: None,
            entropy: Arc::new(Zero),
            backoff: Backoff::five_sec(),
        });
        let mut host = Host::new("n1".into(), flow, 7);
        let mut now = Duration::from_secs(1);
        for body in data.split(|byte| *byte == b'\n') {
            now += Duration::from_secs(60);
            let at = Moment {
                now,
                unix: Duration::from_secs(1_700_000_000),
            };
            match host.poll(at) {
                Step::Call(_) => {
                    if let Ok(reply) = RpcReply::parse(body) {
                        host.handle_reply(&reply, at);
                    }
                }
                Step::Helper(_) => host.handle_helper(Decision::parse(body)),
                Step::Done(_) => break,
                Step::Wait(_) | Step::Pending => {}
            }
        }
    }
}
