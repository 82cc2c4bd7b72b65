//! Who may be a peer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use muster_broker::{BrokerConfig, ClusterSetting, TlsSetting};
use muster_pki::{Authority, KeyKind, Profile, Role, Validity};
use muster_reactor::tls::TlsFiles;

use crate::client::PATIENCE;
use crate::lab::{Lab, config, loopback};

fn validity() -> Validity {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Validity::days_from(since.unwrap().as_secs() - 60, 2)
}

fn authority() -> Authority {
    Authority::new("Test CA", KeyKind::EcdsaP256, validity()).unwrap()
}

fn tls(authority: &Authority) -> TlsSetting {
    let own = authority.issue(&Profile::new(Role::Broker, "localhost", validity()));
    let own = own.unwrap();
    TlsSetting::mutual(&TlsFiles {
        cert: &own.cert_pem,
        key: &own.key_pem,
        ca: Some(authority.cert_pem()),
        crl: None,
    })
    .unwrap()
}

/// A member whose routes speak TLS; clients are in clear, as TLS of clients is not the matter here.
fn secured(lab: &Lab, number: usize, authority: &Authority) -> BrokerConfig {
    let mut cluster = ClusterSetting::new("C1", loopback());
    cluster.tls = true;
    cluster.core.routes = lab
        .members()
        .iter()
        .map(|member| muster_broker::RouteUrl::new("localhost", member.peer_address().port()))
        .collect();
    BrokerConfig {
        tls: tls(authority).routes_only(),
        ..config(number, 2, cluster)
    }
}

pub(crate) fn routes_speak_tls() {
    let authority = authority();
    let mut lab = Lab::new();
    for number in 0..3 {
        let config = secured(&lab, number, &authority);
        lab.add(config);
    }
    lab.wait("a full mesh", |lab| {
        lab.members().iter().all(|member| member.peers().len() == 2)
    });
    crate::all_to_all(&lab);
}

pub(crate) fn nobody_joins_without_a_certificate() {
    let mut lab = Lab::new();
    let first = secured(&lab, 0, &authority());
    let address = lab.add(first);
    // In clear: nothing is said before TLS, and then it ends.
    let mut plain = TcpStream::connect(address).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain
        .write_all(b"CONNECT {\"cluster\":\"C1\"}\r\nINFO {}\r\n")
        .unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"INFO"), "{}", said.escape_ascii());
    // A certificate of another authority.
    let stranger = secured(&lab, 1, &authority());
    lab.add(stranger);
    lab.wait("it was tried twice", |lab| {
        let cluster = lab.members()[1].broker().core().cluster().unwrap();
        cluster.figures().dials >= 2
    });
    assert!(lab.members().iter().all(|member| member.peers().is_empty()));
}

pub(crate) fn a_peer_of_another_name_is_refused() {
    let mut lab = Lab::new();
    let first = lab.add_muster(1);
    let other = ClusterSetting::new("C2", loopback()).with_routes([first]);
    lab.add(config(1, 1, other));
    let same_name = ClusterSetting::new("C1", loopback()).with_routes([first]);
    lab.add(config(0, 1, same_name));
    lab.wait("both were refused twice", |lab| {
        lab.members()[1..].iter().all(|member| {
            let cluster = member.broker().core().cluster().unwrap();
            cluster.figures().dials >= 2
        })
    });
    assert!(lab.members().iter().all(|member| member.peers().is_empty()));
    let figures = |place: usize| {
        lab.members()[place]
            .broker()
            .core()
            .cluster()
            .unwrap()
            .figures()
    };
    assert!(figures(2).refused_duplicate >= 1, "{:?}", figures(2));
    lab.stays("nobody joined", Duration::from_millis(300), |lab| {
        lab.members().iter().all(|member| member.peers().is_empty())
    });
}

pub(crate) fn a_peer_without_the_user_is_refused() {
    let credentials = || Some(("u".into(), "secret".into()));
    let mut lab = Lab::new();
    let mut first = ClusterSetting::new("C1", loopback());
    first.core.credentials = credentials();
    let address = lab.add(config(0, 1, first));
    lab.add_muster_with_routes(1, &[address]);
    lab.wait("it was tried twice", |lab| {
        let cluster = lab.members()[1].broker().core().cluster().unwrap();
        cluster.figures().dials >= 2
    });
    assert!(lab.members()[0].peers().is_empty());
    lab.stop(1);
    let mut third = ClusterSetting::new("C1", loopback()).with_routes([address]);
    third.core.credentials = credentials();
    lab.add(config(2, 1, third));
    crate::all_to_all(&lab);
}
