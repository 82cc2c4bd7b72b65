use std::collections::BTreeMap;

use muster_protocol::rpc::StatusCode;
use muster_protocol::security::tokens::{
    IssuerSigningKey, ProvisioningClaims, SigningKey, StandardClaims,
};
use serde_json::json;

use super::*;

const NODE: &str = "n1.example.net";
const CERT: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const UNIX: Duration = Duration::from_secs(1_700_000_000);

/// The same bytes every time.
#[derive(Debug)]
struct Known;

impl Entropy for Known {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn flow(change: impl FnOnce(&mut Flow)) -> Arc<Flow> {
    let mut flow = Flow {
        features: Features::default(),
        token: Some(Secret::new("s3cret")),
        deny: DenyList::default(),
        jwt_key: None,
        issuer: None,
        upgrades: None,
        entropy: Arc::new(Known),
        backoff: Backoff::five_sec(),
    };
    change(&mut flow);
    Arc::new(flow)
}

fn jwt_key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

fn all_of_ed25519(flow: &mut Flow) {
    flow.features.jwt = true;
    flow.features.ed25519 = true;
    flow.jwt_key = Some(IssuerKey::Ed25519(jwt_key().public()));
    let seed = "11".repeat(32);
    flow.issuer = Some(ServerIssuer::new(&seed, None, Duration::from_secs(86_400)).unwrap());
}

fn upgrades(is_optional: bool) -> impl FnOnce(&mut Flow) {
    move |flow| {
        flow.features.upgrades = true;
        flow.upgrades = Some(Upgrades {
            repository: "https://example.net/r".to_owned(),
            is_optional,
        });
    }
}

/// A host, and the moment it is at.
struct Lab {
    host: Host,
    now: Duration,
}

impl Lab {
    fn new(flow: Arc<Flow>) -> Self {
        Self {
            host: Host::new(NODE.into(), flow, 1),
            now: Duration::from_secs(1),
        }
    }

    fn at(&self) -> Moment {
        Moment {
            now: self.now,
            unix: UNIX,
        }
    }

    fn poll(&mut self) -> Step {
        self.host.poll(self.at())
    }

    /// The next call, which must be this one.
    fn call(&mut self, action: Action) -> Call {
        match self.poll() {
            Step::Call(call) => {
                assert_eq!(call.action, action);
                assert_eq!(self.poll(), Step::Pending);
                call
            }
            other => panic!("{other:?}, not a call of {action}"),
        }
    }

    fn reply_with(&mut self, statuscode: StatusCode, message: &str, data: &Value) {
        let data = data.to_string();
        let reply = RpcReply {
            action: None,
            statuscode,
            statusmsg: message.into(),
            data: &data,
        };
        let at = self.at();
        self.host.handle_reply(&reply, at);
    }

    fn answer(&mut self, action: Action, data: &Value) -> Call {
        let call = self.call(action);
        self.reply_with(StatusCode::Ok, "OK", data);
        call
    }

    fn helper(&mut self, decision: &Value) -> Value {
        let Step::Helper(input) = self.poll() else {
            panic!("{:?}, not the helper", self.poll());
        };
        assert_eq!(self.poll(), Step::Pending);
        let decision = Decision::parse(decision.to_string().as_bytes());
        self.host.handle_helper(decision);
        serde_json::from_slice(&input).unwrap()
    }

    fn inventory(&mut self) {
        self.answer(
            Action::Inventory,
            &json!({"version": "1.0", "facts": {"a": 1}}),
        );
    }

    fn error(&mut self) -> FlowError {
        match self.poll() {
            Step::Done(Outcome::Failed(error)) => error,
            other => panic!("{other:?}, not a failure"),
        }
    }
}

fn configuration() -> Value {
    json!({"configuration": {"identity": NODE, "plugin.choria.server.provision": "false"}})
}

fn csr(name: &str) -> String {
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().pem().unwrap()
}

fn provisioning_token(key: SigningKey, change: impl FnOnce(&mut ProvisioningClaims)) -> String {
    let mut claims = ProvisioningClaims {
        token: "s3cret".to_owned(),
        urls: "b:4222".to_owned(),
        standard: StandardClaims {
            expires_at: Some(1_800_000_000),
            ..StandardClaims::default()
        },
        ..ProvisioningClaims::default()
    };
    change(&mut claims);
    claims.sign(&IssuerSigningKey::Ed25519(key)).unwrap()
}

#[test]
fn the_shortest_way_is_inventory_helper_configure_restart() {
    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    let input = lab.helper(&configuration());
    assert_eq!(input["identity"], NODE);
    assert_eq!(input["csr"], Value::Null);
    let inventory: Value = serde_json::from_str(input["inventory"].as_str().unwrap()).unwrap();
    assert_eq!(inventory["facts"]["a"], 1);
    let call = lab.answer(Action::Configure, &json!({"message": "Wrote 3 lines"}));
    let config: BTreeMap<String, String> =
        serde_json::from_str(call.inputs["config"].as_str().unwrap()).unwrap();
    assert_eq!(config["identity"], NODE);
    assert_eq!(call.inputs["token"], "s3cret");
    assert!(!format!("{call:?}").contains("s3cret"));
    let call = lab.answer(Action::Restart, &json!({}));
    assert_eq!(call.inputs["splay"], 1);
    assert_eq!(lab.poll(), Step::Done(Outcome::Provisioned));
}

#[test]
fn with_pki_a_certificate_goes_where_the_request_was_made() {
    let mut lab = Lab::new(flow(|flow| flow.features.pki = true));
    lab.inventory();
    let made = json!({"csr": csr(NODE), "ssldir": "/node/ssl", "public_key": "K"});
    let call = lab.answer(Action::Gencsr, &made);
    assert_eq!(call.inputs["cn"], NODE);
    let mut decision = configuration();
    decision["certificate"] = CERT.into();
    decision["ca"] = CERT.into();
    decision["ssldir"] = "/helpers/ssl".into();
    let input = lab.helper(&decision);
    assert_eq!(input["csr"], made);
    let call = lab.call(Action::Configure);
    assert_eq!(call.inputs["ssldir"], "/node/ssl");
    assert_eq!(call.inputs["certificate"], CERT);
    assert_eq!(call.inputs["ca"], CERT);
}

#[test]
fn with_ed25519_the_node_gets_a_token_for_its_key() {
    let mut lab = Lab::new(flow(all_of_ed25519));
    let peer = encode_hex(&[9; 32]);
    let token = provisioning_token(jwt_key(), |_| {});
    lab.answer(Action::Jwt, &json!({"jwt": token, "ecdh_public": peer}));
    let call = lab.call(Action::Gen25519);
    let key = SigningKey::from_seed(&[5; 32]).unwrap();
    let signature = key.sign(call.inputs["nonce"].as_str().unwrap().as_bytes());
    let made = json!({
        "public_key": key.public().to_string(), "signature": encode_hex(&signature), "directory": "/node",
    });
    lab.reply_with(StatusCode::Ok, "OK", &made);
    lab.inventory();
    let mut decision = configuration();
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    // Nodes take keys of RSA only; what is in the block is theirs to find out.
    decision["key"] = key.replace("PRIVATE KEY", "RSA PRIVATE KEY").into();
    let input = lab.helper(&decision);
    assert_eq!(input["jwt"]["cht"], "s3cret");
    assert_eq!(input["ed25519_pubkey"], made);
    let call = lab.call(Action::Configure);
    assert_eq!(call.inputs["ssldir"], "/node");
    assert!(call.inputs["key"].as_str().unwrap().contains("ENCRYPTED"));
    assert_eq!(call.inputs["ecdh_public"].as_str().unwrap().len(), 64);
    assert!(
        call.inputs["server_jwt"]
            .as_str()
            .unwrap()
            .starts_with("eyJ")
    );
}

#[test]
fn a_provisioning_token_that_is_not_ours_ends_it() {
    let other = || SigningKey::from_seed(&[4; 32]).unwrap();
    let expired = |claims: &mut ProvisioningClaims| claims.standard.expires_at = Some(1);
    for (token, part) in [
        (provisioning_token(other(), |_| {}), "provisioning token"),
        (provisioning_token(jwt_key(), expired), "provisioning token"),
        ("hello".to_owned(), "provisioning token"),
    ] {
        let mut lab = Lab::new(flow(all_of_ed25519));
        lab.answer(Action::Jwt, &json!({"jwt": token, "ecdh_public": ""}));
        let error = lab.error();
        assert!(matches!(error, FlowError::Jwt(_)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn a_key_that_is_not_the_nodes_ends_it() {
    let mut lab = Lab::new(flow(all_of_ed25519));
    let token = provisioning_token(jwt_key(), |_| {});
    lab.answer(Action::Jwt, &json!({"jwt": token, "ecdh_public": ""}));
    let key = SigningKey::from_seed(&[5; 32]).unwrap();
    let signature = encode_hex(&key.sign(b"another nonce"));
    let made = json!({"public_key": key.public().to_string(), "signature": signature});
    lab.answer(Action::Gen25519, &made);
    assert_eq!(lab.error(), FlowError::NotItsKey);
}

#[test]
fn a_request_for_another_name_never_reaches_the_helper() {
    let mut lab = Lab::new(flow(|flow| flow.features.pki = true));
    lab.inventory();
    lab.answer(
        Action::Gencsr,
        &json!({"csr": csr("n2.example.net"), "ssldir": "/ssl"}),
    );
    assert!(matches!(lab.error(), FlowError::Csr(_)));
}

#[test]
fn what_fails_is_tried_as_often_as_the_table_says() {
    for (action, tries) in [(Action::Inventory, 5), (Action::Gencsr, 1)] {
        let mut lab = Lab::new(flow(|flow| flow.features.pki = true));
        if action == Action::Gencsr {
            lab.inventory();
        }
        for attempt in 1..=tries {
            lab.call(action);
            lab.reply_with(StatusCode::Aborted, "no\nspace", &json!({}));
            if attempt < tries {
                let Step::Wait(until) = lab.poll() else {
                    panic!("{:?}", lab.poll());
                };
                let wait = (until - lab.now).as_secs_f64();
                assert!((0.375..=3.75).contains(&wait), "{wait}");
                lab.now = until;
            }
        }
        let error = lab.error();
        let expected = format!("{action} failed after {tries} tries: Aborted: no space");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_kind_of_failure_is_a_failed_try() {
    for failure in [
        CallFailure::Timeout,
        CallFailure::NoResponders,
        CallFailure::NotConnected,
        CallFailure::Malformed("x".to_owned()),
    ] {
        let mut lab = Lab::new(flow(|_| {}));
        lab.call(Action::Inventory);
        let at = lab.at();
        lab.host.handle_failure(failure, at);
        let Step::Wait(until) = lab.poll() else {
            panic!("{:?}", lab.poll());
        };
        lab.now = until;
        lab.inventory();
        assert!(matches!(lab.poll(), Step::Helper(_)));
    }
}

#[test]
fn a_reply_without_what_it_must_have_is_a_failed_try() {
    let mut lab = Lab::new(flow(|flow| flow.features.pki = true));
    lab.inventory();
    lab.answer(Action::Gencsr, &json!({"ssldir": "/ssl"}));
    let error = lab.error().to_string();
    assert!(error.ends_with("unusable reply: it has no csr"), "{error}");
    let mut lab = Lab::new(flow(|_| {}));
    lab.answer(Action::Inventory, &json!([]));
    assert!(matches!(lab.poll(), Step::Wait(_)));
}

#[test]
fn the_helper_can_defer_fail_and_end_a_node() {
    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    lab.helper(&json!({"defer": true, "msg": "no room"}));
    assert_eq!(lab.error().to_string(), "configuration deferred: no room");

    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    assert!(matches!(lab.poll(), Step::Helper(_)));
    lab.host.handle_helper(Err(HelperError::Silent));
    assert_eq!(lab.error(), FlowError::Helper(HelperError::Silent));

    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    lab.helper(&json!({"shutdown": true}));
    lab.answer(Action::Shutdown, &json!({}));
    assert_eq!(lab.poll(), Step::Done(Outcome::ShutDown));
}

#[test]
fn an_upgrade_comes_before_the_configuration() {
    let wanting = |version: &str| {
        let mut decision = configuration();
        decision["upgrade"] = version.into();
        decision
    };
    let mut lab = Lab::new(flow(upgrades(false)));
    lab.inventory();
    lab.helper(&wanting("2.0"));
    let call = lab.answer(Action::ReleaseUpdate, &json!({}));
    assert_eq!(call.inputs["repository"], "https://example.net/r");
    let upgraded = Outcome::Upgraded {
        from: "1.0".to_owned(),
        to: "2.0".to_owned(),
    };
    assert_eq!(lab.poll(), Step::Done(upgraded));

    let mut lab = Lab::new(flow(upgrades(false)));
    lab.inventory();
    lab.helper(&wanting("1.0"));
    lab.call(Action::Configure);

    // Without the feature a wish for another version means nothing.
    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    lab.helper(&wanting("2.0"));
    lab.call(Action::Configure);
}

#[test]
fn a_failed_upgrade_is_fatal_unless_it_is_optional() {
    for is_optional in [false, true] {
        let mut lab = Lab::new(flow(upgrades(is_optional)));
        lab.inventory();
        let mut decision = configuration();
        decision["upgrade"] = "2.0".into();
        lab.helper(&decision);
        for _ in 0..Action::ReleaseUpdate.tries() {
            lab.now += Duration::from_secs(10);
            lab.call(Action::ReleaseUpdate);
            lab.reply_with(StatusCode::Aborted, "no", &json!({}));
        }
        if is_optional {
            lab.call(Action::Configure);
        } else {
            assert!(matches!(lab.error(), FlowError::Call { .. }));
        }
    }
    for is_optional in [false, true] {
        let mut lab = Lab::new(flow(upgrades(is_optional)));
        lab.answer(
            Action::Inventory,
            &json!({"version": "1.0", "upgradable": false}),
        );
        let mut decision = configuration();
        decision["upgrade"] = "2.0".into();
        lab.helper(&decision);
        if is_optional {
            lab.call(Action::Configure);
        } else {
            assert!(matches!(lab.error(), FlowError::NotUpgradable { .. }));
        }
    }
}

#[test]
fn what_the_agent_would_not_take_is_not_sent() {
    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    let mut decision = configuration();
    decision["certificate"] = "x".repeat(20_000).into();
    lab.helper(&decision);
    assert_eq!(
        lab.error().to_string(),
        "choria_provision#configure cannot be called: the agent does not take such a certificate"
    );

    let mut lab = Lab::new(flow(|_| {}));
    lab.inventory();
    let mut decision = configuration();
    decision["key"] = rcgen::KeyPair::generate().unwrap().serialize_pem().into();
    lab.helper(&decision);
    assert!(
        matches!(lab.error(), FlowError::Key(_)),
        "the node gave no key to encrypt for"
    );
}

#[test]
fn what_comes_late_changes_nothing() {
    let mut lab = Lab::new(flow(|_| {}));
    lab.host.handle_helper(Ok(Decision::Shutdown));
    lab.call(Action::Inventory);
    lab.host.abort(FlowError::Paused);
    lab.reply_with(StatusCode::Ok, "OK", &json!({}));
    assert_eq!(lab.error(), FlowError::Paused);
}
