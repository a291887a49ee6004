//! Tries to get more admitted than a limit allows: replicas on one store, and time to play with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use slidegate::algorithm::Hits;
use slidegate::algorithm::Timestamp;
use slidegate::limiter;
use slidegate::limiter::Limiter;
use slidegate::limiter::Options;
use slidegate::limiter::Request;
use slidegate::limiter::clock::Clock;
use slidegate::metrics::Metrics;
use slidegate::rule::Allowance;
use slidegate::rule::Descriptor;
use slidegate::rule::Domain;
use slidegate::rule::Value;
use slidegate::rule::limit::Cost;
use slidegate::rule::limit::Limit;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::rule::tree::RuleSet;
use slidegate::store::Answer;
use slidegate::store::BoxFuture;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;
use slidegate::store::key;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::strictness::record::Record;
use crate::support::PATIENCE;

/// One move of the adversary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Move {
    /// Time passes, in microseconds.
    Wait(u64),
    /// A request of so many hits, to the replica of this number.
    Send(usize, u64),
    /// The limit becomes this, on all replicas.
    Limit(u32),
    /// The key is reset.
    Reset,
    /// The store's clock steps back by this many microseconds.
    StepBack(u64),
}

/// A request that should have been refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Breach {
    /// When, in microseconds from the beginning.
    pub(crate) at: u64,
    /// How many hits the window held with it.
    pub(crate) held: u64,
    /// How many it may hold.
    pub(crate) limit: u32,
}

/// How much was admitted, beside what an exact log would have admitted on the same arrivals.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Used {
    pub(crate) hits: u64,
    pub(crate) of: u64,
}

/// Plays against a key of one limit on some replicas.
pub(crate) struct Adversary {
    replicas: Vec<(Arc<Limiter>, Leases)>,
    /// What carries their takes, where they take leases.
    _couriers: JoinSet<()>,
    store: Arc<dyn Store>,
    clock: Arc<VirtualClock>,
    key: String,
    limit: u32,
    unit: Unit,
    cost: Cost,
}

impl Adversary {
    /// One replica a store, which takes leases or does not; the first is asked to reset keys. The key
    /// must be fresh.
    pub(crate) fn new(stores: &[Replica], key: &str, (limit, unit): (u32, Unit)) -> Self {
        let clock = Arc::new(VirtualClock::default());
        let mut couriers = JoinSet::new();
        let mut replica = |(index, (store, leases)): (usize, &Replica)| {
            let metrics = Arc::new(Metrics::new());
            let store: Arc<dyn Store> = Arc::new(OnStoreClock {
                store: Arc::clone(store),
                clock: Arc::clone(&clock),
                late: (*leases == Leases::Late).then(Mutex::default),
            });
            let store_metrics = metrics.store("test");
            let clock = Arc::new(OwnClock {
                clock: Arc::clone(&clock),
                off: [0, 5_000_000, -5_000_000][index % 3],
            });
            let options = Options::default();
            let limiter = Limiter::new(store, clock, options, metrics, store_metrics);
            let (limiter, courier) = match leases {
                Leases::Off => return (Arc::new(limiter), *leases),
                Leases::Crowded => limiter.leasing_for(1),
                Leases::Late | Leases::On => limiter.leasing(),
            };
            couriers.spawn(courier.run(CancellationToken::new()));
            (Arc::new(limiter), *leases)
        };
        let mut adversary = Self {
            replicas: stores.iter().enumerate().map(&mut replica).collect(),
            _couriers: couriers,
            store: Arc::clone(&stores[0].0),
            clock: Arc::clone(&clock),
            key: key.to_owned(),
            limit,
            unit,
            cost: Cost::Ask,
        };
        adversary.set_limit(limit);
        adversary
    }

    /// Makes costs above one reports.
    pub(crate) fn reporting(mut self) -> Self {
        self.cost = Cost::Report;
        self.set_limit(self.limit);
        self
    }

    /// Makes the moves one after the other; the first breach ends the game.
    pub(crate) async fn play(&mut self, moves: &[Move]) -> Result<Used, Breach> {
        let window = Window::of_one(self.unit).micros();
        let (mut ours, mut exact, mut used) =
            (Record::default(), Record::default(), Used::default());
        let mut now = 0;
        for step in moves {
            match *step {
                Move::Wait(micros) => {
                    now += micros;
                    self.clock.pass(micros);
                }
                Move::Limit(limit) => self.set_limit(limit),
                Move::Reset => {
                    let path = [("key", self.key.as_str())];
                    let window = Window::of_one(self.unit);
                    let key = key::sliding(DOMAIN, path, window);
                    let reset = self.store.reset(&key, window, self.clock.of_store());
                    reset.await.unwrap();
                    ours.clear();
                    exact.clear();
                }
                Move::StepBack(micros) => self.clock.step_back(micros),
                Move::Send(replica, count) => {
                    let hits = self.hits(count);
                    let is_report = matches!(hits, Hits::Report(_));
                    let (replica, leases) = &self.replicas[replica % self.replicas.len()];
                    if *leases == Leases::Crowded {
                        admits(replica, &format!("beside-{}", self.key), 1).await;
                    }
                    let admitted = admits(replica, &self.key, count).await;
                    let limit = u64::from(self.limit);
                    if admitted && !ours.allows(hits, now, window, limit) {
                        return Err(Breach {
                            at: now,
                            held: ours.total_at(now, window) + count,
                            limit: self.limit,
                        });
                    }
                    if admitted || is_report {
                        ours.book(hits, now);
                        used.hits += count;
                    }
                    if is_report || exact.allows(hits, now, window, limit) {
                        exact.book(hits, now);
                        used.of += count;
                    }
                }
            }
        }
        Ok(used)
    }

    /// Sends so many asks of one hit at once, in turn to all replicas; how many were admitted.
    pub(crate) async fn storm(&self, n_requests: usize) -> usize {
        let mut requests = JoinSet::new();
        for index in 0..n_requests {
            let replica = Arc::clone(&self.replicas[index % self.replicas.len()].0);
            let key = self.key.clone();
            requests.spawn(async move { admits(&replica, &key, 1).await });
        }
        let answers = requests.join_all().await;
        answers.into_iter().filter(|admitted| *admitted).count()
    }

    fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        for (replica, _) in &self.replicas {
            replica.replace_rules(RuleSet::new(vec![Domain {
                name: DOMAIN.to_owned(),
                descriptors: vec![Descriptor {
                    allowance: Some(Allowance::Limited(Limit {
                        cost: Some(self.cost),
                        ..Limit::new(limit, self.unit)
                    })),
                    ..Descriptor::new("key", Value::Any)
                }],
            }]));
        }
    }

    /// What so many hits are on the wire and under this game's rule.
    fn hits(&self, count: u64) -> Hits {
        match self.cost {
            Cost::Report if count > 1 => Hits::Report(count),
            Cost::Ask | Cost::Report => Hits::Ask(count),
        }
    }
}

/// Whether a replica admits one request of so many hits.
async fn admits(replica: &Limiter, key: &str, hits: u64) -> bool {
    let request = Request {
        domain: DOMAIN,
        descriptors: vec![limiter::Descriptor {
            entries: vec![("key", key)],
            limit: None,
            hits_addend: Some(hits),
        }],
        hits_addend: 0,
    };
    let verdict = replica.decide(&request, PATIENCE).await;
    !verdict.unwrap().over_limit
}

/// A store with how its replica takes leases.
pub(crate) type Replica = (Arc<dyn Store>, Leases);

/// How a replica takes leases.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Leases {
    /// With room for one key only, which another takes now and then.
    Crowded,
    /// What it gives back arrives only when it has asked the store some more times.
    Late,
    Off,
    On,
}

/// True time, which moves when the adversary says so, and how far the store's clock is behind.
#[derive(Debug, Default)]
struct VirtualClock {
    passed: AtomicU64,
    stepped_back: AtomicU64,
}

impl VirtualClock {
    fn pass(&self, micros: u64) {
        self.passed.fetch_add(micros, Ordering::Relaxed);
    }

    fn step_back(&self, micros: u64) {
        self.stepped_back.fetch_add(micros, Ordering::Relaxed);
    }

    fn of_store(&self) -> Now {
        at(self
            .passed
            .load(Ordering::Relaxed)
            .wrapping_sub(self.stepped_back.load(Ordering::Relaxed)))
    }
}

/// The clock of a replica, which is off by so many microseconds.
#[derive(Debug)]
struct OwnClock {
    clock: Arc<VirtualClock>,
    off: i64,
}

impl Clock for OwnClock {
    fn now(&self) -> Now {
        let passed = self.clock.passed.load(Ordering::Relaxed);
        at(passed.wrapping_add_signed(self.off))
    }
}

/// The time after so many microseconds; the store's clock may be behind the beginning.
fn at(passed: u64) -> Now {
    let now = Timestamp(BEGIN.wrapping_add(passed));
    Now {
        steady: now,
        wall: now,
    }
}

/// A store on a clock of its own.
#[derive(Debug)]
struct OnStoreClock {
    store: Arc<dyn Store>,
    clock: Arc<VirtualClock>,
    /// What is given back, where that arrives late.
    late: Option<Mutex<VecDeque<Vec<GiveBack>>>>,
}

impl Store for OnStoreClock {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        _: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        let now = self.clock.of_store();
        let Some(late) = &self.late else {
            return self.store.take(unused, takes, now);
        };
        let arrived = {
            let mut late = late.lock().unwrap();
            late.push_back(unused.to_vec());
            let is_due = late.len() > LATE;
            is_due.then(|| late.pop_front()).flatten()
        };
        Box::pin(async move {
            let arrived = arrived.unwrap_or_default();
            self.store.take(&arrived, takes, now).await
        })
    }

    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        window: Window,
        _: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.store.reset(key, window, self.clock.of_store())
    }
}

/// How many calls come between when hits are given back and when they arrive.
const LATE: usize = 5;

const DOMAIN: &str = "strictness";

/// Where virtual time begins: 2023-11-14, at a second that begins a minute.
const BEGIN: u64 = 1_699_999_980_000_000;
