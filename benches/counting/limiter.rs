//! The limiter in this process: matching, counting, metrics; no wire, no network.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use criterion::Throughput;
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
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::now;
use crate::served::RULES;

/// With every hit counted in the store, and with leases, where hot and refused keys are answered
/// from the ledger.
pub(crate) fn bench(criterion: &mut Criterion) {
    let users: Vec<String> = (0..100_000).map(|n| format!("user-{n}")).collect();
    let mut group = criterion.benchmark_group("decide_on_memory");
    for (name, key, values) in [
        ("admitted_hot_key", "vast", &users[..1]),
        ("refused_hot_key", "tiny", &users[..1]),
        ("uniform_100000_keys", "vast", &users[..]),
    ] {
        let (limiter, runtime) = (limiter(), runtime());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| runtime.block_on(decide(&limiter, key, values, n)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("decide_on_ledger");
    for (name, key, n_threads, same) in [
        ("hit", "vast", 1, true),
        ("hit_2_threads_one_key", "vast", 2, true),
        ("hit_2_threads_a_key_each", "vast", 2, false),
        ("refused", "tiny", 1, true),
        ("refused_2_threads_one_key", "tiny", 2, true),
    ] {
        let leasing = Leasing::start();
        group.throughput(Throughput::Elements(n_threads));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| leasing.decide(key, &users, n, n_threads, same));
        });
    }
    group.finish();
}

/// A limiter with leases, and the thread that carries its takes to the store.
struct Leasing {
    limiter: Arc<Limiter>,
    stop: CancellationToken,
    courier: Option<thread::JoinHandle<()>>,
}

impl Leasing {
    fn start() -> Self {
        let (limiter, courier) = limiter().leasing();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let courier = thread::spawn(move || runtime().block_on(courier.run(stopped)));
        Self {
            limiter: Arc::new(limiter),
            stop,
            courier: Some(courier),
        }
    }

    /// How long each of the threads takes for `n` decisions.
    fn decide(
        &self,
        key: &'static str,
        users: &[String],
        n: u64,
        n_threads: u64,
        same: bool,
    ) -> Duration {
        let threads: Vec<_> = (0..n_threads)
            .map(|thread| {
                let limiter = Arc::clone(&self.limiter);
                let user = if same { 0 } else { thread };
                let user = users[usize::try_from(user).expect("64 bits")].clone();
                thread::spawn(move || runtime().block_on(decide(&limiter, key, &[user], n)))
            })
            .collect();
        let took = threads.into_iter().map(|it| it.join().expect("it decides"));
        took.max().unwrap_or_default()
    }
}

impl Drop for Leasing {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(courier) = self.courier.take() {
            courier.join().expect("it ends when told");
        }
    }
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

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime needs nothing")
}
