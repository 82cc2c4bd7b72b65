//! The whole order of decisions, with tokens that are really signed.

mod nodes;
mod rights;
mod settings;

use std::net::SocketAddr;

use super::*;
use muster_broker_core::auth::TlsPeer;
use muster_protocol::security::tokens::{
    ClientClaims, ClientPermissions, ServerClaims, SigningKey, StandardClaims, TokenIssuer,
};
use muster_wire::connect::Connect;

/// The moment of every decision.
const NOW: u64 = 1_800_000_000;
const NONCE: &str = "abcdefghijk";
const PASSWORD: &str = "s3cret";

/// How a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    Verified,
    Unverified,
    Clear,
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32]).unwrap()
}

/// The issuer all rules here know, by default.
fn issuer() -> TokenIssuer {
    TokenIssuer::new(key(1))
}

fn standard(holder: &SigningKey) -> StandardClaims {
    StandardClaims {
        public_key: holder.public().to_string(),
        expires_at: Some(i64::try_from(NOW + 3600).unwrap()),
        ..StandardClaims::default()
    }
}

fn client_claims(permissions: ClientPermissions) -> ClientClaims {
    ClientClaims {
        caller_id: "up=ginger".to_owned(),
        organization: "choria".to_owned(),
        permissions: Some(permissions),
        standard: standard(&key(7)),
        ..ClientClaims::default()
    }
}

fn server_claims() -> ServerClaims {
    ServerClaims {
        identity: "n1.example.net".to_owned(),
        organization: "choria".to_owned(),
        collectives: vec!["mcollective".to_owned(), "eu".to_owned()],
        standard: standard(&key(7)),
        ..ServerClaims::default()
    }
}

fn client_token(permissions: ClientPermissions) -> String {
    let claims = Claims::Client(Box::new(client_claims(permissions)));
    issuer().sign(claims).unwrap()
}

fn server_token() -> String {
    issuer()
        .sign(Claims::Server(Box::new(server_claims())))
        .unwrap()
}

/// A login with a token and the challenge signed by the key number 7, which the tokens here are for.
fn with_token(token: &str) -> Connect {
    Connect {
        auth_token: Some(token.into()),
        jwt: Some(token.into()),
        sig: Some(key(7).sign_nonce(NONCE).into()),
        ..Connect::default()
    }
}

fn with_user(user: &str, password: &str) -> Connect {
    Connect {
        user: Some(user.into()),
        pass: Some(password.into()),
        ..Connect::default()
    }
}

fn issuers() -> BTreeMap<String, PublicKey> {
    BTreeMap::from([("choria".to_owned(), key(1).public())])
}

fn provisioning() -> Option<Provisioning> {
    Some(Provisioning {
        password: PASSWORD.into(),
        signer: Some(IssuerKey::Ed25519(key(2).public())),
        without_token: false,
    })
}

fn encrypted(rules: FleetRules) -> FleetAuth {
    FleetAuth::new(FleetRules { tls: true, ..rules })
}

fn decide(auth: &FleetAuth, connect: &Connect, via: Via) -> Result<Grant, Refusal> {
    decide_from(auth, connect, via, "192.0.2.7:4000".parse().unwrap())
}

fn decide_from(
    auth: &FleetAuth,
    connect: &Connect,
    via: Via,
    peer: SocketAddr,
) -> Result<Grant, Refusal> {
    let tls = TlsPeer {
        certificate: None,
        verified: via == Via::Verified,
    };
    let login = Login {
        connect,
        nonce: Some(NONCE),
        peer,
        tls: (via != Via::Clear).then_some(&tls),
    };
    auth.decide(&login, NOW)
}

/// The reason's name, or the account.
fn outcome(auth: &FleetAuth, connect: &Connect, via: Via) -> &'static str {
    match decide(auth, connect, via) {
        Err(refusal) => refusal.reason(),
        Ok(grant) if grant.account == DEFAULT_ACCOUNT_ID => "default",
        Ok(grant) if grant.account == auth.provisioning => "provisioning",
        Ok(grant) if grant.account == auth.system => "system",
        Ok(_) => "another account",
    }
}

#[test]
fn the_provisioner_shows_what_the_rules_want() {
    let plain = encrypted(FleetRules {
        provisioning: provisioning(),
        ..FleetRules::default()
    });
    let tokens = encrypted(FleetRules {
        provisioning: provisioning(),
        issuers: issuers(),
        ..FleetRules::default()
    });
    let lenient = encrypted(FleetRules {
        provisioning: provisioning().map(|p| Provisioning {
            without_token: true,
            ..p
        }),
        issuers: issuers(),
        ..FleetRules::default()
    });
    let none = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let may = ClientPermissions {
        provisioner: true,
        ..ClientPermissions::default()
    };
    let bare = || with_user(PROVISIONER, PASSWORD);
    let token = |permissions| Connect {
        user: Some(PROVISIONER.into()),
        pass: Some(PASSWORD.into()),
        ..with_token(&client_token(permissions))
    };
    let wrong = || with_user(PROVISIONER, "s3cres");
    let table = [
        (&plain, bare(), Via::Verified, "provisioning"),
        (&plain, bare(), Via::Unverified, "unverified"),
        (&plain, bare(), Via::Clear, "needs_tls"),
        (&plain, wrong(), Via::Verified, "bad_password"),
        (
            &plain,
            with_user(PROVISIONER, ""),
            Via::Verified,
            "bad_password",
        ),
        (&tokens, bare(), Via::Verified, "no_token"),
        (&tokens, token(may), Via::Verified, "provisioning"),
        (&tokens, token(may), Via::Unverified, "provisioning"),
        (
            &tokens,
            token(ClientPermissions::default()),
            Via::Verified,
            "missing_permission",
        ),
        (
            &tokens,
            Connect {
                sig: None,
                ..token(may)
            },
            Via::Verified,
            "challenge_not_signed",
        ),
        (
            &tokens,
            Connect {
                pass: None,
                ..token(may)
            },
            Via::Verified,
            "bad_password",
        ),
        (&lenient, bare(), Via::Verified, "provisioning"),
        (&lenient, token(may), Via::Unverified, "unverified"),
        (&none, token(may), Via::Verified, "no_provisioning"),
    ];
    for (place, (auth, connect, via, wanted)) in table.iter().enumerate() {
        assert_eq!(outcome(auth, connect, *via), *wanted, "row {place}");
    }
    let grant = decide(&plain, &bare(), Via::Verified).unwrap();
    assert_eq!(
        (grant.user.as_deref(), grant.permissions),
        (Some(PROVISIONER), None)
    );
}

#[test]
fn the_system_user_shows_what_the_rules_want() {
    let auth = encrypted(FleetRules {
        system: Some(("admin".into(), PASSWORD.into())),
        issuers: issuers(),
        ..FleetRules::default()
    });
    let token = |permissions| Connect {
        user: Some("admin".into()),
        pass: Some(PASSWORD.into()),
        ..with_token(&client_token(permissions))
    };
    let none = ClientPermissions::default();
    let system = ClientPermissions {
        system_user: true,
        ..none
    };
    let admin = ClientPermissions {
        org_admin: true,
        ..none
    };
    let table = [
        (with_user("admin", PASSWORD), Via::Verified, "system"),
        (with_user("admin", "wrong"), Via::Verified, "bad_password"),
        (with_user("admin", PASSWORD), Via::Unverified, "unverified"),
        (with_user("admin", PASSWORD), Via::Clear, "needs_tls"),
        (token(system), Via::Unverified, "system"),
        (token(admin), Via::Unverified, "system"),
        (token(none), Via::Unverified, "missing_permission"),
        (token(system), Via::Clear, "needs_tls"),
        (
            Connect {
                sig: None,
                ..token(system)
            },
            Via::Unverified,
            "challenge_not_signed",
        ),
        (with_user("other", PASSWORD), Via::Verified, "default"),
        (with_user("other", PASSWORD), Via::Unverified, "unverified"),
    ];
    for (place, (connect, via, wanted)) in table.iter().enumerate() {
        assert_eq!(outcome(&auth, connect, *via), *wanted, "row {place}");
    }
}

#[test]
fn tokens_are_taken_from_who_holds_their_keys_only() {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let none = ClientPermissions::default();
    let claims = || client_claims(none);
    let signed = |issuer: &TokenIssuer, claims: ClientClaims| {
        with_token(&issuer.sign(Claims::Client(Box::new(claims))).unwrap())
    };
    let foreign = signed(&TokenIssuer::new(key(9)), claims());
    let mut over = claims();
    over.standard.expires_at = Some(i64::try_from(NOW).unwrap());
    let mut early = claims();
    early.standard.not_before = Some(i64::try_from(NOW + 1).unwrap());
    let other_org = ClientClaims {
        organization: "acme".to_owned(),
        ..claims()
    };
    let nobody = ClientClaims {
        caller_id: String::new(),
        ..claims()
    };
    let good = with_token(&client_token(none));
    let signed_by = |number: u8, nonce: &str| Connect {
        sig: Some(key(number).sign_nonce(nonce).into()),
        ..good.clone()
    };
    let table = [
        (good.clone(), "default"),
        (with_token(&server_token()), "default"),
        (
            Connect {
                auth_token: None,
                ..good.clone()
            },
            "default",
        ),
        (foreign, "untrusted_token"),
        (signed(&issuer(), over), "token_expired"),
        (signed(&issuer(), early), "token_not_yet_valid"),
        (signed(&issuer(), other_org), "token_organization"),
        (signed(&issuer(), nobody), "bad_identity"),
        (signed_by(8, NONCE), "bad_challenge_signature"),
        (signed_by(7, "another nonce"), "bad_challenge_signature"),
        (
            Connect {
                sig: Some("?".into()),
                ..good.clone()
            },
            "bad_challenge_signature",
        ),
        (
            Connect {
                sig: None,
                ..good.clone()
            },
            "challenge_not_signed",
        ),
        (with_token("no token"), "bad_token"),
        (with_token("a.b.c"), "bad_token"),
    ];
    for via in [Via::Verified, Via::Unverified] {
        for (place, (connect, wanted)) in table.iter().enumerate() {
            assert_eq!(
                outcome(&auth, connect, via),
                *wanted,
                "row {place}, {via:?}"
            );
        }
    }
    let grant = decide(&auth, &good, Via::Unverified).unwrap();
    assert_eq!(grant.user.as_deref(), Some("up=ginger"));
    assert_eq!(grant.expires, Some(Duration::from_secs(3600)));
}

#[test]
fn each_kind_of_token_has_its_own_signers() {
    let auth = encrypted(FleetRules {
        client_signers: vec![key(1).public()],
        server_signers: vec![key(3).public(), key(4).public()],
        ..FleetRules::default()
    });
    let server = |number| {
        let claims = Claims::Server(Box::new(server_claims()));
        with_token(&TokenIssuer::new(key(number)).sign(claims).unwrap())
    };
    let client = with_token(&client_token(ClientPermissions::default()));
    assert_eq!(outcome(&auth, &client, Via::Unverified), "default");
    assert_eq!(outcome(&auth, &server(4), Via::Unverified), "default");
    assert_eq!(
        outcome(&auth, &server(1), Via::Unverified),
        "untrusted_token"
    );
    let servers_only = encrypted(FleetRules {
        server_signers: vec![key(3).public()],
        ..FleetRules::default()
    });
    assert_eq!(
        outcome(&servers_only, &client, Via::Unverified),
        "untrusted_token"
    );
}

#[test]
fn the_recorded_challenge_is_answered_as_recorded() {
    let seed = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let token = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJjYWxsZXJpZCI6InVwPXRlc3RlciIsIm91IjoiY2hvcmlhIiwicGVybWlzc2lvbnMiOnsiZmxlZXRfbWFuYWdlbWVudCI6dHJ1ZX0sInB1cnBvc2UiOiJjaG9yaWFfY2xpZW50X2lkIiwicHVibGljX2tleSI6IjAzYTEwN2JmZjNjZTEwYmUxZDcwZGQxOGU3NGJjMDk5NjdlNGQ2MzA5YmE1MGQ1ZjFkZGM4NjY0MTI1NTMxYjgiLCJpc3MiOiJnb2xkZW4iLCJleHAiOjQxMDI0NDQ4MDAsIm5iZiI6MTcwMDAwMDAwMCwiaWF0IjoxNzAwMDAwMDAwLCJqdGkiOiJnb2xkZW4tMSJ9.UXHzCh-tQMQ3X2mI0LeHFuSADO_qoD4D0bXgRnCSK1uosfFGIjRt9XB0GsJdIYGaTs_cAI7hG5EJ_cMu38dCBA";
    let sig =
        "iJ9GOo_HWCagqunTVEpGY2PWDPOdHD6fuKWOW5vDYrxFgVw9sGfAbngFJKrI7I5cWB5NRsvwcuQGmPN8m4EFCw";
    assert_eq!(
        SigningKey::from_seed_hex(seed).unwrap().sign_nonce(NONCE),
        sig
    );
    let issuer = "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7";
    let auth = encrypted(FleetRules {
        issuers: BTreeMap::from([("choria".to_owned(), PublicKey::from_hex(issuer).unwrap())]),
        ..FleetRules::default()
    });
    let connect = Connect {
        sig: Some(sig.into()),
        ..with_token(token)
    };
    let grant = decide(&auth, &connect, Via::Unverified).unwrap();
    assert_eq!(grant.user.as_deref(), Some("up=tester"));
    let permissions = grant.permissions.unwrap();
    assert!(permissions.publish().allows(b"mcollective.node.n1"));
}

#[test]
fn without_a_token_the_certificate_counts() {
    let rules = [
        (
            "provisioning",
            FleetRules {
                provisioning: provisioning(),
                ..FleetRules::default()
            },
        ),
        (
            "issuers",
            FleetRules {
                issuers: issuers(),
                ..FleetRules::default()
            },
        ),
        (
            "signers",
            FleetRules {
                client_signers: vec![key(1).public()],
                ..FleetRules::default()
            },
        ),
    ];
    for (name, rules) in rules {
        let auth = encrypted(rules);
        for via in [Via::Verified, Via::Unverified, Via::Clear] {
            let wanted = match via {
                Via::Verified => "default",
                Via::Unverified => "unverified",
                Via::Clear => "needs_tls",
            };
            assert_eq!(
                outcome(&auth, &Connect::default(), via),
                wanted,
                "{name} {via:?}"
            );
        }
        let grant = decide(&auth, &Connect::default(), Via::Verified).unwrap();
        assert_eq!(grant.permissions.is_some(), name == "issuers", "{name}");
    }
    // A broker in clear: with issuers a token is needed, and suffices.
    let clear = FleetAuth::new(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    assert_eq!(outcome(&clear, &Connect::default(), Via::Clear), "no_token");
    let token = with_token(&client_token(ClientPermissions::default()));
    assert_eq!(outcome(&clear, &token, Via::Clear), "default");
}

#[test]
fn hosts_that_are_not_listed_are_servers() {
    let listed: SocketAddr = "10.0.0.9:1".parse().unwrap();
    let other: SocketAddr = "10.0.1.9:1".parse().unwrap();
    let rules = || FleetRules {
        client_hosts: vec!["10.0.0.0/24".parse().unwrap()],
        ..FleetRules::default()
    };
    let auth = encrypted(rules());
    let of = |auth: &FleetAuth, peer| {
        let grant = decide_from(auth, &Connect::default(), Via::Verified, peer).unwrap();
        grant.permissions
    };
    assert_eq!(of(&auth, listed), None);
    let server = of(&auth, other).unwrap();
    assert!(server.publish().allows(b"mcollective.reply.x.1"));
    assert!(!server.publish().allows(b"mcollective.node.n1"));
    let strict = encrypted(FleetRules {
        deny_servers: true,
        ..rules()
    });
    assert_eq!(of(&strict, listed), None);
    assert_eq!(*of(&strict, other).unwrap(), Permissions::nothing());
    let tokens = encrypted(FleetRules {
        issuers: issuers(),
        ..rules()
    });
    let client = with_token(&client_token(ClientPermissions::default()));
    let refused = decide_from(&tokens, &client, Via::Unverified, other);
    assert_eq!(refused, Err(Refusal::Host));
    assert!(decide_from(&tokens, &client, Via::Unverified, listed).is_ok());
}

#[test]
fn servers_can_be_let_in_to_do_nothing() {
    let auth = encrypted(FleetRules {
        issuers: issuers(),
        deny_servers: true,
        ..FleetRules::default()
    });
    let grant = decide(&auth, &with_token(&server_token()), Via::Unverified).unwrap();
    assert_eq!(*grant.permissions.unwrap(), Permissions::nothing());
}

#[test]
fn nothing_secret_is_shown() {
    let auth = encrypted(FleetRules {
        provisioning: provisioning(),
        system: Some(("admin".into(), "hunter2".into())),
        issuers: issuers(),
        ..FleetRules::default()
    });
    let shown = format!("{auth:?}");
    assert!(
        !shown.contains(PASSWORD) && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(shown.contains("admin"));
    let wrong = decide(&auth, &with_user(PROVISIONER, "gu3ss"), Via::Verified).unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains("gu3ss"));
}

#[test]
fn challenges_differ_and_are_given_only_where_they_are_of_use() {
    let tokens = encrypted(FleetRules {
        issuers: issuers(),
        ..FleetRules::default()
    });
    let same_bytes = [5; NONCE_CHARS];
    let one = tokens.challenge(same_bytes).unwrap();
    assert_ne!(
        one,
        tokens.challenge(same_bytes).unwrap(),
        "they are not of the shard's generator"
    );
    let plain = encrypted(FleetRules {
        provisioning: provisioning(),
        ..FleetRules::default()
    });
    assert_eq!(plain.challenge(same_bytes), None);
}
