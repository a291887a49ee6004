//! Who asks when, and what becomes of messages.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;

use fastrand::Rng;
use foldhash::fast::SeedableRandomState;

use crate::algorithm::Hits;
use crate::algorithm::Timestamp;
use crate::limiter::ledger::Asked;
use crate::limiter::ledger::Ledger;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::limiter::ledger::simulation::plot::COSTS;
use crate::limiter::ledger::simulation::plot::DRAINS;
use crate::limiter::ledger::simulation::plot::GAPS;
use crate::limiter::ledger::simulation::plot::LIMITS_CHANGE;
use crate::limiter::ledger::simulation::plot::LITTLE_ROOM;
use crate::limiter::ledger::simulation::plot::LOST;
use crate::limiter::ledger::simulation::plot::NO_LEASES_AT_ONE;
use crate::limiter::ledger::simulation::plot::PAUSES;
use crate::limiter::ledger::simulation::plot::Plot;
use crate::limiter::ledger::simulation::plot::REPORTS;
use crate::limiter::ledger::simulation::plot::STEPS_BACK;
use crate::limiter::ledger::simulation::plot::TWO_KEYS;
use crate::limiter::ledger::simulation::plot::VERY_LATE;
use crate::limiter::ledger::simulation::record::Breach;
use crate::limiter::ledger::simulation::record::Use;
use crate::limiter::ledger::simulation::record::breach;
use crate::limiter::ledger::simulation::store::LogStore;
use crate::limiter::ledger::simulation::store::Mutant;
use crate::metrics::Metrics;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;
use crate::store::Veto;

/// Three replicas, a store, and what is on its way between them.
pub(super) struct World {
    plot: Plot,
    rng: Rng,
    /// True time, in microseconds. The store's clock runs with it, but may step back.
    now: u64,
    stepped_back: u64,
    store: LogStore,
    replicas: Vec<Replica>,
    requests: Vec<Request>,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    planned: Vec<Option<Event>>,
    uses: Vec<Vec<Use>>,
    window: Window,
    limit: u32,
    /// How many requests come before the next gap, and whether at once.
    until_gap: u32,
    is_rush: bool,
}

struct Replica {
    ledger: Ledger<(usize, usize)>,
    /// How much faster than true time its clock runs, in millionths.
    drift: i64,
    offset: u64,
    paused_until: u64,
    leases: bool,
}

/// A request for hits on some keys, and what has come of it.
struct Request {
    replica: usize,
    begin: u64,
    takes: Vec<Take>,
    replies: Vec<Option<Reply>>,
    is_over: bool,
    admitted: bool,
}

enum Event {
    Arrives(usize),
    Executes(usize, Flight),
    Returns(usize, Flight, Option<Answer>),
    /// A take that the ledger has no part in.
    ExecutesAlone(usize, usize),
    ReturnsAlone(usize, usize, Option<Answer>),
    GivesBack(Vec<GiveBack>),
    TimesOut(usize),
    Tick(usize),
}

impl World {
    /// Plays a schedule to its end.
    pub(super) fn play(plot: &Plot) -> Option<Breach> {
        let mut world = Self::new(*plot);
        let mut at = 0;
        for _ in 0..plot.n_requests {
            at += world.gap();
            let request = world.request(at);
            world.requests.push(request);
            world.plan(at, Event::Arrives(world.requests.len() - 1));
        }
        // Nothing is asked for later, and nobody waits for longer.
        world.run(at + 8 * world.life());
        let window = world.window.micros();
        world.uses.iter_mut().find_map(|uses| breach(uses, window))
    }

    /// How many hits each of three replicas admits that are asked for more than passes, for so many
    /// windows; the store answers within half a millisecond.
    pub(super) fn saturate(limit: u32, window: u32, n_windows: u64) -> Vec<u64> {
        let mut world = Self::new(Plot::smooth(1));
        world.window = Window::of(Unit::Second, NonZeroU32::new(window).unwrap()).unwrap();
        world.limit = limit;
        let end = n_windows * world.window.micros();
        let (mut at, n_requests) = (0, 3 * u64::from(limit) * n_windows);
        while at < end {
            at += world.rng.u64(1..=2 * end / n_requests);
            let take = world.take(0, 1);
            let replica = world.rng.usize(..3);
            world.requests.push(Request::new(replica, at, vec![take]));
            world.plan(at, Event::Arrives(world.requests.len() - 1));
        }
        world.run(end);
        assert_eq!(breach(&mut world.uses[0], world.window.micros()), None);
        let passed = |replica| {
            let admitted = world.requests.iter().filter(|it| it.admitted);
            admitted.filter(|it| it.replica == replica).count() as u64
        };
        (0..3).map(passed).collect()
    }

    fn new(plot: Plot) -> Self {
        let mut rng = Rng::with_seed(plot.seed);
        let seconds = [1, 3, 64][rng.usize(..3)];
        let metrics = Metrics::new().ledger();
        let replicas = (0..3).map(|index| Replica {
            ledger: Ledger::new(
                if plot.may(LITTLE_ROOM) { 1 } else { 4 },
                SeedableRandomState::fixed(),
                metrics.clone(),
            ),
            drift: rng.i64(-900..=900),
            offset: rng.u64(..10_000_000_000),
            paused_until: 0,
            leases: index > 0 || !plot.may(NO_LEASES_AT_ONE),
        });
        let mut world = Self {
            replicas: replicas.collect(),
            plot,
            now: 0,
            stepped_back: 0,
            store: LogStore::new(plot.mutant),
            requests: Vec::new(),
            events: BinaryHeap::new(),
            planned: Vec::new(),
            uses: vec![Vec::new(); KEYS],
            window: Window::of(Unit::Second, NonZeroU32::new(seconds).unwrap()).unwrap(),
            // Below 65 there are no leases, and far above it takes long to use them up.
            limit: match rng.u32(..5) {
                0 => rng.u32(1..65),
                1..4 => rng.u32(65..100),
                _ => rng.u32(100..300),
            },
            until_gap: 0,
            is_rush: true,
            rng,
        };
        for replica in 0..3 {
            world.plan(0, Event::Tick(replica));
        }
        world
    }

    /// How long until the next request: so that leases pay, and now and then much longer. With gaps,
    /// some come one after the other, and just when those are forgotten as many as may come at once;
    /// then there is silence until these are forgotten.
    fn gap(&mut self) -> u64 {
        let (life, window) = (self.life(), self.window.micros());
        if let Some(left) = self.until_gap.checked_sub(1) {
            self.until_gap = left;
            let longest = match self.rng.u32(..100) {
                _ if self.is_rush => life / 4_000,
                0..4 => 6 * life,
                4..40 => life / 4,
                _ => life / 50,
            };
            return self.rng.u64(..longest);
        }
        self.is_rush = self.plot.may(GAPS) && !self.is_rush;
        self.until_gap = match self.is_rush {
            true => self.limit,
            false => self.rng.u32(3..40),
        };
        match self.plot.may(GAPS) {
            true if self.is_rush => window - self.rng.u64(..2 * life),
            true => window + self.rng.u64(..2 * life),
            false => self.rng.u64(..6 * life),
        }
    }

    fn life(&self) -> u64 {
        self.window.micros().div_ceil(64).min(1_000_000)
    }

    fn request(&mut self, at: u64) -> Request {
        let replica = self.rng.usize(..3);
        let cost = match self.rng.u32(..10) {
            0 if self.plot.may(COSTS) => 0,
            1..4 if self.plot.may(COSTS) => self.rng.u64(1..=1 + u64::from(self.limit) / 3),
            _ => 1,
        };
        if self.plot.may(REPORTS) && self.rng.u32(..10) == 0 {
            let mut take = self.take(REPORTED, cost);
            if self.rng.bool() {
                take.hits = Hits::Report(self.rng.u64(1..20));
            }
            return Request::new(replica, at, vec![take]);
        }
        let mut takes = vec![self.take(self.rng.clone().usize(..2), cost)];
        if self.plot.may(TWO_KEYS) && self.rng.bool() {
            takes = vec![self.take(0, cost), self.take(1, cost)];
        }
        Request::new(replica, at, takes)
    }

    fn take(&self, key: usize, hits: u64) -> Take {
        Take {
            key: vec![u8::try_from(key).unwrap()],
            algorithm: Algorithm::SlidingWindow,
            // The second key is half as wide, so that it refuses what the first grants.
            limit: self.limit / (1 + u32::from(key == 1)),
            burst: 0,
            window: self.window,
            hits: Hits::Ask(hits),
            terms: None,
            veto: Veto::Alone,
        }
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.planned.push(Some(event));
        self.events
            .push(Reverse((at, self.planned.len() as u64 - 1)));
    }

    fn run(&mut self, end: u64) {
        while let Some(Reverse((at, index))) = self.events.pop() {
            if at > end {
                return;
            }
            self.now = at;
            let Some(event) = self.planned[usize::try_from(index).unwrap()].take() else {
                continue;
            };
            self.happen(event);
            self.go_wrong();
        }
    }

    fn happen(&mut self, event: Event) {
        let paused_until = event
            .replica(&self.requests)
            .map(|it| self.replicas[it].paused_until);
        if let Some(paused_until) = paused_until
            && paused_until > self.now
        {
            self.plan(paused_until, event);
            return;
        }
        match event {
            Event::Arrives(request) => self.arrive(request),
            Event::Executes(replica, flight) => {
                let clock = self.store_clock();
                let answer = self.store.call(&flight.unused, Some(&flight.take), clock);
                self.send(Event::Returns(replica, flight, answer));
            }
            Event::Returns(replica, mut flight, answer) => {
                let now = self.local(replica);
                if self.plot.mutant == Some(Mutant::ValidFromReply) {
                    flight.sent = now;
                }
                let settled = self.replicas[replica].ledger.settle(&flight, answer, now);
                for ((request, index), reply) in settled.replies {
                    self.reply(request, index, reply);
                }
                if let Some(flight) = settled.next {
                    self.send(Event::Executes(replica, flight));
                }
            }
            Event::ExecutesAlone(request, index) => {
                let clock = self.store_clock();
                let take = &self.requests[request].takes[index];
                let answer = self.store.call(&[], Some(take), clock);
                if matches!(take.hits, Hits::Report(_)) {
                    self.use_hits(request, index);
                }
                self.send(Event::ReturnsAlone(request, index, answer));
            }
            Event::ReturnsAlone(request, index, answer) => self.reply_alone(request, index, answer),
            Event::GivesBack(unused) => {
                let clock = self.store_clock();
                self.store.call(&unused, None, clock);
            }
            Event::TimesOut(request) => self.end(request, false),
            Event::Tick(replica) => {
                let now = self.local(replica);
                self.replicas[replica].ledger.expire(now);
                let unused = self.replicas[replica].ledger.unused();
                if !unused.is_empty() {
                    self.send(Event::GivesBack(unused));
                }
                self.plan(self.now + self.life() / 2, Event::Tick(replica));
            }
        }
    }

    /// Now and then something happens that should not.
    fn go_wrong(&mut self) {
        let odds = self.rng.u32(..3_000);
        let life = self.life();
        let replica = self.rng.usize(..3);
        match odds {
            0..6 if self.plot.may(PAUSES) => {
                self.replicas[replica].paused_until = self.now + self.rng.u64(..3 * life);
            }
            6..10 if self.plot.may(DRAINS) => self.replicas[replica].ledger.drain(),
            10..14 if self.plot.may(STEPS_BACK) => {
                let micros = [life, 1_000_000, 100_000_000][self.rng.usize(..3)];
                self.stepped_back += self.rng.u64(..micros);
            }
            14..18 if self.plot.may(LIMITS_CHANGE) => {
                self.limit = self.rng.u32(1..2 * self.limit + 2);
                let limit = self.limit;
                for request in self.requests.iter_mut().filter(|it| it.begin > self.now) {
                    for take in &mut request.takes {
                        take.limit = limit / (1 + u32::from(take.key == [1]));
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends a message, which takes its time and may get lost. Who waits for the answer to a lost
    /// one learns of that at some time.
    fn send(&mut self, event: Event) {
        let life = self.life();
        let late = self.plot.may(VERY_LATE) && self.rng.u32(..5) == 0;
        let delay = match (late, &event) {
            (true, Event::GivesBack(_)) => self.rng.u64(..self.window.micros() * 3 / 2),
            (true, _) => self.rng.u64(..3 * life),
            (false, _) => self.rng.u64(100..500),
        };
        let is_lost = self.plot.may(LOST) && self.rng.u32(..30) == 0;
        let event = match event {
            event if !is_lost => event,
            Event::Executes(replica, flight) | Event::Returns(replica, flight, _) => {
                Event::Returns(replica, flight, None)
            }
            Event::ExecutesAlone(request, index) | Event::ReturnsAlone(request, index, _) => {
                Event::ReturnsAlone(request, index, None)
            }
            _ => return,
        };
        self.plan(self.now + delay, event);
    }

    fn arrive(&mut self, request: usize) {
        let Request {
            replica, ref takes, ..
        } = self.requests[request];
        let (takes, now) = (takes.clone(), self.local(replica));
        self.plan(self.now + 4 * self.life(), Event::TimesOut(request));
        let ledger = &self.replicas[replica].ledger;
        let is_kept = |take: &Take| usize::from(take.key[0]) != REPORTED;
        let by_ledger = self.replicas[replica].leases && takes.iter().all(is_kept);
        if by_ledger && takes.iter().any(|take| !ledger.look(take, now).fits) {
            self.end(request, false);
            return;
        }
        for (index, take) in takes.iter().enumerate() {
            if !by_ledger {
                self.send(Event::ExecutesAlone(request, index));
                continue;
            }
            let ledger = &self.replicas[replica].ledger;
            match ledger.ask(take, takes.len() > 1, now, || (request, index)) {
                Asked::Answered(reply) => self.reply(request, index, reply),
                Asked::Sends(flight) => self.send(Event::Executes(replica, flight)),
                Asked::Unkept => self.send(Event::ExecutesAlone(request, index)),
                Asked::Waits => {}
            }
        }
    }

    fn reply_alone(&mut self, request: usize, index: usize, answer: Option<Answer>) {
        let reply = match answer {
            Some(it) if it.decision.fits => {
                let grant = Grant {
                    hits: it.granted,
                    booked: it.booked,
                    ..Grant::default()
                };
                Reply::Granted(it.decision, grant)
            }
            Some(it) => Reply::Refused(it.decision),
            None => Reply::Failed,
        };
        self.reply(request, index, reply);
    }

    fn reply(&mut self, request: usize, index: usize, reply: Reply) {
        if self.requests[request].is_over {
            self.put_back(request, index, reply);
            return;
        }
        self.requests[request].replies[index] = Some(reply);
        let replies = &self.requests[request].replies;
        if replies.iter().all(Option::is_some) {
            let is_granted = |reply: &Option<Reply>| matches!(reply, Some(Reply::Granted(..)));
            let admitted = replies.iter().all(is_granted);
            self.end(request, admitted);
        }
    }

    /// Ends a request: admitted, or with everything put back that it was granted.
    fn end(&mut self, request: usize, admitted: bool) {
        if std::mem::replace(&mut self.requests[request].is_over, true) {
            return;
        }
        self.requests[request].admitted = admitted;
        for index in 0..self.requests[request].takes.len() {
            let is_ask = matches!(self.requests[request].takes[index].hits, Hits::Ask(_));
            if admitted && is_ask {
                self.use_hits(request, index);
            } else if let Some(reply) = self.requests[request].replies[index] {
                self.put_back(request, index, reply);
            }
        }
    }

    fn use_hits(&mut self, request: usize, index: usize) {
        let Request {
            begin, ref takes, ..
        } = self.requests[request];
        let (hits, limit) = match takes[index].hits {
            Hits::Ask(hits) => (hits, Some(u64::from(takes[index].limit))),
            Hits::Report(hits) => (hits, None),
        };
        let used = Use {
            begin,
            end: self.now,
            hits,
            limit,
        };
        self.uses[usize::from(takes[index].key[0])].push(used);
    }

    fn put_back(&mut self, request: usize, index: usize, reply: Reply) {
        let Request {
            replica, ref takes, ..
        } = self.requests[request];
        if let (Reply::Granted(_, grant), Hits::Ask(_)) = (reply, takes[index].hits) {
            let now = self.local(replica);
            self.replicas[replica]
                .ledger
                .put_back(&takes[index], grant, now);
        }
    }

    fn local(&self, replica: usize) -> Timestamp {
        let Replica { drift, offset, .. } = self.replicas[replica];
        let now = i128::from(self.now);
        let drifted = now + now * i128::from(drift) / 1_000_000;
        Timestamp(offset + u64::try_from(drifted).unwrap())
    }

    fn store_clock(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000 + self.now - self.stepped_back)
    }
}

impl Request {
    fn new(replica: usize, begin: u64, takes: Vec<Take>) -> Self {
        let replies = vec![None; takes.len()];
        Self {
            replica,
            begin,
            takes,
            replies,
            is_over: false,
            admitted: false,
        }
    }
}

impl Event {
    /// At which replica it happens, if at one.
    fn replica(&self, requests: &[Request]) -> Option<usize> {
        match self {
            Self::Arrives(request) | Self::ReturnsAlone(request, ..) | Self::TimesOut(request) => {
                Some(requests[*request].replica)
            }
            Self::Returns(replica, ..) | Self::Tick(replica) => Some(*replica),
            Self::Executes(..) | Self::ExecutesAlone(..) | Self::GivesBack(_) => None,
        }
    }
}

/// Keys that leases are taken on, and one more that has reports.
const KEYS: usize = 3;
const REPORTED: usize = 2;
