//! Between the ledger and the store: takes go out, answers reach who waits for them, and what nobody
//! uses goes back.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::SeedableRandomState;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::algorithm::Decision;
use crate::limiter::Undecided;
use crate::limiter::clock::Clock;
use crate::limiter::ledger::Asked;
use crate::limiter::ledger::Ledger;
use crate::limiter::ledger::MAX_KEYS;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::metrics::LedgerMetrics;
use crate::metrics::StoreMetrics;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// The ledger, and the way from it to the [`Courier`]. At most [`MAX_FLIGHTS`] takes wait there;
/// whoever needs another fails at once.
#[derive(Debug)]
pub(super) struct Leases {
    ledger: Ledger<Waiter>,
    flights: mpsc::Sender<Flight>,
    clock: Arc<dyn Clock>,
}

/// Carries takes to the store. It belongs on the thread on which the store's answers are read.
#[must_use = "without its courier the ledger never asks the store"]
#[derive(Debug)]
pub struct Courier {
    leases: Arc<Leases>,
    store: Arc<dyn Store>,
    flights: mpsc::Receiver<Flight>,
    metrics: StoreMetrics,
}

type Waiter = oneshot::Sender<Result<Reply, StoreError>>;

impl Leases {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: LedgerMetrics,
        store_metrics: StoreMetrics,
    ) -> (Arc<Self>, Courier) {
        let (sender, flights) = mpsc::channel(MAX_FLIGHTS);
        let leases = Arc::new(Self {
            ledger: Ledger::new(MAX_KEYS, SeedableRandomState::random(), metrics),
            flights: sender,
            clock,
        });
        let courier = Courier {
            leases: Arc::clone(&leases),
            store,
            flights,
            metrics: store_metrics,
        };
        (leases, courier)
    }

    /// Decides the asks of a request, all or none; none if there is no room for their keys, and then
    /// nothing was taken.
    pub(super) async fn decide(
        &self,
        takes: &[Take],
        now: Now,
        patience: Duration,
    ) -> Option<Leased> {
        let is_together = takes.len() > 1;
        if is_together {
            let look = |take| self.ledger.look(take, now.steady);
            let looks: Vec<Decision> = takes.iter().map(look).collect();
            if !admits(takes, &looks) {
                return Some(Leased {
                    decided: Ok(looks),
                    has_asked: false,
                });
            }
        }
        let mut held = Held {
            leases: self,
            takes,
            asks: Vec::with_capacity(takes.len()),
        };
        for take in takes {
            let mut receiver = None;
            let who = || {
                let (sender, its_receiver) = oneshot::channel();
                receiver = Some(its_receiver);
                sender
            };
            match self.ledger.ask(take, is_together, now.steady, who) {
                Asked::Answered(reply) => held.asks.push(Pending::Answered(reply)),
                Asked::Sends(flight) => self.send(flight),
                Asked::Unkept => return None,
                Asked::Waits => {}
            }
            held.asks.extend(receiver.map(Pending::Waits));
        }
        let has_asked = held.asks.iter().any(|it| matches!(it, Pending::Waits(_)));
        Some(Leased {
            decided: held.decided(patience).await,
            has_asked,
        })
    }

    fn send(&self, flight: Flight) {
        if let Err(unsent) = self.flights.try_send(flight) {
            let flight = unsent.into_inner();
            self.settle(&flight, Err(StoreError::Full));
        }
    }

    /// Hands the store's answer to who waits for it; takes for those who came meanwhile are sent.
    fn settle(&self, flight: &Flight, answer: Result<Answer, StoreError>) {
        let now = self.clock.now().steady;
        let (answer, why) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(why) => (None, Some(why)),
        };
        let settled = self.ledger.settle(flight, answer, now);
        for (waiter, reply) in settled.replies {
            let reply = match &why {
                None => Ok(reply),
                Some(why) => Err(why.clone()),
            };
            if let Err(Ok(Reply::Granted(_, grant))) = waiter.send(reply) {
                self.ledger.put_back(&flight.take, grant, now);
            }
        }
        if let Some(next) = settled.next {
            self.send(next);
        }
    }
}

/// What was decided of a request.
pub(super) struct Leased {
    pub(super) decided: Result<Vec<Decision>, Undecided>,
    /// Whether the store had a part in it; what is answered without it says nothing about it.
    pub(super) has_asked: bool,
}

/// The asks of a request. What they were granted is put back unless the request is admitted, also
/// when nobody waits for it any more.
struct Held<'a> {
    leases: &'a Leases,
    takes: &'a [Take],
    /// One a take.
    asks: Vec<Pending>,
}

enum Pending {
    Answered(Reply),
    Waits(oneshot::Receiver<Result<Reply, StoreError>>),
}

impl Held<'_> {
    async fn decided(mut self, patience: Duration) -> Result<Vec<Decision>, Undecided> {
        let answered = tokio::time::timeout(patience, self.answered());
        answered.await.map_err(|_| Undecided::Late)??;
        let grants = || self.asks.iter().map(Pending::granted);
        let mut decisions: Vec<Decision> = grants().map(|(decision, _)| decision).collect();
        if admits(self.takes, &decisions) {
            self.asks.clear();
        } else {
            for (decision, (_, grant)) in decisions.iter_mut().zip(grants()) {
                decision.remaining += grant.hits;
            }
        }
        Ok(decisions)
    }

    async fn answered(&mut self) -> Result<(), Undecided> {
        for ask in &mut self.asks {
            if let Pending::Waits(receiver) = ask {
                let gone = |_| Undecided::Store(StoreError::Disconnected);
                let reply = receiver.await.map_err(gone)?;
                *ask = Pending::Answered(reply.map_err(Undecided::Store)?);
            }
        }
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for (take, ask) in self.takes.iter().zip(&mut self.asks) {
            if let Pending::Waits(receiver) = ask {
                receiver.close();
                if let Ok(Ok(reply)) = receiver.try_recv() {
                    *ask = Pending::Answered(reply);
                }
            }
            let (_, grant) = ask.granted();
            let now = self.leases.clock.now().steady;
            self.leases.ledger.put_back(take, grant, now);
        }
    }
}

impl Pending {
    /// What is decided, and what was granted.
    fn granted(&self) -> (Decision, Grant) {
        match self {
            Self::Answered(Reply::Granted(decision, grant)) => (*decision, *grant),
            Self::Answered(Reply::Refused(decision)) => (*decision, Grant::default()),
            Self::Answered(Reply::Failed) | Self::Waits(_) => (NOTHING, Grant::default()),
        }
    }
}

impl Courier {
    /// Carries until the token stops it, then gives back what is leased.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(mut flight) = self.flights.recv() => {
                    // With it, as the very next request may need what goes back.
                    let mut unused = self.leases.ledger.unused();
                    flight.unused.extend(unused.drain(..unused.len().min(AT_ONCE)));
                    self.give_back(unused, &mut under_way);
                    under_way.spawn(take(Arc::clone(&self.store), flight, self.now()));
                }
                Some(taken) = under_way.join_next() => {
                    // A take that panicked leaves its account under way, so that it is not asked again.
                    if let Ok(Carried::Taken(flight, answer)) = taken {
                        self.taken(&flight, answer);
                    }
                }
                _ = tick.tick() => {
                    self.leases.ledger.expire(self.now().steady);
                    self.give_back(self.leases.ledger.unused(), &mut under_way);
                }
                () = stop.cancelled() => break,
            }
        }
        self.leases.ledger.drain();
        self.give_back(self.leases.ledger.unused(), &mut under_way);
        // What the store does not take now stays counted until it has left the window.
        let rest = under_way.join_all();
        tokio::time::timeout(PATIENCE, rest)
            .await
            .unwrap_or_default();
    }

    fn give_back(&self, unused: Vec<GiveBack>, under_way: &mut JoinSet<Carried>) {
        for unused in unused.chunks(AT_ONCE) {
            let (store, now) = (Arc::clone(&self.store), self.now());
            under_way.spawn(give_back(store, unused.to_vec(), now));
        }
    }

    fn taken(&self, flight: &Flight, answer: Result<Answer, StoreError>) {
        let micros = self.now().steady.since(flight.sent);
        let seconds = Duration::from_micros(micros).as_secs_f64();
        self.metrics.latency.record(seconds);
        if answer.is_err() {
            self.metrics.errors.increment(1);
        }
        self.leases.settle(flight, answer);
    }

    fn now(&self) -> Now {
        self.leases.clock.now()
    }
}

/// What a message to the store has come to.
enum Carried {
    GivenBack,
    Taken(Flight, Result<Answer, StoreError>),
}

async fn take(store: Arc<dyn Store>, flight: Flight, now: Now) -> Carried {
    let answers = store.take(&flight.unused, std::slice::from_ref(&flight.take), now);
    let answer = answers.await.and_then(|answers| {
        let none = || StoreError::Protocol("no answer for a take".to_owned());
        answers.into_iter().next().ok_or_else(none)
    });
    Carried::Taken(flight, answer)
}

/// Nothing is sent again, whatever becomes of it: what is executed twice would be over the limit.
async fn give_back(store: Arc<dyn Store>, unused: Vec<GiveBack>, now: Now) -> Carried {
    drop(store.take(&unused, &[], now).await);
    Carried::GivenBack
}

fn admits(takes: &[Take], decisions: &[Decision]) -> bool {
    let vetoes = takes.iter().map(|take| take.veto);
    Veto::admits(vetoes.zip(decisions.iter().map(|it| it.fits)))
}

const NOTHING: Decision = Decision {
    fits: false,
    remaining: 0,
    reset: 0,
};

const MAX_FLIGHTS: usize = 16_384;
/// How often leases are looked at that may have ended.
const TICK: Duration = Duration::from_millis(10);
/// How many give-backs the store gets in one call.
const AT_ONCE: usize = 64;
/// How long the store may take for the last of them.
const PATIENCE: Duration = Duration::from_secs(1);
