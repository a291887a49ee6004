//! Stores that admit too much, to prove that the adversary finds it.

use std::collections::HashMap;
use std::sync::Mutex;

use slidegate::algorithm::Decision;
use slidegate::algorithm::Hits;
use slidegate::store::BoxFuture;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;

/// The weighted counter of two buckets: the last bucket counts by the part of it that the window
/// still covers, as if its hits had come evenly.
#[derive(Debug, Default)]
pub(crate) struct TwoBuckets(Mutex<HashMap<Vec<u8>, (u64, u64, u64)>>);

/// A counter for windows aligned to the clock.
#[derive(Debug, Default)]
pub(crate) struct FixedWindow(Mutex<HashMap<Vec<u8>, (u64, u64)>>);

/// An exact log that is read in one step and written in another.
#[derive(Debug, Default)]
pub(crate) struct TwoSteps(Mutex<HashMap<Vec<u8>, ExactLog>>);

impl TwoBuckets {
    fn decide(&self, take: &Take, now: u64) -> Decision {
        let window = take.window.micros();
        let bucket = now / window;
        let mut counts = self.0.lock().unwrap();
        let (at, before, count) = counts.entry(take.key.clone()).or_default();
        if *at != bucket {
            *before = if *at + 1 == bucket { *count } else { 0 };
            (*at, *count) = (bucket, 0);
        }
        let covered = window - now % window;
        let total = *before * covered / window + *count;
        admit(take, total, |hits| *count += hits)
    }
}

impl FixedWindow {
    fn decide(&self, take: &Take, now: u64) -> Decision {
        let bucket = now / take.window.micros();
        let mut counts = self.0.lock().unwrap();
        let (at, count) = counts.entry(take.key.clone()).or_default();
        if *at != bucket {
            (*at, *count) = (bucket, 0);
        }
        admit(take, *count, |hits| *count += hits)
    }
}

impl TwoSteps {
    async fn decide(&self, take: &Take, now: u64) -> Decision {
        let oldest = now.saturating_sub(take.window.micros());
        let total = {
            let mut logs = self.0.lock().unwrap();
            let log = logs.entry(take.key.clone()).or_default();
            log.retain(|(at, _)| *at > oldest);
            log.iter().map(|(_, hits)| hits).sum()
        };
        tokio::task::yield_now().await;
        admit(take, total, |hits| {
            let mut logs = self.0.lock().unwrap();
            logs.entry(take.key.clone()).or_default().push((now, hits));
        })
    }
}

fn admit(take: &Take, total: u64, book: impl FnOnce(u64)) -> Decision {
    let limit = u64::from(take.limit);
    let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
    let fits = total + hits.max(1) <= limit;
    if fits || matches!(take.hits, Hits::Report(_)) {
        book(hits);
    }
    Decision {
        fits,
        remaining: limit.saturating_sub(total),
        reset: 0,
    }
}

impl Store for TwoBuckets {
    fn take<'a>(&'a self, takes: &'a [Take], now: Now) -> Taken<'a> {
        let decisions = takes.iter().map(|take| self.decide(take, now.steady.0));
        let decisions = decisions.collect();
        Box::pin(async { Ok(decisions) })
    }

    fn reset<'a>(&'a self, key: &'a [u8], _: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }
}

impl Store for FixedWindow {
    fn take<'a>(&'a self, takes: &'a [Take], now: Now) -> Taken<'a> {
        let decisions = takes.iter().map(|take| self.decide(take, now.steady.0));
        let decisions = decisions.collect();
        Box::pin(async { Ok(decisions) })
    }

    fn reset<'a>(&'a self, key: &'a [u8], _: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }
}

impl Store for TwoSteps {
    fn take<'a>(&'a self, takes: &'a [Take], now: Now) -> Taken<'a> {
        Box::pin(async move {
            let mut decisions = Vec::new();
            for take in takes {
                decisions.push(self.decide(take, now.steady.0).await);
            }
            Ok(decisions)
        })
    }

    fn reset<'a>(&'a self, key: &'a [u8], _: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }
}

/// When hits came, and how many.
type ExactLog = Vec<(u64, u64)>;

type Taken<'a> = BoxFuture<'a, Result<Vec<Decision>, StoreError>>;
