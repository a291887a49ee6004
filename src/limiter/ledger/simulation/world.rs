//! Three replicas and a store in virtual time, and what happens to them.

mod mishaps;
mod outcome;
mod traffic;
pub(super) mod trap;

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
use crate::limiter::ledger::flight::Reply;
use crate::limiter::ledger::queue::Manner;
use crate::limiter::ledger::simulation::plot::LITTLE_ROOM;
use crate::limiter::ledger::simulation::plot::LOST;
use crate::limiter::ledger::simulation::plot::NO_LEASES_AT_ONE;
use crate::limiter::ledger::simulation::plot::Plot;
use crate::limiter::ledger::simulation::record::Breach;
use crate::limiter::ledger::simulation::record::Use;
use crate::limiter::ledger::simulation::store::LogStore;
use crate::limiter::ledger::simulation::store::Mutant;
use crate::metrics::LedgerMetrics;
use crate::metrics::Metrics;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;

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
    metrics: LedgerMetrics,
    uses: Vec<Vec<Use>>,
    /// One that was seen already, and when the first key was reset last.
    breach: Option<Breach>,
    begun_anew: u64,
    window: Window,
    limit: u32,
    /// For how long the first replica's answers and what anybody gives back are under way, where that is
    /// planned.
    answers_take: u64,
    give_backs_take: u64,
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
    /// How often it was killed: what was on its way to one before it does not arrive.
    n_deaths: u32,
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

/// A replica, and how often it had died when it sent something.
type Sender = (usize, u32);

enum Event {
    Arrives(usize),
    Executes(Sender, Flight),
    Returns(Sender, Flight, Option<Answer>),
    /// A take that the ledger has no part in.
    ExecutesAlone(usize, usize),
    ReturnsAlone(usize, usize, Option<Answer>),
    GivesBack(Vec<GiveBack>),
    Resets,
    TimesOut(usize),
    Tick(usize),
}

impl World {
    fn new(plot: Plot) -> Self {
        let mut rng = Rng::with_seed(plot.seed);
        let seconds = [1, 3, 64][rng.usize(..3)];
        let metrics = Metrics::new().ledger();
        let replicas = (0..3).map(|index| Replica {
            ledger: ledger(&plot, &metrics),
            drift: rng.i64(-900..=900),
            offset: rng.u64(..10_000_000_000),
            paused_until: 0,
            leases: index > 0 || !plot.may(NO_LEASES_AT_ONE),
            n_deaths: 0,
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
            metrics,
            uses: vec![Vec::new(); KEYS],
            breach: None,
            begun_anew: 0,
            window: Window::of(Unit::Second, NonZeroU32::new(seconds).unwrap()).unwrap(),
            // Below 65 there are no leases, and far above it takes long to use them up.
            limit: match rng.u32(..5) {
                0 => rng.u32(1..65),
                1..4 => rng.u32(65..100),
                _ => rng.u32(100..300),
            },
            answers_take: 0,
            give_backs_take: 0,
            until_gap: 0,
            is_rush: true,
            rng,
        };
        for replica in 0..3 {
            world.plan(0, Event::Tick(replica));
        }
        world
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
            Event::Executes(sender, flight) => {
                let clock = self.store_clock();
                let mut answer = self.store.call(&flight.unused, Some(&flight.take), clock);
                if self.plot.may(LOST) && self.rng.u32(..10) == 0 {
                    // It is given up before its answer comes, and what that grants goes back.
                    let late = answer.take().filter(|it| it.granted > 0);
                    let late = late.map(|late| GiveBack {
                        key: flight.take.key.clone(),
                        limit: flight.take.limit,
                        burst: flight.take.burst,
                        window: flight.take.window,
                        hits: late.granted,
                        booked: late.booked,
                    });
                    self.send(Event::GivesBack(late.into_iter().collect()));
                }
                self.send(Event::Returns(sender, flight, answer));
            }
            Event::Returns((replica, n_deaths), mut flight, answer) => {
                if self.replicas[replica].n_deaths != n_deaths {
                    return;
                }
                let now = self.local(replica);
                if self.plot.mutant == Some(Mutant::ValidFromReply) {
                    flight.sent = now;
                }
                let settled = self.replicas[replica].ledger.settle(&flight, answer, now);
                for ((request, index), reply) in settled.replies {
                    self.reply(request, index, reply);
                }
                if let Some(flight) = settled.next {
                    self.send(self.executes(replica, flight));
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
            Event::Resets => self.reset(),
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

    fn executes(&self, replica: usize, flight: Flight) -> Event {
        Event::Executes((replica, self.replicas[replica].n_deaths), flight)
    }

    fn arrive(&mut self, request: usize) {
        let Request {
            replica, ref takes, ..
        } = self.requests[request];
        let (takes, now) = (takes.clone(), self.local(replica));
        self.plan(self.now + 4 * self.life(), Event::TimesOut(request));
        let ledger = &self.replicas[replica].ledger;
        let is_ask = |take: &Take| matches!(take.hits, Hits::Ask(_));
        let by_ledger = self.replicas[replica].leases && takes.iter().all(is_ask);
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
            let manner = Manner {
                now,
                until: now.plus(4 * self.life()),
                is_one_of_several: takes.len() > 1,
                may_lease: usize::from(take.key[0]) != REPORTED,
            };
            match ledger.ask(take, manner, || Some((request, index))) {
                Asked::Answered(reply) => self.reply(request, index, reply),
                Asked::Crowded => unreachable!("anybody may wait here"),
                Asked::Sends(flight) => self.send(self.executes(replica, flight)),
                Asked::Unkept => self.send(Event::ExecutesAlone(request, index)),
                Asked::Waits => {}
            }
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
            Self::Returns((replica, _), ..) | Self::Tick(replica) => Some(*replica),
            Self::Executes(..) | Self::ExecutesAlone(..) | Self::GivesBack(_) | Self::Resets => {
                None
            }
        }
    }
}

fn ledger(plot: &Plot, metrics: &LedgerMetrics) -> Ledger<(usize, usize)> {
    let n_keys = if plot.may(LITTLE_ROOM) { 1 } else { 4 };
    Ledger::new(n_keys, SeedableRandomState::fixed(), metrics.clone())
}

/// Keys that leases are taken on, and one more that has reports.
const KEYS: usize = 3;
const REPORTED: usize = 2;
