//! Between the ledger and the store: takes go out, answers reach who waits for them, and what nobody
//! uses goes back.
//!
//! A request carries its own takes: so its answers come to its own thread, with those of others there,
//! and the one thread that is the courier's has little to do.

mod errand;
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
use crate::algorithm::Timestamp;
use crate::limiter::Undecided;
use crate::limiter::clock::Clock;
use crate::limiter::courier::errand::Errand;
use crate::limiter::courier::held::Held;
use crate::limiter::ledger::Ledger;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Reply;
use crate::metrics::LedgerMetrics;
use crate::metrics::StoreMetrics;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;

/// The ledger, the store that it asks, and the way to the [`Courier`]. At most [`MAX_ERRANDS`] takes
/// wait there, and [`MAX_WAITING`] asks for what comes of takes; whoever comes then fails at once.
pub(super) struct Leases {
    ledger: Ledger<Waiter>,
    store: Arc<dyn Store>,
    errands: mpsc::Sender<Errand>,
    n_waiting: AtomicUsize,
    clock: Arc<dyn Clock>,
    metrics: StoreMetrics,
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
        ledger_metrics: LedgerMetrics,
        metrics: StoreMetrics,
    ) -> (Arc<Self>, Courier) {
        let (sender, errands) = mpsc::channel(MAX_ERRANDS);
        let leases = Arc::new(Self {
            ledger: Ledger::new(n_keys, SeedableRandomState::random(), ledger_metrics),
            store,
            errands: sender,
            n_waiting: AtomicUsize::new(0),
            clock,
            metrics,
        });
        let courier = Courier {
            leases: Arc::clone(&leases),
            errands,
        };
        (leases, courier)
    }

    /// Decides the asks of a request, all or none; none if there is no room for their keys, and then
    /// nothing was taken.
    pub(super) async fn decide(self: &Arc<Self>, takes: &[Take], asking: Asking) -> Option<Leased> {
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

    /// Hands a take to the courier.
    fn hand_over(&self, errand: Errand) {
        match self.errands.try_send(errand) {
            Ok(()) => {}
            Err(TrySendError::Closed(errand)) => errand.fail(StoreError::Disconnected),
            Err(TrySendError::Full(errand)) => errand.fail(StoreError::Full),
        }
    }

    /// Hands the store's answer to who waits for it; takes for those who came meanwhile are sent.
    fn settle(
        self: &Arc<Self>,
        flight: &Flight,
        answer: Result<Answer, StoreError>,
        now: Timestamp,
    ) {
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
            self.hand_over(Errand::new(Arc::clone(self), next));
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

/// Carries the takes whose requests wait no more, and what goes back. It belongs on the thread on
/// which the store's answers are read.
#[must_use = "without its courier what is leased is never given back"]
pub struct Courier {
    leases: Arc<Leases>,
    errands: mpsc::Receiver<Errand>,
}

impl Courier {
    /// Carries until the token stops it, then gives back what is leased.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ledger = &self.leases.ledger;
        loop {
            tokio::select! {
                Some(errand) = self.errands.recv() => {
                    under_way.spawn(errand.carry());
                }
                // One that panicked has failed those who waited for it.
                Some(_) = under_way.join_next() => {}
                _ = tick.tick() => {
                    ledger.expire(self.leases.clock.steady());
                    self.give_back(&ledger.unused(), &mut under_way);
                }
                () = stop.cancelled() => break,
            }
        }
        self.errands.close();
        while let Ok(errand) = self.errands.try_recv() {
            errand.fail(StoreError::Disconnected);
        }
        ledger.drain();
        self.give_back(&ledger.unused(), &mut under_way);
        // What the store does not take now stays counted until it has left the window.
        let rest = async { while under_way.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, rest)
            .await
            .unwrap_or_default();
    }

    /// Nothing is sent again, whatever becomes of it: what is executed twice would be over the limit.
    fn give_back(&self, unused: &[GiveBack], under_way: &mut JoinSet<()>) {
        for unused in unused.chunks(AT_ONCE) {
            let (leases, unused) = (Arc::clone(&self.leases), unused.to_vec());
            under_way.spawn(async move {
                drop(leases.store.take(&unused, &[], leases.clock.now()).await);
            });
        }
    }
}

const MAX_ERRANDS: usize = 16_384;
const MAX_WAITING: usize = 16_384;
/// How often leases are looked at that may have ended.
const TICK: Duration = Duration::from_millis(10);
/// How many give-backs the store gets in one call.
const AT_ONCE: usize = 64;
/// How long the store may take, even if nobody waits for it: for a take before another is sent for
/// its key, and for what goes back at the end.
const PATIENCE: Duration = Duration::from_secs(1);

impl std::fmt::Debug for Leases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}
