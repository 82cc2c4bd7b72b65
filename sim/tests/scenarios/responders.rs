//! Requests while responders come and go: a request is told that nobody listens exactly when it reached nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_sim::{StationId, World, WorldConfig};
use muster_testkit::{Rng, for_seeds};

use super::{ASKING, MS, QUIET, SECOND};

const STEPS: usize = 150;

/// One subscription of a responder, and what is known of when it was live.
struct Service {
    station: StationId,
    sid: u64,
    /// It is one of a group, so another may get the message.
    grouped: bool,
    /// It may end by itself.
    limited: bool,
    said: Duration,
    /// The pong that shows it live.
    pong: usize,
    /// When it was given up, and the pong that shows it gone.
    ended: Option<(Duration, usize)>,
}

struct Request {
    station: StationId,
    text: String,
    said: Duration,
    /// The pong that shows it dealt with.
    pong: usize,
}

struct Scene {
    world: World,
    rng: Rng,
    responders: Vec<StationId>,
    requesters: Vec<StationId>,
    services: Vec<Service>,
    requests: Vec<Request>,
    /// Pings each station has said.
    pings: BTreeMap<StationId, usize>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut config = WorldConfig::new(seed);
        config.core.deliveries_a_turn = *Rng::new(seed).pick(&[1, 3, 8192]);
        let mut world = World::new(config);
        let rng = world.rng();
        let responders: Vec<StationId> = (0..4).map(|_| world.add_raw(QUIET)).collect();
        let requesters: Vec<StationId> = (0..3).map(|_| world.add_raw(ASKING)).collect();
        for (at, requester) in requesters.iter().enumerate() {
            world.say(*requester, &format!("SUB _INBOX.{at}.* 1\r\n"));
        }
        let all: Vec<StationId> = responders.iter().chain(&requesters).copied().collect();
        world.assemble(&all, 10 * SECOND);
        let (services, requests, pings) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self {
            world,
            rng,
            responders,
            requesters,
            services,
            requests,
            pings,
        }
    }

    /// Says something with a ping behind it; returns the number of its pong.
    fn say(&mut self, station: StationId, text: &str) -> usize {
        self.world.say(station, &format!("{text}PING\r\n"));
        let pings = self.pings.entry(station).or_default();
        *pings += 1;
        *pings - 1
    }

    fn serve(&mut self) {
        let station = *self.rng.pick(&self.responders);
        let sid = self.services.len() as u64 + 1;
        let (grouped, limited) = (self.rng.percent(40), self.rng.percent(25));
        let subject = *self.rng.pick(&["svc.a", "svc.*", "svc.>"]);
        let queue = if grouped { " group" } else { "" };
        let mut text = format!("SUB {subject}{queue} {sid}\r\n");
        if limited {
            text += &format!("UNSUB {sid} {}\r\n", self.rng.within(1..=3));
        }
        let (said, pong) = (self.world.now(), self.say(station, &text));
        self.services.push(Service {
            station,
            sid,
            grouped,
            limited,
            said,
            pong,
            ended: None,
        });
    }

    fn give_up(&mut self, at: usize) {
        let (station, sid) = (self.services[at].station, self.services[at].sid);
        let (now, pong) = (
            self.world.now(),
            self.say(station, &format!("UNSUB {sid}\r\n")),
        );
        self.services[at].ended = Some((now, pong));
    }

    fn request(&mut self) {
        let at = self.rng.below(self.requesters.len());
        let (station, number) = (self.requesters[at], self.requests.len());
        let text = format!("_INBOX.{at}.{number}");
        let said = self.world.now();
        let pong = self.say(
            station,
            &format!("PUB svc.a {text} {}\r\n{text}\r\n", text.len()),
        );
        self.requests.push(Request {
            station,
            text,
            said,
            pong,
        });
    }

    fn step(&mut self) {
        let open: Vec<usize> = (0..self.services.len())
            .filter(|at| self.services[*at].ended.is_none())
            .collect();
        match self.rng.below(8) {
            // Few at a time, so that there often is none.
            0 if open.len() < 3 => self.serve(),
            1 | 2 if !open.is_empty() => {
                let at = *self.rng.pick(&open);
                self.give_up(at);
            }
            3..6 => self.request(),
            _ => {
                let wait = self.rng.time(MS / 100..=6 * MS);
                self.world.run_for(wait);
            }
        }
    }

    /// How many got the message of each request: plain subscriptions by sid.
    fn receivers(&self) -> BTreeMap<&str, Vec<u64>> {
        let mut receivers: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for responder in &self.responders {
            for (sid, text) in self.world.raw(*responder).messages() {
                receivers.entry(text).or_default().push(sid);
            }
        }
        receivers
    }

    fn check(&self) -> (usize, usize) {
        let receivers = self.receivers();
        let pong_at = |station, pong| {
            self.world
                .raw(station)
                .pong_at(pong)
                .expect("all pings are answered")
        };
        let (mut heard, mut unheard) = (0, 0);
        for Request {
            station,
            text,
            said,
            pong,
        } in &self.requests
        {
            let done = pong_at(*station, *pong);
            let got = receivers.get(&**text).map_or(&[][..], Vec::as_slice);
            let told = self
                .world
                .raw(*station)
                .unanswered()
                .filter(|subject| subject == text)
                .count();
            assert_eq!(told, usize::from(got.is_empty()), "{text} reached {got:?}");
            let mut possible = false;
            for service in &self.services {
                let live_before = pong_at(service.station, service.pong) < *said;
                let open = service.ended.is_none_or(|(at, _)| at > done);
                let gone = service
                    .ended
                    .is_some_and(|(_, pong)| pong_at(service.station, pong) < *said);
                possible |= !gone && service.said < done;
                if live_before && open && !service.limited {
                    assert!(
                        !got.is_empty(),
                        "{text} passed over the live {}",
                        service.sid
                    );
                    assert!(
                        service.grouped || got.contains(&service.sid),
                        "{text}: {got:?}"
                    );
                }
                let gets = got.iter().filter(|sid| **sid == service.sid).count();
                assert!(
                    gets <= usize::from(!gone),
                    "{text} came {gets} times to {}",
                    service.sid
                );
            }
            assert!(
                possible || got.is_empty(),
                "{text} reached {got:?}, who cannot be there"
            );
            heard += usize::from(told == 0);
            unheard += told;
        }
        (heard, unheard)
    }
}

#[test]
fn a_request_is_told_that_nobody_listens_exactly_when_nobody_does() {
    let name = "responders::a_request_is_told_that_nobody_listens_exactly_when_nobody_does";
    let (heard, unheard) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let ran = for_seeds(name, 50, |seed| {
        let mut scene = Scene::new(seed);
        for _ in 0..STEPS {
            scene.step();
        }
        scene.world.run_for(SECOND);
        let (some, none) = scene.check();
        heard.set(heard.get() + some);
        unheard.set(unheard.get() + none);
        assert_eq!(scene.world.counters().no_responders, none as u64);
        scene.world.assert_at_rest();
        scene.world.assert_dissolves();
    });
    let both = heard.get() > 0 && unheard.get() > 0;
    assert!(ran < 10 || both, "the seeds try one side only");
}
