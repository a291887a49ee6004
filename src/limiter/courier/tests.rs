//! The courier before stores that fail, hang, panic or answer too late.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::*;
use crate::algorithm::Booked;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::Timestamp;
use crate::metrics::Metrics;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::BoxFuture;
use crate::store::Veto;

#[tokio::test(start_paused = true)]
async fn a_take_that_panics_fails_who_waits_and_the_next_is_asked() {
    let bench = Arc::new(Bench::new());
    bench.will([Conduct::WaitsAndPanics, Conduct::Grants]);
    let mut asks: Vec<JoinSet<_>> = (0..2).map(|_| JoinSet::new()).collect();
    for ask in &mut asks {
        let bench = Arc::clone(&bench);
        ask.spawn(async move { bench.ask(&["k"], HOUR).await });
    }
    while bench.leases.n_waiting.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    bench.store.go_on.notify_one();
    assert!(asks[0].join_next().await.unwrap().unwrap_err().is_panic());
    // Who came meanwhile has the next.
    let second = asks[1].join_next().await.unwrap();
    assert!(second.unwrap().unwrap()[0].fits);
    assert_eq!(bench.leases.n_waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_take_goes_on_when_its_request_is_gone() {
    let bench = Bench::new();
    bench.will([Conduct::Waits, Conduct::Grants]);
    let mut first = Box::pin(bench.ask(&["k"], HOUR));
    assert!(is_pending(&mut first).await);
    let mut second = Box::pin(bench.ask(&["k"], HOUR));
    assert!(is_pending(&mut second).await);
    drop(first);
    bench.store.go_on.notify_one();
    assert!(second.await.unwrap()[0].fits);
    let seen = bench.seen();
    let (_, unused) = &seen[1];
    assert_eq!(
        (seen.len(), unused[0].hits),
        (2, 1),
        "what it got goes back"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_holds_up_a_key_for_a_second_at_most() {
    let bench = Bench::new();
    bench.will([Conduct::Hangs, Conduct::Grants]);
    let late = bench.ask(&["k"], Duration::from_millis(10)).await;
    assert!(matches!(late, Err(Undecided::Late)));
    let begin = tokio::time::Instant::now();
    assert!(bench.ask(&["k"], HOUR).await.unwrap()[0].fits);
    assert!(begin.elapsed() <= PATIENCE);
    assert_eq!(bench.seen().len(), 2, "nothing is sent again");
}

#[tokio::test(start_paused = true)]
async fn who_has_patience_is_waited_for() {
    let bench = Bench::new();
    bench.will([Conduct::Waits]);
    let (asked, ()) = tokio::join!(bench.ask(&["k"], HOUR), async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        bench.store.go_on.notify_one();
    });
    assert!(asked.unwrap()[0].fits);
    assert_eq!(bench.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_granted_when_nobody_waits_any_more_goes_back_once() {
    let bench = Bench::new();
    bench.will([Conduct::Waits]);
    let late = bench.ask(&["k"], Duration::from_millis(10)).await;
    assert!(matches!(late, Err(Undecided::Late)));
    tokio::time::sleep(PATIENCE * 2).await;
    bench.store.go_on.notify_one();
    tokio::time::sleep(PATIENCE).await;
    let (_, unused) = &bench.seen()[1..][0];
    assert_eq!((unused[0].hits, unused.len()), (1, 1));
    assert_eq!(bench.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_refused_request_was_granted_goes_with_the_next_take_of_its_key() {
    let bench = Bench::new();
    bench.will([Conduct::Grants, Conduct::Refuses, Conduct::Grants]);
    let decisions = bench.ask(&["a", "b"], HOUR).await.unwrap();
    let fits: Vec<bool> = decisions.iter().map(|it| it.fits).collect();
    assert_eq!(fits, [true, false]);
    bench.ask(&["a"], HOUR).await.unwrap();
    let (takes, unused) = &bench.seen()[2];
    assert_eq!(
        (takes[0].key.as_slice(), unused[0].hits),
        (b"a".as_slice(), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_last_time_is_asked_first_and_alone_if_it_is_again() {
    let bench = Bench::new();
    bench.will([Conduct::Grants, Conduct::Refuses, Conduct::Refuses]);
    bench.ask(&["a", "b"], HOUR).await.unwrap();
    // The refusal is remembered for a second.
    let known = bench.ask(&["a", "b"], HOUR).await.unwrap();
    assert!(!known[1].fits);
    bench.pass(1_000_000);
    let again = bench.ask(&["a", "b"], HOUR).await.unwrap();
    assert!(!again[1].fits);
    let asked: Vec<Vec<u8>> = bench.takes().into_iter().map(|take| take.key).collect();
    assert_eq!(asked, [b"a", b"b", b"b"]);
    bench.pass(1_000_000);
    bench.will([Conduct::Grants, Conduct::Grants]);
    let admitted = bench.ask(&["a", "b"], HOUR).await.unwrap();
    assert!(admitted.iter().all(|it| it.fits));
    let asked: Vec<Vec<u8>> = bench.takes().into_iter().map(|take| take.key).collect();
    assert_eq!(asked[3..], [b"b", b"a"]);
}

#[tokio::test(start_paused = true)]
async fn too_many_who_wait_fail_at_once_and_none_is_forgotten() {
    let bench = Bench::new();
    bench.will([Conduct::Waits]);
    let crowd = || async {
        let asks = (0..MAX_WAITING).map(|_| bench.ask(&["k"], HOUR));
        let mut asks: Vec<_> = asks.map(Box::pin).collect();
        for ask in &mut asks {
            assert!(is_pending(ask).await);
        }
        let why = bench.ask(&["k"], HOUR).await.unwrap_err();
        assert!(matches!(why, Undecided::Store(StoreError::Full)));
        asks
    };
    drop(crowd().await);
    assert_eq!(bench.leases.n_waiting.load(Ordering::Relaxed), 0);
    let asks = crowd().await;
    bench.will([Conduct::Grants]);
    bench.store.go_on.notify_one();
    for ask in asks {
        ask.await.unwrap();
    }
    assert_eq!(bench.leases.n_waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_courier_that_has_stopped_leaves_nobody_waiting() {
    let mut bench = Bench::new();
    bench.stop.cancel();
    bench.courier.join_next().await;
    bench.will([Conduct::Hangs, Conduct::Grants]);
    let late = bench.ask(&["k"], Duration::from_millis(10)).await;
    assert!(matches!(late, Err(Undecided::Late)));
    assert!(bench.ask(&["k"], HOUR).await.unwrap()[0].fits);
}

async fn is_pending<T>(future: &mut (impl Future<Output = T> + Unpin)) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
    })
    .await
}

/// What the store does with a take; what is given back it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Conduct {
    Grants,
    Hangs,
    Refuses,
    /// Until it is told to go on, and grants then.
    Waits,
    WaitsAndPanics,
}

type Seen = (Vec<Take>, Vec<GiveBack>);

#[derive(Debug, Default)]
struct Planned {
    will: Mutex<Vec<Conduct>>,
    seen: Mutex<Vec<Seen>>,
    go_on: Notify,
}

impl Store for Planned {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        _: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        self.seen.lock().push((takes.to_vec(), unused.to_vec()));
        let conduct = match takes {
            [] => Conduct::Grants,
            _ => self.will.lock().remove(0),
        };
        Box::pin(async move {
            match conduct {
                Conduct::Hangs => std::future::pending().await,
                Conduct::Waits => self.go_on.notified().await,
                Conduct::WaitsAndPanics => {
                    self.go_on.notified().await;
                    panic!("as planned");
                }
                Conduct::Grants | Conduct::Refuses => {}
            }
            let fits = conduct != Conduct::Refuses;
            let answer = |take: &Take| Answer {
                decision: Decision {
                    fits,
                    remaining: 10,
                    reset: 60_000_000,
                },
                granted: if fits { take.hits.count() } else { 0 },
                booked: Booked {
                    id: LogId(1),
                    date: Timestamp(1),
                },
            };
            Ok(takes.iter().map(answer).collect())
        })
    }

    fn reset<'a>(
        &'a self,
        _: &'a [u8],
        _: Window,
        _: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Debug, Default)]
struct OwnClock(AtomicU64);

impl Clock for OwnClock {
    fn now(&self) -> Now {
        let now = Timestamp(1_700_000_000_000_000 + self.0.load(Ordering::Relaxed));
        Now {
            steady: now,
            wall: now,
        }
    }
}

struct Bench {
    leases: Arc<Leases>,
    store: Arc<Planned>,
    clock: Arc<OwnClock>,
    stop: CancellationToken,
    courier: JoinSet<()>,
}

impl Bench {
    fn new() -> Self {
        let (store, clock) = (Arc::new(Planned::default()), Arc::new(OwnClock::default()));
        let metrics = Metrics::new();
        let (leases, courier) = Leases::new(
            N_KEYS,
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            metrics.ledger(),
            metrics.store("test"),
        );
        let (stop, mut running) = (CancellationToken::new(), JoinSet::new());
        running.spawn(courier.run(stop.clone()));
        Self {
            leases,
            store,
            clock,
            stop,
            courier: running,
        }
    }

    fn will(&self, conducts: impl IntoIterator<Item = Conduct>) {
        self.store.will.lock().extend(conducts);
    }

    fn seen(&self) -> Vec<Seen> {
        self.store.seen.lock().clone()
    }

    fn takes(&self) -> Vec<Take> {
        self.seen()
            .into_iter()
            .flat_map(|(takes, _)| takes)
            .collect()
    }

    fn pass(&self, micros: u64) {
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
    }

    /// Asks for a hit on each key, of limits without leases.
    async fn ask(&self, keys: &[&str], patience: Duration) -> Result<Vec<Decision>, Undecided> {
        let take = |key: &&str| Take {
            key: key.as_bytes().to_vec(),
            algorithm: Algorithm::SlidingWindow,
            limit: 10,
            burst: 0,
            window: Window::of(Unit::Minute, NonZeroU32::MIN).unwrap(),
            hits: Hits::Ask(1),
            terms: None,
            veto: Veto::Alone,
        };
        let takes: Vec<Take> = keys.iter().map(take).collect();
        let asking = Asking {
            now: self.clock.now(),
            patience,
            may_lease: true,
        };
        self.leases.decide(&takes, asking).await.unwrap().decided
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
/// So many that no two keys have to share a place, whichever shards they fall in.
const N_KEYS: usize = 1_024;
