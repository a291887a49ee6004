//! What a process holds after it has counted.

use slidegate::store::Store;
use slidegate::store::memory::MemoryStore;

use crate::store::bench::Bench;
use crate::store::bench::runtime;
use crate::store::limits::at;
use crate::store::limits::sliding;

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
