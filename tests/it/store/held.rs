//! What a Redis and a memory hold, and for how long.

use slidegate::store::Store;
use slidegate::store::key;
use slidegate::store::memory::MemoryStore;
use slidegate::store::redis::Clock;

use crate::store::bench::Bench;
use crate::store::bench::runtime;
use crate::store::takes::at;
use crate::store::takes::fixed;
use crate::store::takes::moment;
use crate::store::takes::sliding;

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
        let now = moment(step * 37_000);
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
        let limit = sliding(&format!("burst-{burst}"), 3).with_burst(burst);
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
