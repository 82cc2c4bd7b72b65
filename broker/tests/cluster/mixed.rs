//! Members of ours and real ones together.

use std::time::Duration;

use crate::all_to_all;
use crate::clients::Told;
use crate::lab::{Lab, messages};
use crate::real::RealConfig;

/// Everybody knows everybody.
pub(crate) fn complete(lab: &Lab) {
    let others = lab.members().len() - 1;
    lab.wait("a full mesh", |lab| {
        lab.members()
            .iter()
            .all(|member| member.peers().len() == others)
    });
}

pub(crate) fn ours_dial_a_real_one() {
    let mut lab = Lab::new();
    let real = lab.add_real(&[]);
    lab.add_muster_with_routes(1, &[real]);
    lab.add_muster_with_routes(3, &[real]);
    complete(&lab);
    let routes = lab.members()[0].real().routes();
    assert!(
        routes
            .iter()
            .all(|route| route["compression"] == "not supported")
    );
    all_to_all(&lab);
}

pub(crate) fn a_real_one_dials_ours() {
    let mut lab = Lab::new();
    let first = lab.add_muster(1);
    let second = lab.add_muster(3);
    lab.add_real(&[first, second]);
    complete(&lab);
    all_to_all(&lab);
    lab.stays("a full mesh", Duration::from_secs(3), |lab| {
        std::thread::sleep(Duration::from_millis(50));
        lab.members().iter().all(|member| member.peers().len() == 2)
    });
}

pub(crate) fn all_dial_all() {
    for _ in 0..4 {
        let mut lab = Lab::new();
        let first = lab.add_muster(1);
        let real = lab.add_real(&[first]);
        lab.add_muster_with_routes(1, &[first, real]);
        lab.dial_from(0, real);
        complete(&lab);
        all_to_all(&lab);
    }
}

pub(crate) fn two_real_ones_and_one_seed() {
    let mut lab = Lab::new();
    let first = lab.add_real(&[]);
    lab.add_real(&[first]);
    lab.add_muster_with_routes(2, &[first]);
    complete(&lab);
    all_to_all(&lab);
}

pub(crate) fn news_of_a_real_newcomer_leads_to_a_dial() {
    let mut lab = Lab::new();
    let real = lab.add_real(&[]);
    lab.add_muster_with_routes(1, &[real]);
    complete(&lab);
    lab.add_real(&[real]);
    complete(&lab);
    all_to_all(&lab);
}

pub(crate) fn a_real_one_is_killed_and_comes_back() {
    let mut lab = Lab::new();
    let real = lab.add_real(&[]);
    lab.add_muster_with_routes(1, &[real]);
    lab.add_muster_with_routes(1, &[real]);
    complete(&lab);
    let plan = lab.stop(0);
    complete(&lab);
    lab.restart(plan);
    complete(&lab);
    all_to_all(&lab);
}

pub(crate) fn ours_restarts_and_real_ones_take_it_at_once() {
    let mut lab = Lab::new();
    let first = lab.add_real(&[]);
    let second = lab.add_real(&[first]);
    lab.add_muster_with_routes(1, &[first, second]);
    complete(&lab);
    let plan = lab.stop(2);
    lab.restart(plan);
    complete(&lab);
    all_to_all(&lab);
}

pub(crate) fn real_ones_with_other_settings() {
    for setting in [
        "pool_size: -1",
        "pool_size: 5",
        "compression: s2_fast",
        "compression: off",
    ] {
        let mut lab = Lab::new();
        let ours = lab.add_muster(1);
        let mut config = RealConfig::new("r1", &[ours]);
        config.cluster = format!("name: C1\n  {setting}");
        let real = lab.add_real_as(config);
        lab.add_muster_with_routes(1, &[real]);
        complete(&lab);
        all_to_all(&lab);
    }
}

pub(crate) fn a_made_up_name_gives_way() {
    let mut lab = Lab::new();
    let ours = lab.add_muster(1);
    let mut config = RealConfig::new("r1", &[ours]);
    config.cluster = String::new();
    lab.add_real_as(config);
    complete(&lab);
    let info = Told::by(lab.members()[1].address());
    assert!(info.line().contains(r#""cluster":"C1""#), "{}", info.line());
    all_to_all(&lab);
}

pub(crate) fn clients_of_both_hear_of_each_other() {
    let mut lab = Lab::new();
    let real = lab.add_real(&[]);
    let mut at_real = Told::by(lab.members()[0].address());
    lab.add_muster_with_routes(1, &[real]);
    let (real, ours) = (lab.members()[0].address(), lab.members()[1].address());
    let mut at_ours = Told::by(ours);
    at_real.wait_for(&[real, ours]);
    at_ours.wait_for(&[ours, real]);
    lab.stop(1);
    at_real.wait_for(&[real]);
}

pub(crate) fn a_real_lame_duck() {
    let mut lab = Lab::new();
    let real = lab.add_real(&[]);
    lab.add_muster_with_routes(1, &[real]);
    let (real, ours) = (lab.members()[0].address(), lab.members()[1].address());
    // It tells peers only while it has clients.
    let mut at_real = Told::by(real);
    let mut at_ours = Told::by(ours);
    at_ours.wait_for(&[ours, real]);
    let mut subscriber = lab.members()[1].client();
    subscriber.send(b"SUB still 1\r\n");
    subscriber.round_trip();
    lab.settle();
    lab.members()[0].real().signal("USR2");
    at_ours.wait_for(&[ours]);
    assert_eq!(lab.members()[1].peers().len(), 1, "the route stays");
    at_real.send(b"PUB still 2\r\nhi\r\n");
    assert_eq!(messages(&mut subscriber, 1), ["hi"]);
    assert!(lab.members()[0].real().log().contains("ame duck"));
}
