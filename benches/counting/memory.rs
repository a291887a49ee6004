//! The limiter on the memory store: matching, counting, metrics; no wire.

use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use slidegate::limiter::Descriptor;
use slidegate::limiter::Limiter;
use slidegate::limiter::Options;
use slidegate::limiter::Request;
use slidegate::limiter::clock::SystemClock;
use slidegate::metrics::Metrics;
use slidegate::rule::document;
use slidegate::rule::tree::RuleSet;
use slidegate::store::memory::MemoryStore;
use tokio::runtime::Builder;

use crate::now;
use crate::served::RULES;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide_on_memory");
    let users: Vec<String> = (0..100_000).map(|n| format!("user-{n}")).collect();
    for (name, key, values) in [
        ("admitted_hot_key", "vast", &users[..1]),
        ("refused_hot_key", "tiny", &users[..1]),
        ("uniform_100000_keys", "vast", &users[..]),
    ] {
        let limiter = limiter();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime needs nothing");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| runtime.block_on(decide(&limiter, key, values, n)));
        });
    }
    group.finish();
}

async fn decide(limiter: &Limiter, key: &str, values: &[String], n: u64) -> Duration {
    let begin = now();
    for value in values
        .iter()
        .cycle()
        .take(usize::try_from(n).expect("64 bits"))
    {
        let request = Request {
            domain: "bench",
            descriptors: vec![Descriptor {
                entries: vec![(key, value)],
                ..Descriptor::default()
            }],
            hits_addend: 0,
        };
        let verdict = limiter.decide(&request, Duration::from_secs(1)).await;
        verdict.expect("the memory store answers");
    }
    begin.elapsed()
}

fn limiter() -> Limiter {
    let metrics = Arc::new(Metrics::new());
    let limiter = Limiter::new(
        Arc::new(MemoryStore::default()),
        Arc::new(SystemClock::start()),
        Options::default(),
        Arc::clone(&metrics),
        metrics.store("memory"),
    );
    let mut faults = Vec::new();
    let domains = document::read(&Arc::from("rules"), RULES, &mut faults);
    assert_eq!(faults, []);
    limiter.replace_rules(RuleSet::new(domains));
    limiter
}
