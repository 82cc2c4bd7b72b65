//! Logins, permissions and accounts, through whole shards.

use std::sync::Arc;
use std::time::Duration;

use super::{SECOND, msg, publish};
use crate::account::AccountConfig;
use crate::auth::{Authenticator, Denial, Grant, Login, NONCE_CHARS, TlsPeer};
use crate::close::CloseReason;
use crate::config::CoreConfig;
use crate::ids::AccountId;
use crate::permissions::{Permissions, PublishRules, SubscribeRules};
use crate::shard::tests::fleet::{Client, Fleet};

const PROVISIONING: AccountId = AccountId(1);

/// Users by name: `all` may everything, `new` and `boss` are in the other account, `node` and `most` have lists.
#[derive(Debug)]
struct Users;

impl Users {
    fn permissions(user: &str) -> Option<Permissions> {
        let (publish, subscribe) = match user {
            "new" => (
                PublishRules::new(Some(&["life.>", "setup.reply.>"]), &[]),
                SubscribeRules::new(Some(&["setup.node.>"]), &[]),
            ),
            "node" => (
                PublishRules::new(Some(&["*.reply.>", "a", "b"]), &["x.reply.no"]),
                SubscribeRules::new(Some(&["node.*", "work q.*"]), &[]),
            ),
            "most" => (
                PublishRules::default(),
                SubscribeRules::new(None, &["secret.>"]),
            ),
            _ => return None,
        };
        Some(Permissions::new(Arc::new(publish), subscribe))
    }
}

impl Authenticator for Users {
    fn authenticate(&self, login: &Login<'_>) -> Result<Grant, Denial> {
        let user = login.connect.user.as_deref().unwrap_or_default();
        let account = match user {
            "new" | "boss" => PROVISIONING,
            "stray" => AccountId(9),
            _ => AccountId(0),
        };
        let nonce = login.nonce.unwrap_or_default();
        if user == "signer" && login.connect.sig.as_deref() != Some(nonce) {
            return Err(Denial::new(
                "bad_signature",
                "it does not sign the challenge",
            ));
        }
        if user == "verified" && login.tls.is_none_or(|tls| !tls.verified) {
            return Err(Denial::new(
                "unverified",
                "its certificate was not verified",
            ));
        }
        if user.is_empty() {
            return Err(Denial::new("nobody", "no user is named"));
        }
        Ok(Grant {
            account,
            user: Some(user.into()),
            permissions: Self::permissions(user).map(Arc::new),
            expires: (user == "guest").then_some(30 * SECOND),
        })
    }

    fn challenge(&self, random: [u8; NONCE_CHARS]) -> Option<[u8; NONCE_CHARS]> {
        Some(random)
    }
}

fn configure(config: &mut CoreConfig) {
    config.authenticator = Some(Arc::new(Users));
    config.accounts = vec![AccountConfig {
        name: "provisioning".into(),
        exports: Box::new(["life.>".into()]),
    }];
}

fn login(fleet: &mut Fleet, shard: usize, user: &str) -> Client {
    let options = format!(r#"{{"verbose":false,"pedantic":false,"user":"{user}"}}"#);
    fleet.client_with(shard, &options)
}

fn say(fleet: &mut Fleet, client: Client, text: &str) -> String {
    fleet.send(client, text);
    fleet.pump();
    fleet.take(client)
}

#[test]
fn a_publish_without_permission_is_refused_and_the_connection_stays() {
    let mut fleet = Fleet::new(2, configure);
    let (all, node) = (login(&mut fleet, 0, "all"), login(&mut fleet, 1, "node"));
    say(&mut fleet, all, "SUB > 1\r\n");
    for _ in 0..2 {
        for (subject, allowed) in [
            ("x.reply.1", true),
            ("x.reply.no", false),
            ("a", true),
            ("c", false),
            ("reply.1", false),
        ] {
            let heard = say(&mut fleet, node, &publish(subject, "m"));
            let wanted = if allowed {
                String::new()
            } else {
                format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n")
            };
            assert_eq!(heard, wanted);
            let wanted = if allowed {
                msg(subject, 1, "m")
            } else {
                String::new()
            };
            assert_eq!(fleet.take(all), wanted);
        }
    }
    assert_eq!(fleet.counters().denied_publishes, 6);
    assert!(!fleet.is_closed(node));
}

#[test]
fn a_verbose_client_gets_no_ok_for_what_was_refused() {
    let mut fleet = Fleet::new(1, configure);
    let options = r#"{"verbose":true,"pedantic":false,"user":"node"}"#;
    let node = fleet.client_with(0, options);
    let heard = say(
        &mut fleet,
        node,
        "PUB c 1\r\nm\r\nSUB c 1\r\nPUB a 1\r\nm\r\n",
    );
    assert_eq!(
        heard,
        "-ERR 'Permissions Violation for Publish to \"c\"'\r\n\
         -ERR 'Permissions Violation for Subscription to \"c\"'\r\n+OK\r\n"
    );
}

#[test]
fn subscriptions_are_refused_by_subject_and_queue() {
    let mut fleet = Fleet::new(1, configure);
    let node = login(&mut fleet, 0, "node");
    let table = [
        ("node.1 1", None),
        ("node.> 2", Some("node.>\"")),
        ("> 3", Some(">\"")),
        ("_INBOX.x 4", Some("_INBOX.x\"")),
        ("work q.1 5", None),
        ("work 6", Some("work\"")),
        ("work r 7", Some("work\" using queue \"r\"")),
    ];
    for (sub, refusal) in table {
        let heard = say(&mut fleet, node, &format!("SUB {sub}\r\n"));
        let wanted = refusal
            .map(|end| format!("-ERR 'Permissions Violation for Subscription to \"{end}'\r\n"));
        assert_eq!(heard, wanted.unwrap_or_default(), "{sub}");
    }
    assert_eq!(fleet.counters().denied_subscriptions, 5);
    let subscriptions = fleet.broker.accounts()[0].sublist.stats().subscriptions;
    assert_eq!(subscriptions, 2);
}

#[test]
fn what_is_denied_is_kept_from_wider_subscriptions() {
    let mut fleet = Fleet::new(2, configure);
    let (all, most) = (login(&mut fleet, 0, "all"), login(&mut fleet, 1, "most"));
    let refusal = "-ERR 'Permissions Violation for Subscription to \"secret.a\"'\r\n";
    assert_eq!(say(&mut fleet, most, "SUB secret.a 1\r\n"), refusal);
    assert_eq!(say(&mut fleet, most, "SUB > 2\r\nSUB *.a 3\r\n"), "");
    for subject in ["secret.a", "open.a", "secret.b.c"] {
        say(&mut fleet, all, &publish(subject, "m"));
    }
    let heard = fleet.take(most);
    assert!(!heard.contains("secret"), "{heard}");
    assert_eq!(heard.matches("MSG open.a").count(), 2);
    assert_eq!(fleet.counters().denied_deliveries, 3);
}

#[test]
fn a_group_member_that_may_not_hear_it_leaves_it_to_the_others() {
    let mut fleet = Fleet::new(2, configure);
    let (all, most) = (login(&mut fleet, 0, "all"), login(&mut fleet, 1, "most"));
    say(&mut fleet, most, "SUB > q 1\r\n");
    say(&mut fleet, all, "SUB > q 1\r\n");
    for _ in 0..20 {
        say(&mut fleet, all, &publish("secret.a", "m"));
    }
    assert_eq!(fleet.take(most), "");
    assert_eq!(fleet.counters().out_msgs, 20);
}

#[test]
fn accounts_do_not_hear_each_other_but_for_what_is_exported() {
    for shards in [1, 3] {
        let mut fleet = Fleet::new(shards, configure);
        let last = usize::from(shards) - 1;
        let (all, new) = (login(&mut fleet, 0, "all"), login(&mut fleet, last, "new"));
        let boss = login(&mut fleet, 0, "boss");
        say(
            &mut fleet,
            all,
            "SUB > 1\r\nSUB life.* g 2\r\nSUB setup.node.1 3\r\n",
        );
        say(&mut fleet, new, "SUB setup.node.1 1\r\n");
        say(&mut fleet, boss, "SUB setup.reply.> 1\r\n");
        say(&mut fleet, all, &publish("setup.node.1", "from outside"));
        assert_eq!(fleet.take(new), "", "nothing comes in");
        let heard = say(&mut fleet, new, &publish("setup.reply.1", "r"));
        assert_eq!(heard, "");
        assert_eq!(fleet.take(boss), msg("setup.reply.1", 1, "r"));
        assert!(!fleet.take(all).contains("setup.reply"), "nothing goes out");
        say(&mut fleet, boss, &publish("setup.node.1", "hi"));
        assert_eq!(fleet.take(new), msg("setup.node.1", 1, "hi"));
        assert_eq!(fleet.take(all), "");
        // What is exported is heard by the wide subscription and by the group, once each.
        say(&mut fleet, new, &publish("life.up", "1"));
        let heard = fleet.take(all);
        assert_eq!(heard.matches("MSG life.up 1 ").count(), 1, "{heard}");
        assert_eq!(heard.matches("MSG life.up 2 ").count(), 1, "{heard}");
        say(&mut fleet, new, &publish("life.up.long", "1"));
        assert_eq!(fleet.take(all), msg("life.up.long", 1, "1"));
        // It goes one way only.
        say(&mut fleet, boss, "SUB life.> 9\r\n");
        say(&mut fleet, all, &publish("life.up", "mine"));
        assert_eq!(fleet.take(boss), "");
    }
}

#[test]
fn what_was_subscribed_across_accounts_goes_with_its_subscription() {
    let mut fleet = Fleet::new(1, configure);
    let (all, other) = (login(&mut fleet, 0, "all"), login(&mut fleet, 0, "all"));
    let exported = |fleet: &Fleet| fleet.broker.accounts()[1].sublist.stats().subscriptions;
    say(
        &mut fleet,
        all,
        "SUB > 1\r\nSUB life.up 2\r\nUNSUB 2 1\r\nSUB elsewhere 3\r\n",
    );
    say(&mut fleet, other, "SUB *.up 1\r\n");
    assert_eq!(exported(&fleet), 3);
    let new = login(&mut fleet, 0, "new");
    say(&mut fleet, new, &publish("life.up", "m"));
    assert_eq!(
        exported(&fleet),
        2,
        "the one that has had its last message is gone"
    );
    say(&mut fleet, all, "UNSUB 1\r\n");
    assert_eq!(exported(&fleet), 1);
    fleet.leave(other);
    fleet.pump();
    assert_eq!(exported(&fleet), 0);
    fleet.broker.accounts()[1].sublist.assert_invariants();
}

#[test]
fn connections_are_counted_by_account() {
    let mut fleet = Fleet::new(2, configure);
    let counts = |fleet: &Fleet| -> Vec<u64> {
        let accounts = fleet.broker.accounts();
        accounts
            .iter()
            .map(crate::account::Account::connections)
            .collect()
    };
    let new = login(&mut fleet, 0, "new");
    login(&mut fleet, 1, "all");
    assert_eq!(counts(&fleet), [1, 1]);
    let info = fleet.shards[0].connection(new.key, false).unwrap();
    assert_eq!(
        (info.account, info.user.as_deref()),
        (PROVISIONING, Some("new"))
    );
    fleet.leave(new);
    fleet.pump();
    assert_eq!(counts(&fleet), [1, 0]);
}

#[test]
fn a_refused_login_is_told_counted_and_named() {
    let mut fleet = Fleet::new(1, configure);
    for (options, reason) in [
        (r#"{"name":"me"}"#, "nobody"),
        (r#"{"user":"signer","sig":"forged"}"#, "bad_signature"),
        (r#"{"user":"verified"}"#, "unverified"),
        (r#"{"user":"stray"}"#, "no_such_account"),
        (
            r#"{"user":"all","account":"provisioning"}"#,
            "chosen_account",
        ),
    ] {
        let client = fleet.accept(0).unwrap();
        let heard = say(
            &mut fleet,
            client,
            &format!("CONNECT {options}\r\nSUB > 1\r\n"),
        );
        assert_eq!(heard, "-ERR 'Authorization Violation'\r\n");
        assert!(fleet.is_closed(client));
        assert_eq!(
            fleet.reason(client),
            Some(CloseReason::AuthenticationFailure)
        );
        let refused = fleet.shards[0].poll_refused().unwrap();
        assert_eq!(refused.denial.reason, reason);
    }
    let refusals = fleet.broker.login_refusals();
    assert_eq!(refusals.len(), 5);
    assert!(refusals.iter().all(|(_, count)| *count == 1));
    assert_eq!(fleet.broker.accounts()[0].sublist.stats().subscriptions, 0);
}

#[test]
fn each_connection_has_a_challenge_of_its_own_for_one_login() {
    let mut fleet = Fleet::new(1, configure);
    let challenge = |fleet: &mut Fleet| {
        let (client, greeting) = fleet.accept_greeted(0);
        let start = greeting.find(r#""nonce":""#).unwrap() + 9;
        (client, greeting[start..start + NONCE_CHARS].to_owned())
    };
    let (first, one) = challenge(&mut fleet);
    let (second, other) = challenge(&mut fleet);
    assert_ne!(one, other);
    let connect = |nonce: &str| {
        format!("CONNECT {{\"verbose\":false,\"user\":\"signer\",\"sig\":\"{nonce}\"}}\r\nPING\r\n")
    };
    assert_eq!(say(&mut fleet, first, &connect(&one)), "PONG\r\n");
    let replayed = say(&mut fleet, second, &connect(&one));
    assert_eq!(replayed, "-ERR 'Authorization Violation'\r\n");
    // The challenge is used up: nothing can be logged in by it a second time.
    let again = say(&mut fleet, first, &connect(&one));
    assert_eq!(again, "-ERR 'Authorization Violation'\r\n");
}

#[test]
fn what_tls_said_of_the_peer_reaches_the_login() {
    for verified in [false, true] {
        let mut fleet = Fleet::new(1, configure);
        let client = fleet.accept(0).unwrap();
        let peer = TlsPeer {
            certificate: None,
            verified,
        };
        fleet.shards[0].set_tls_peer(client.key, peer);
        let connect = "CONNECT {\"verbose\":false,\"user\":\"verified\"}\r\nPING\r\n";
        let heard = say(&mut fleet, client, connect);
        assert_eq!(heard == "PONG\r\n", verified, "{heard}");
    }
}

#[test]
fn a_connection_ends_with_what_it_was_let_in_for() {
    let mut fleet = Fleet::new(1, configure);
    let (guest, all) = (login(&mut fleet, 0, "guest"), login(&mut fleet, 0, "all"));
    fleet.advance(29 * SECOND);
    fleet.take(guest);
    assert!(!fleet.is_closed(guest));
    fleet.advance(2 * SECOND);
    assert_eq!(fleet.take(guest), "-ERR 'User Authentication Expired'\r\n");
    assert!(fleet.is_closed(guest) && !fleet.is_closed(all));
    let reason = fleet.reason(guest).unwrap();
    assert_eq!(reason, CloseReason::AuthenticationExpired);
    assert_eq!(reason.text(), "Authentication Expired");
    assert_eq!(fleet.counters().auth_expired, 1);
    assert!(fleet.now > Duration::from_secs(1030));
}
