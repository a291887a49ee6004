//! Between the ledger and the store: takes go out, answers reach who waits for them, and what nobody
//! uses goes back.

mod held;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::SeedableRandomState;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::algorithm::Decision;
use crate::limiter::Undecided;
use crate::limiter::clock::Clock;
use crate::limiter::courier::held::Held;
use crate::limiter::ledger::Ledger;
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

/// The ledger, and the way from it to the [`Courier`]. At most [`MAX_FLIGHTS`] takes wait there, and
/// [`MAX_WAITING`] asks for what comes of takes; whoever comes then fails at once.
#[derive(Debug)]
pub(super) struct Leases {
    ledger: Ledger<Waiter>,
    flights: mpsc::Sender<Flight>,
    n_waiting: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// What was decided of a request.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) decided: Result<Vec<Decision>, Undecided>,
    /// Whether the store had a part in it; what is answered without it says nothing about it.
    pub(super) has_asked: bool,
}

/// How the asks of a request are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    pub(super) now: Now,
    /// How long its answer is waited for.
    pub(super) patience: Duration,
    /// Whether hits may be granted ahead of need.
    pub(super) may_lease: bool,
}

type Waiter = oneshot::Sender<Result<Reply, StoreError>>;

impl Leases {
    /// With room for so many keys.
    pub(super) fn new(
        n_keys: usize,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        metrics: LedgerMetrics,
        store_metrics: StoreMetrics,
    ) -> (Arc<Self>, Courier) {
        let (sender, flights) = mpsc::channel(MAX_FLIGHTS);
        let leases = Arc::new(Self {
            ledger: Ledger::new(n_keys, SeedableRandomState::random(), metrics),
            flights: sender,
            n_waiting: AtomicUsize::new(0),
            clock,
        });
        let carrier = Carrier {
            leases: Arc::clone(&leases),
            store,
            metrics: store_metrics,
        };
        let courier = Courier {
            carrier: Arc::new(carrier),
            flights,
        };
        (leases, courier)
    }

    /// Decides the asks of a request, all or none; none if there is no room for their keys, and then
    /// nothing was taken.
    pub(super) async fn decide(&self, takes: &[Take], asking: Asking) -> Option<Leased> {
        let is_together = takes.len() > 1;
        if is_together {
            let look = |take| self.ledger.look(take, asking.now.steady);
            let looks: Vec<Decision> = takes.iter().map(look).collect();
            if !held::admits(takes, &looks) {
                return Some(Leased {
                    decided: Ok(looks),
                    has_asked: false,
                });
            }
        }
        Held::new(self, takes, asking).decided().await
    }

    fn send(&self, flight: Flight) {
        let (flight, why) = match self.flights.try_send(flight) {
            Ok(()) => return,
            Err(TrySendError::Closed(flight)) => (flight, StoreError::Disconnected),
            Err(TrySendError::Full(flight)) => (flight, StoreError::Full),
        };
        self.settle(&flight, Err(why));
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
            let reply = match (&why, reply) {
                (Some(why), Reply::Failed) => Err(why.clone()),
                _ => Ok(reply),
            };
            if let Err(Ok(Reply::Granted(_, grant))) = waiter.send(reply) {
                self.ledger.put_back(&flight.take, grant, now);
            }
        }
        if let Some(next) = settled.next {
            self.send(next);
        }
    }

    /// Counts one who is to wait, unless there are too many.
    fn may_wait(&self) -> bool {
        let may = self.n_waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING;
        if !may {
            self.waits_no_more();
        }
        may
    }

    fn waits_no_more(&self) {
        self.n_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Carries takes to the store. It belongs on the thread on which the store's answers are read.
#[must_use = "without its courier the ledger never asks the store"]
#[derive(Debug)]
pub struct Courier {
    carrier: Arc<Carrier>,
    flights: mpsc::Receiver<Flight>,
}

impl Courier {
    /// Carries until the token stops it, then gives back what is leased.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ledger = &self.carrier.leases.ledger;
        loop {
            tokio::select! {
                Some(mut flight) = self.flights.recv() => {
                    // What goes back goes first: the very next request may need it.
                    let (own, others) = parted(ledger.unused(), &flight.take.key);
                    flight.unused.extend(own);
                    self.give_back(&others, &mut under_way);
                    under_way.spawn(Arc::clone(&self.carrier).take(flight));
                }
                // One that panicked has failed those who waited for it.
                Some(_) = under_way.join_next() => {}
                _ = tick.tick() => {
                    ledger.expire(self.carrier.now().steady);
                    self.give_back(&ledger.unused(), &mut under_way);
                }
                () = stop.cancelled() => break,
            }
        }
        self.flights.close();
        while let Ok(flight) = self.flights.try_recv() {
            let leases = &self.carrier.leases;
            leases.settle(&flight, Err(StoreError::Disconnected));
        }
        ledger.drain();
        self.give_back(&ledger.unused(), &mut under_way);
        // What the store does not take now stays counted until it has left the window.
        let rest = async { while under_way.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, rest)
            .await
            .unwrap_or_default();
    }

    fn give_back(&self, unused: &[GiveBack], under_way: &mut JoinSet<()>) {
        for unused in unused.chunks(AT_ONCE) {
            let carrier = Arc::clone(&self.carrier);
            under_way.spawn(carrier.give_back(unused.to_vec()));
        }
    }
}

/// What takes need on their way.
#[derive(Debug)]
struct Carrier {
    leases: Arc<Leases>,
    store: Arc<dyn Store>,
    metrics: StoreMetrics,
}

impl Carrier {
    /// Has the store decide a take, which fails when nobody waits for it any more: then those who
    /// came meanwhile have the next. What is granted after that goes back.
    async fn take(self: Arc<Self>, flight: Flight) {
        let flight = Arc::new(flight);
        let unsettled = Unsettled {
            carrier: Arc::clone(&self),
            flight: Arc::clone(&flight),
            is_settled: false,
        };
        let now = self.now();
        let takes = std::slice::from_ref(&flight.take);
        let mut answers = self.store.take(&flight.unused, takes, now);
        let patience = Duration::from_micros(flight.until.since(now.steady)).max(PATIENCE);
        let Ok(answered) = tokio::time::timeout(patience, &mut answers).await else {
            unsettled.settle(Err(StoreError::Disconnected));
            if let Some(late) = answers.await.ok().and_then(|it| it.into_iter().next()) {
                let grant = Grant {
                    hits: late.granted,
                    booked: late.booked,
                    ..Grant::default()
                };
                let now = self.now().steady;
                self.leases.ledger.put_back(&flight.take, grant, now);
            }
            return;
        };
        unsettled.settle(answered.and_then(|answers| {
            let none = || StoreError::Protocol("no answer for a take".to_owned());
            answers.into_iter().next().ok_or_else(none)
        }));
    }

    /// Nothing is sent again, whatever becomes of it: what is executed twice would be over the limit.
    async fn give_back(self: Arc<Self>, unused: Vec<GiveBack>) {
        drop(self.store.take(&unused, &[], self.now()).await);
    }

    fn now(&self) -> Now {
        self.leases.clock.now()
    }
}

/// A take under way. If it ends without an answer, as by a panic, it has failed.
struct Unsettled {
    carrier: Arc<Carrier>,
    flight: Arc<Flight>,
    is_settled: bool,
}

impl Unsettled {
    fn settle(mut self, answer: Result<Answer, StoreError>) {
        let Carrier {
            leases, metrics, ..
        } = &*self.carrier;
        let micros = self.carrier.now().steady.since(self.flight.sent);
        let seconds = Duration::from_micros(micros).as_secs_f64();
        metrics.latency.record(seconds);
        if answer.is_err() {
            metrics.errors.increment(1);
        }
        self.is_settled = true;
        leases.settle(&self.flight, answer);
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        if !self.is_settled {
            let leases = &self.carrier.leases;
            self.carrier.metrics.errors.increment(1);
            leases.settle(&self.flight, Err(StoreError::Disconnected));
        }
    }
}

/// What is of a key, and what is of others.
fn parted(unused: Vec<GiveBack>, key: &[u8]) -> (Vec<GiveBack>, Vec<GiveBack>) {
    unused.into_iter().partition(|it| it.key == key)
}

const MAX_FLIGHTS: usize = 16_384;
const MAX_WAITING: usize = 16_384;
/// How often leases are looked at that may have ended.
const TICK: Duration = Duration::from_millis(10);
/// How many give-backs the store gets in one call.
const AT_ONCE: usize = 64;
/// How long the store may take, even if nobody waits for it: for a take before another is sent for
/// its key, and for what goes back at the end.
const PATIENCE: Duration = Duration::from_secs(1);
