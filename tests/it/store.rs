//! What every store has to do, and what Redis holds after it.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use slidegate::algorithm::Booked;
use slidegate::algorithm::Decision;
use slidegate::algorithm::Hits;
use slidegate::algorithm::Terms;
use slidegate::algorithm::Timestamp;
use slidegate::rule::limit::Algorithm;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::Answer;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::Take;
use slidegate::store::Veto;
use slidegate::store::key;
use slidegate::store::memory::MemoryStore;
use slidegate::store::redis::Clock;
use slidegate::store::redis::RedisStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::redis::Redis;

#[test]
fn memory_charges_all_or_none() {
    charges_all_or_none(&Bench::memory());
}

#[test]
fn redis_charges_all_or_none() {
    if let Some(bench) = Bench::redis(Clock::Caller) {
        charges_all_or_none(&bench);
    }
}

fn charges_all_or_none(bench: &Bench) {
    let (wide, narrow) = (sliding("wide", 5), sliding("narrow", 1));
    let both = [wide.ask(2), narrow.ask(1)];
    assert_eq!(bench.fits(&both, 0), [(true, 3), (true, 0)]);
    assert_eq!(bench.fits(&both, 1), [(true, 3), (false, 0)]);
    let reported = [wide.report(7), narrow.ask(1)];
    assert_eq!(
        bench.fits(&reported, 2),
        [(false, 0), (false, 0)],
        "a report is booked whatever becomes of the rest"
    );
    assert_eq!(bench.fits(&[wide.ask(0)], 3), [(false, 0)]);
    assert_eq!(bench.fits(&[wide.ask(3)], 60), [(false, 0)]);
    assert_eq!(bench.fits(&[wide.ask(3)], 62), [(true, 2)]);
}

#[test]
fn memory_lets_a_fixed_window_refuse_sliding_ones() {
    lets_a_fixed_window_refuse_sliding_ones(&Bench::memory());
}

#[test]
fn redis_lets_a_fixed_window_refuse_sliding_ones() {
    if let Some(bench) = Bench::redis(Clock::Caller) {
        lets_a_fixed_window_refuse_sliding_ones(&bench);
    }
}

fn lets_a_fixed_window_refuse_sliding_ones(bench: &Bench) {
    let both = [sliding("s", 5).ask(1), fixed("f", 1, 0).ask(1)];
    assert_eq!(bench.fits(&both, 0), [(true, 4), (true, 0)]);
    assert_eq!(bench.fits(&both, 1), [(true, 4), (false, 0)]);
    assert_eq!(bench.fits(&[fixed("f", 3, 0).ask(1)], 2), [(true, 0)]);
}

#[test]
fn memory_counts_fixed_windows_as_the_reference() {
    counts_fixed_windows_as_the_reference(&Bench::memory());
}

#[test]
fn redis_counts_fixed_windows_as_the_reference() {
    if let Some(bench) = Bench::redis(Clock::Caller) {
        counts_fixed_windows_as_the_reference(&bench);
    }
}

fn counts_fixed_windows_as_the_reference(bench: &Bench) {
    let limit = fixed("f", 3, 0);
    let twice = [limit.ask(1), limit.ask(1)];
    assert_eq!(bench.fits(&twice, 0), [(true, 2), (true, 1)]);
    assert_eq!(bench.fits(&[limit.ask(2)], 1), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 59), [(false, 0)]);
    let limit = fixed("f", 3, 60);
    assert_eq!(bench.fits(&[limit.ask(3)], 60), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 61), [(true, 0)]);
    assert_eq!(bench.take(&[limit.ask(0)], 61)[0].reset, 59_000_000);
}

#[test]
fn redis_and_memory_decide_alike() {
    let Some(redis) = Bench::redis(Clock::Caller) else {
        return;
    };
    let memory = Bench::memory();
    let n_schedules = Cell::new(0);
    let config = ProptestConfig::with_cases(64);
    let outcome = TestRunner::new(config).run(&schedules(), |schedule| {
        n_schedules.set(n_schedules.get() + 1);
        let n = n_schedules.get();
        let mut now = 0;
        let mut booked = Vec::new();
        for (gap, takes, unused) in schedule {
            now += gap;
            let takes: Vec<Take> = takes.into_iter().map(|take| take.of_schedule(n)).collect();
            let wall = Timestamp(BEGIN + now);
            let at = Now { steady: wall, wall };
            // The ids of the logs differ, all else is the same.
            let (mut of_redis, mut of_memory) = (Vec::new(), Vec::new());
            if let Some((which, hits)) = unused
                && !booked.is_empty()
            {
                let (key, ids): &(Vec<u8>, [Booked; 2]) = &booked[which % booked.len()];
                let unused = ids.map(|booked| GiveBack {
                    key: key.clone(),
                    window: minute(),
                    hits,
                    booked,
                });
                let [redis, memory] = unused;
                of_redis.push(redis);
                of_memory.push(memory);
            }
            let ours = redis.call(&of_redis, &takes, at);
            let theirs = memory.call(&of_memory, &takes, at);
            for ((take, ours), theirs) in takes.iter().zip(ours).zip(theirs) {
                prop_assert_eq!(ours.decision, theirs.decision);
                prop_assert_eq!(ours.granted, theirs.granted);
                if ours.granted > 0 {
                    prop_assert_eq!(ours.booked.date, theirs.booked.date);
                    booked.push((take.key.clone(), [ours.booked, theirs.booked]));
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

/// Takes as a schedule has them, before they have keys.
#[derive(Clone, Copy, Debug)]
struct Planned {
    key: u8,
    limit: u32,
    burst: u32,
    hits: Hits,
    terms: Option<Terms>,
    veto: Veto,
}

impl Planned {
    fn of_schedule(self, n_schedule: u64) -> Take {
        let limit = sliding(&format!("{n_schedule}-{}", self.key), self.limit);
        Take {
            burst: self.burst,
            hits: self.hits,
            terms: self.terms,
            veto: self.veto,
            ..limit.ask(0)
        }
    }
}

/// Some takes after some time, and which of the hits booked before are given back first.
type Turn = (u64, Vec<Planned>, Option<(usize, u64)>);

fn schedules() -> impl Strategy<Value = Vec<Turn>> {
    let gap = prop_oneof![
        2 => 0_u64..100_000,
        2 => 0_u64..3_000_000,
        1 => 0_u64..90_000_000,
    ];
    let count = prop_oneof![4 => Just(1_u64), 2 => 0_u64..40, 1 => 0_u64..1 << 45];
    let hits = (count, prop::bool::weighted(0.2)).prop_map(|(count, is_report)| {
        if is_report {
            Hits::Report(count)
        } else {
            Hits::Ask(count)
        }
    });
    let limit = prop_oneof![3 => Just(70_u32), 1 => 0_u32..300, 1 => Just(u32::MAX)];
    let planned = |key| {
        let burst = prop_oneof![2 => Just(0_u32), 1 => 0_u32..50];
        let parts = (
            limit.clone(),
            burst,
            hits.clone(),
            prop::option::of((0_u64..40, 0_u64..40, any::<bool>())),
            prop_oneof![6 => Just(Veto::Alone), 2 => Just(Veto::Together), 2 => Just(Veto::Never)],
        );
        parts.prop_map(move |(limit, burst, hits, terms, veto)| Planned {
            key,
            limit,
            burst,
            hits,
            terms: terms.map(|(least, extra, keeps)| {
                let (Hits::Ask(count) | Hits::Report(count)) = hits;
                Terms {
                    least: least.min(count),
                    largest: least.max(count),
                    extra,
                    life: 900_000,
                    keeps,
                }
            }),
            veto,
        })
    };
    let takes = prop_oneof![
        2 => planned(0).prop_map(|take| vec![take]),
        1 => (planned(0), planned(1)).prop_map(|(a, b)| vec![a, b]),
    ];
    let unused = prop::option::weighted(0.3, (any::<usize>(), 0_u64..60));
    prop::collection::vec((gap, takes, unused), 1..250)
}

#[test]
fn every_key_in_redis_expires_when_it_counts_nothing_any_more() {
    let Some(bench) = Bench::redis(Clock::Server) else {
        return;
    };
    bench.take(&[sliding("a", 5).ask(1), sliding("b", 5).report(9)], 0);
    bench.take(&[fixed("c", 5, 0).ask(1)], 0);
    bench.take(&[sliding("a", 5).ask(1), fixed("d", 5, 0).ask(1)], 0);
    let mut connection = bench.server();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert_eq!(keys.len(), 4);
    for key in keys {
        let ttl: i64 = redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
        let longest = if key.starts_with(key::PREFIX) {
            60_001
        } else {
            360_000
        };
        assert!((1..=longest).contains(&ttl), "{key}: {ttl} ms");
    }
}

#[test]
fn a_refused_ask_writes_nothing() {
    let Some(bench) = Bench::redis(Clock::Server) else {
        return;
    };
    bench.take(&[sliding("none", 0).ask(1), sliding("other", 5).ask(1)], 0);
    bench.take(&[sliding("check", 5).ask(0)], 0);
    let n_keys: u64 = redis::cmd("DBSIZE").query(&mut bench.server()).unwrap();
    assert_eq!(n_keys, 0);
}

#[test]
fn a_log_in_redis_never_grows_beyond_its_bound() {
    let Some(bench) = Bench::redis(Clock::Caller) else {
        return;
    };
    let limit = sliding("full", 10_000);
    for step in 0..3_000 {
        let wall = Timestamp(BEGIN + step * 37_000);
        let now = Now { steady: wall, wall };
        bench.take_at(&[limit.ask(1 + step % 90)], now);
        bench.take_at(&[limit.report(1 + step % 3)], now);
    }
    let length: usize = redis::cmd("STRLEN")
        .arg(limit.0.key)
        .query(&mut bench.server())
        .unwrap();
    assert!((1_000..=16 + 12 * 130).contains(&length), "{length} bytes");
}

#[test]
fn a_key_in_redis_is_free_a_window_and_a_second_after_the_clock_stepped_back() {
    let Some(bench) = Bench::redis(Clock::Caller) else {
        return;
    };
    for burst in [0, 2] {
        let mut limit = sliding(&format!("burst-{burst}"), 3);
        limit.0.burst = burst;
        let most = u64::from(3 + burst);
        assert!(bench.fits(&[limit.ask(most)], 10_000)[0].0);
        // The clock steps back by more than two hours; refused asks go on all the time.
        for second in 0..=60 {
            let decision = bench.take(&[limit.ask(1)], 1_000 + second)[0];
            assert!(!decision.fits, "{second} s after the step");
            assert_eq!(decision.reset, (61 - second).min(60) * 1_000_000);
        }
        assert!(bench.fits(&[limit.ask(1)], 1_061)[0].0);
    }
}

#[test]
fn a_late_reader_of_the_clock_makes_memory_forget_nothing() {
    let bench = Bench::memory();
    let limit = sliding("late", 1);
    assert_eq!(bench.fits(&[limit.ask(1)], 100), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.ask(1)], 90), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(1)], 159), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(1)], 160), [(true, 0)]);
}

#[test]
fn a_script_cache_that_is_flushed_is_filled_again() {
    let Some(bench) = Bench::redis(Clock::Server) else {
        return;
    };
    let limit = sliding("a", 5);
    assert_eq!(bench.fits(&[limit.ask(1)], 0), [(true, 4)]);
    let flush = redis::cmd("SCRIPT").arg("FLUSH").to_owned();
    flush.exec(&mut bench.server()).unwrap();
    assert_eq!(bench.fits(&[limit.ask(1)], 0), [(true, 3)]);
}

#[test]
fn memory_drops_what_counts_nothing() {
    let store = MemoryStore::default();
    let runtime = runtime();
    for n in 0..20_000_u64 {
        let now = at(n / 100);
        let take = sliding(&n.to_string(), 5).ask(1);
        runtime.block_on(store.take(&[], &[take], now)).unwrap();
    }
    assert!(store.len() <= 2 * 6_000, "{} counters", store.len());
}

/// A store with what it stands on.
struct Bench {
    store: Arc<dyn Store>,
    runtime: Runtime,
    redis: Option<Redis>,
    _keeper: JoinSet<()>,
}

impl Bench {
    fn memory() -> Self {
        Self {
            store: Arc::new(MemoryStore::default()),
            runtime: runtime(),
            redis: None,
            _keeper: JoinSet::new(),
        }
    }

    fn redis(clock: Clock) -> Option<Self> {
        let redis = Redis::start()?;
        let (store, keeper) = RedisStore::new(&redis.url(), clock).unwrap();
        let runtime = runtime();
        let mut keepers = JoinSet::new();
        keepers.spawn_on(keeper.run(CancellationToken::new()), runtime.handle());
        let mut is_up = store.is_up();
        runtime.block_on(is_up.wait_for(|is_up| *is_up)).unwrap();
        Some(Self {
            store: Arc::new(store),
            runtime,
            redis: Some(redis),
            _keeper: keepers,
        })
    }

    fn server(&self) -> redis::Connection {
        self.redis.as_ref().unwrap().connection()
    }

    fn take(&self, takes: &[Take], second: u64) -> Vec<Decision> {
        self.take_at(takes, at(second))
    }

    fn take_at(&self, takes: &[Take], now: Now) -> Vec<Decision> {
        let answers = self.call(&[], takes, now);
        answers.iter().map(|answer| answer.decision).collect()
    }

    fn call(&self, unused: &[GiveBack], takes: &[Take], now: Now) -> Vec<Answer> {
        let call = self.store.take(unused, takes, now);
        self.runtime.block_on(call).unwrap()
    }

    /// Whether each take fits, and what remains.
    fn fits(&self, takes: &[Take], second: u64) -> Vec<(bool, u64)> {
        let decisions = self.take(takes, second);
        let of = |decision: &Decision| (decision.fits, decision.remaining);
        decisions.iter().map(of).collect()
    }
}

/// A limit a minute under a key, from which takes are made.
struct PerMinute(Take);

impl PerMinute {
    fn ask(&self, hits: u64) -> Take {
        self.hits(Hits::Ask(hits))
    }

    fn report(&self, hits: u64) -> Take {
        self.hits(Hits::Report(hits))
    }

    fn hits(&self, hits: Hits) -> Take {
        Take {
            hits,
            ..self.0.clone()
        }
    }
}

fn sliding(key: &str, limit: u32) -> PerMinute {
    let key = key::sliding("d", [("key", key)], minute());
    per_minute(key, Algorithm::SlidingWindow, limit)
}

/// The window in which a second lies is part of the key.
fn fixed(key: &str, limit: u32, second: u64) -> PerMinute {
    let key = key::fixed("d", [("key", key)], minute(), at(second).wall);
    per_minute(key, Algorithm::FixedWindow, limit)
}

fn per_minute(key: Vec<u8>, algorithm: Algorithm, limit: u32) -> PerMinute {
    PerMinute(Take {
        key,
        algorithm,
        limit,
        burst: 0,
        window: minute(),
        hits: Hits::Ask(0),
        terms: None,
        veto: Veto::Alone,
    })
}

fn minute() -> Window {
    Window::of(Unit::Minute, NonZeroU32::MIN).unwrap()
}

fn at(second: u64) -> Now {
    let now = Timestamp(BEGIN + second * 1_000_000);
    Now {
        steady: now,
        wall: now,
    }
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

/// 2023-11-14, at a second that begins a minute.
const BEGIN: u64 = 1_699_999_980_000_000;
