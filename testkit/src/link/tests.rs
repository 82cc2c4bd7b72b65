use super::*;

const MS: Duration = Duration::from_millis(1);

fn link(seed: u64, model: LinkModel) -> Link {
    Link::new(model, Rng::new(seed))
}

/// Everything that arrives for an end until nothing more is on its way, with the moments.
fn drain(link: &mut Link, end: End, mut now: Duration) -> (Vec<u8>, Vec<Duration>, Arrival) {
    let (mut bytes, mut moments) = (Vec::new(), Vec::new());
    loop {
        let arrival = link.receive(end, now, usize::MAX, &mut bytes);
        match (arrival, link.next_arrival(end, now)) {
            (Arrival::Bytes(_), _) => moments.push(now),
            (Arrival::Nothing, Some(at)) => now = at,
            (ended, _) => return (bytes, moments, ended),
        }
    }
}

#[test]
fn nothing_is_lost_or_overtaken_and_pieces_are_cut_anywhere() {
    let mut pieces = 0;
    for seed in 0..50 {
        let mut link = link(
            seed,
            LinkModel {
                chunk_max: 30,
                ..LinkModel::default()
            },
        );
        let sent: Vec<u8> = (0..=255).cycle().take(2000).collect();
        for piece in sent.chunks(700) {
            assert_eq!(link.send(End::Near, piece, MS), piece.len());
        }
        assert!(!link.is_readable(End::Far, MS));
        let (got, moments, ended) = drain(&mut link, End::Far, MS);
        assert_eq!((got, ended), (sent, Arrival::Nothing));
        assert!(moments.is_sorted());
        pieces += moments.len();
        assert!(
            moments.iter().all(|at| *at > MS && *at <= 6 * MS),
            "{moments:?}"
        );
        assert_eq!(link.in_flight(End::Near), 0);
    }
    assert!(pieces > 150, "{pieces} in 50 runs");
}

#[test]
fn what_finds_no_room_stays_with_the_sender() {
    let mut link = link(
        1,
        LinkModel {
            in_flight_max: 100,
            ..LinkModel::default()
        },
    );
    assert_eq!(link.send(End::Far, &[7; 160], MS), 100);
    assert_eq!(link.send(End::Far, &[7; 60], MS), 0);
    assert!(!link.take_writable(End::Far));
    let mut got = Vec::new();
    assert_eq!(
        link.receive(End::Near, 10 * MS, 20, &mut got),
        Arrival::Bytes(20)
    );
    assert!(
        !link.take_writable(End::Far),
        "there is too little room to speak of"
    );
    assert_eq!(
        link.receive(End::Near, 10 * MS, 70, &mut got),
        Arrival::Bytes(70)
    );
    assert!(link.take_writable(End::Far));
    assert!(!link.take_writable(End::Far), "it is said once");
    assert_eq!(link.send(End::Far, &[7; 60], MS), 60);
}

#[test]
fn bandwidth_spreads_bytes_over_time() {
    let model = LinkModel {
        bytes_per_second: Some(1000),
        ..LinkModel::default()
    };
    let mut link = link(1, model);
    link.send(End::Near, &[0; 500], Duration::ZERO);
    let (got, moments, _) = drain(&mut link, End::Far, Duration::ZERO);
    assert_eq!(got.len(), 500);
    let last = *moments.last().unwrap();
    assert!(last >= 500 * MS && last <= 505 * MS, "{last:?}");
}

#[test]
fn a_parted_link_goes_on_late() {
    let mut link = link(3, LinkModel::default());
    link.send(End::Near, b"before", Duration::ZERO);
    let first = link.next_arrival(End::Far, Duration::ZERO).unwrap();
    link.part(first);
    link.send(End::Near, b" within", first);
    assert_eq!(link.next_arrival(End::Far, first), None);
    let mut got = Vec::new();
    // What had arrived can still be read.
    assert!(matches!(
        link.receive(End::Far, 900 * MS, 99, &mut got),
        Arrival::Bytes(_)
    ));
    assert!(b"before".starts_with(&got));
    assert!(!link.is_readable(End::Far, 900 * MS));
    link.heal(1000 * MS);
    link.send(End::Near, b" after", 1000 * MS);
    let (rest, moments, _) = drain(&mut link, End::Far, 1000 * MS);
    got.extend(rest);
    assert_eq!(got, b"before within after");
    assert!(moments.iter().all(|at| *at > 1000 * MS));
}

#[test]
fn a_severed_link_loses_what_is_under_way_and_both_ends_hear_of_it() {
    let mut link = link(3, LinkModel::default());
    link.send(End::Near, b"lost", Duration::ZERO);
    link.send(End::Far, b"lost", Duration::ZERO);
    link.sever(Duration::ZERO);
    assert_eq!(link.send(End::Near, b"lost", Duration::ZERO), 4);
    for end in [End::Near, End::Far] {
        assert!(!link.is_readable(end, Duration::ZERO));
        let (got, _, ended) = drain(&mut link, end, Duration::ZERO);
        assert_eq!((got.len(), ended), (0, Arrival::Broken));
    }
}

#[test]
fn an_end_that_shuts_is_heard_to_the_end() {
    let mut link = link(
        3,
        LinkModel {
            in_flight_max: 10,
            ..LinkModel::default()
        },
    );
    link.send(End::Near, b"last", Duration::ZERO);
    link.send(End::Far, b"unheard and too much", Duration::ZERO);
    link.shut(End::Near, Duration::ZERO);
    assert!(link.take_writable(End::Far));
    assert_eq!(link.send(End::Far, &[0; 1000], Duration::ZERO), 1000);
    let (got, _, ended) = drain(&mut link, End::Far, Duration::ZERO);
    assert_eq!((got.as_slice(), ended), (&b"last"[..], Arrival::Shut));
    assert!(!link.is_gone());
    link.shut(End::Far, Duration::ZERO);
    assert!(link.is_gone());
}
