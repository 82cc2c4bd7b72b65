//! What each kind of holder may publish and subscribe to: the table, subject by subject.

use super::*;
use muster_broker_core::permissions::Verdict;
use muster_protocol::security::tokens::ServerPermissions;
use muster_protocol::subject::caller_hash;

/// Whether each subject may be published to, and subscribed to.
fn check(permissions: &Permissions, table: &[(&str, bool, bool)]) {
    for &(subject, publish, subscribe) in table {
        let bytes = subject.as_bytes();
        assert_eq!(
            permissions.publish().allows(bytes),
            publish,
            "publish to {subject}"
        );
        let verdict = permissions.subscribe().verdict(bytes, None);
        assert_eq!(
            verdict != Verdict::Denied,
            subscribe,
            "subscribe to {subject}"
        );
    }
}

fn of_client(permissions: ClientPermissions) -> Option<Arc<Permissions>> {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let connect = with_token(&client_token(permissions));
    decide(&auth, &connect, Via::Unverified)
        .unwrap()
        .permissions
}

fn of_server(change: impl FnOnce(&mut ServerClaims)) -> Result<Arc<Permissions>, Refusal> {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let mut claims = server_claims();
    change(&mut claims);
    let token = issuer().sign(Claims::Server(Box::new(claims))).unwrap();
    let grant = decide(&auth, &with_token(&token), Via::Unverified)?;
    Ok(grant.permissions.unwrap())
}

#[test]
fn a_node_in_provisioning_mode() {
    check(
        &rules::provisioning_node(),
        &[
            (
                "choria.lifecycle.event.startup.provision_mode_server",
                true,
                false,
            ),
            ("provisioning.reply.abc.1", true, false),
            ("provisioning.registration.data", true, false),
            ("provisioning.node.n1.example.net", false, true),
            ("provisioning.broadcast.agent.discovery", false, true),
            ("provisioning.broadcast.agent.choria_provision", false, true),
            ("provisioning.broadcast.agent.other", false, false),
            ("provisioning.broadcast.agent.*", false, false),
            ("provisioning.reply.>", true, false),
            ("mcollective.node.n1", false, false),
            ("mcollective.broadcast.agent.discovery", false, false),
            ("_INBOX.abc", false, false),
            ("$SYS.REQ.USER.INFO", false, false),
            (">", false, false),
        ],
    );
}

#[test]
fn a_client_without_permissions_hears_its_own_replies() {
    let own = format!("mcollective.reply.{}.1", caller_hash("up=ginger"));
    let others = format!("mcollective.reply.{}.1", caller_hash("up=fred"));
    check(
        &of_client(ClientPermissions::default()).unwrap(),
        &[
            ("$SYS.REQ.USER.INFO", true, false),
            (&own, false, true),
            (&others, false, false),
            ("mcollective.reply.>", false, false),
            ("mcollective.node.n1", false, false),
            ("mcollective.broadcast.agent.rpcutil", false, false),
            ("choria.lifecycle.event.alive.server", false, false),
            (">", false, false),
        ],
    );
}

#[test]
fn what_a_clients_permissions_add() {
    let none = ClientPermissions::default();
    let fleet = [
        ("mcollective.node.n1.example.net", true, false),
        ("eu.broadcast.agent.rpcutil", true, false),
        ("eu.broadcast.service.puppet", true, false),
        ("choria.federation.eu.federation", true, false),
        ("choria.federation.eu.collective", false, false),
        ("mcollective.reply.x.1", false, false),
    ];
    check(
        &of_client(ClientPermissions {
            fleet_management: true,
            ..none
        })
        .unwrap(),
        &fleet,
    );
    check(
        &of_client(ClientPermissions {
            signed_fleet_management: true,
            ..none
        })
        .unwrap(),
        &fleet,
    );
    check(
        &of_client(ClientPermissions {
            streams_admin: true,
            ..none
        })
        .unwrap(),
        &[
            ("$JS.API.STREAM.CREATE.X", true, false),
            ("$JS.EVENT.ADVISORY.>", true, true),
        ],
    );
    check(
        &of_client(ClientPermissions {
            streams_user: true,
            governor: true,
            ..none
        })
        .unwrap(),
        &[
            ("$JS.API.STREAM.INFO.X", true, false),
            ("$JS.API.STREAM.CREATE.X", false, false),
            ("$JS.API.STREAM.DELETE.X", false, false),
            ("$KV.X.y", true, false),
            ("choria.republish.x", false, true),
            ("acme.republish.x", false, false),
            ("mcollective.governor.puppet", true, false),
        ],
    );
    check(
        &of_client(ClientPermissions {
            governor: true,
            ..none
        })
        .unwrap(),
        &[("mcollective.governor.puppet", false, false)],
    );
    check(
        &of_client(ClientPermissions {
            events_viewer: true,
            ..none
        })
        .unwrap(),
        &[
            ("choria.lifecycle.event.alive.server", false, true),
            ("choria.machine.transition", false, true),
            ("choria.machine.watcher.exec.state", false, true),
        ],
    );
    check(
        &of_client(ClientPermissions {
            election_user: true,
            ..none
        })
        .unwrap(),
        &[
            ("$KV.CHORIA_LEADER_ELECTION.x", true, false),
            ("$KV.OTHER.x", false, false),
        ],
    );
    assert_eq!(
        of_client(ClientPermissions {
            org_admin: true,
            ..none
        }),
        None
    );
}

#[test]
fn a_clients_token_names_further_subjects() {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let claims = ClientClaims {
        pub_subjects: vec!["mine.>".to_owned()],
        sub_subjects: vec!["yours.*".to_owned()],
        ..client_claims(ClientPermissions::default())
    };
    let token = issuer().sign(Claims::Client(Box::new(claims))).unwrap();
    let grant = decide(&auth, &with_token(&token), Via::Unverified).unwrap();
    check(
        &grant.permissions.unwrap(),
        &[
            ("mine.a", true, false),
            ("yours.a", false, true),
            ("yours.>", false, false),
        ],
    );
}

#[test]
fn a_server_by_its_collectives() {
    let own = format!("eu.reply.{}.1", caller_hash("n1.example.net"));
    check(
        &of_server(|_| {}).unwrap(),
        &[
            ("choria.lifecycle.event.alive.server", true, false),
            ("choria.machine.transition", true, false),
            ("mcollective.reply.abc.1", true, false),
            (&own, true, true),
            ("mcollective.broadcast.agent.registration", true, true),
            ("mcollective.broadcast.agent.rpcutil", false, true),
            ("choria.federation.eu.collective", true, false),
            ("choria.federation.us.collective", false, false),
            ("eu.node.n1.example.net", false, true),
            ("eu.node.n2.example.net", false, false),
            ("us.node.n1.example.net", false, false),
            ("us.reply.abc.1", false, false),
            ("eu.submission.in.x", false, false),
            ("eu.broadcast.service.x", false, false),
            (">", false, false),
        ],
    );
    let all = ServerPermissions {
        submission: true,
        streams: true,
        governor: true,
        service_host: true,
    };
    check(
        &of_server(|claims| claims.permissions = Some(all)).unwrap(),
        &[
            ("eu.submission.in.x", true, false),
            ("eu.governor.puppet", true, false),
            ("eu.broadcast.service.x", false, true),
            ("$JS.API.STREAM.INFO.X", true, false),
            ("choria.republish.x", false, true),
        ],
    );
}

#[test]
fn a_server_without_collectives_may_do_nothing() {
    let permissions = of_server(|claims| claims.collectives.clear()).unwrap();
    assert_eq!(*permissions, Permissions::nothing());
}

#[test]
fn names_that_are_wildcards_widen_nothing() {
    for bad in [">", "*", "a.>", "a b", "", "a..b"] {
        let refused = of_server(|claims| bad.clone_into(&mut claims.identity));
        assert_eq!(refused.err(), Some(Refusal::Identity), "{bad}");
        let refused = of_server(|claims| claims.collectives.push(bad.to_owned()));
        assert_eq!(refused.err(), Some(Refusal::Identity), "{bad}");
    }
}

#[test]
fn a_certificate_where_tokens_rule_is_kept_from_the_fleet() {
    let generic = rules::generic();
    check(
        &generic,
        &[
            ("app.orders", true, true),
            ("mcollective.node.n1", false, false),
            ("mcollective.broadcast.agent.x", false, false),
            ("mcollective.reply.x", false, false),
            ("choria.lifecycle.event.x", false, false),
            ("choria.machine.transition", false, false),
        ],
    );
    assert_eq!(generic.subscribe().verdict(b">", None), Verdict::Filtered);
    assert!(
        generic
            .subscribe()
            .denies_delivery(b"mcollective.reply.x.1", None)
    );
}

#[test]
fn servers_of_one_fleet_share_their_rules_for_publishing() {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let of = |identity: &str| {
        let claims = ServerClaims {
            identity: identity.to_owned(),
            ..server_claims()
        };
        let token = issuer().sign(Claims::Server(Box::new(claims))).unwrap();
        let grant = decide(&auth, &with_token(&token), Via::Unverified).unwrap();
        grant.permissions.unwrap()
    };
    let (one, other) = (of("n1"), of("n2"));
    assert!(Arc::ptr_eq(one.publish(), other.publish()));
    assert_ne!(one.subscribe(), other.subscribe());
}
