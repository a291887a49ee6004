//! Stores that admit too much, to prove that the adversary finds it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;

use slidegate::algorithm::Booked;
use slidegate::algorithm::Decision;
use slidegate::algorithm::Hits;
use slidegate::rule::limit::Window;
use slidegate::store::Answer;
use slidegate::store::BoxFuture;
use slidegate::store::GiveBack;
use slidegate::store::Now;
use slidegate::store::Store;
use slidegate::store::StoreError;
use slidegate::store::Take;

/// A store that counts in a wrong way.
#[derive(Debug, Default)]
pub(crate) struct Cheating<C>(C);

/// A way of counting.
pub(crate) trait Count: std::fmt::Debug + Send + Sync + 'static {
    /// Decides a take at a time in microseconds.
    fn decide(&self, take: &Take, now: u64) -> impl Future<Output = Answer> + Send;
}

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

impl Count for TwoBuckets {
    async fn decide(&self, take: &Take, now: u64) -> Answer {
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

impl Count for FixedWindow {
    async fn decide(&self, take: &Take, now: u64) -> Answer {
        let bucket = now / take.window.micros();
        let mut counts = self.0.lock().unwrap();
        let (at, count) = counts.entry(take.key.clone()).or_default();
        if *at != bucket {
            (*at, *count) = (bucket, 0);
        }
        admit(take, *count, |hits| *count += hits)
    }
}

impl Count for TwoSteps {
    async fn decide(&self, take: &Take, now: u64) -> Answer {
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

impl<C: Count> Store for Cheating<C> {
    fn take<'a>(
        &'a self,
        _: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(async move {
            let mut answers = Vec::new();
            for take in takes {
                answers.push(self.0.decide(take, now.steady.0).await);
            }
            Ok(answers)
        })
    }

    fn reset<'a>(
        &'a self,
        _: &'a [u8],
        _: Window,
        _: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        unreachable!("nobody resets a key of a cheater")
    }
}

fn admit(take: &Take, total: u64, book: impl FnOnce(u64)) -> Answer {
    let limit = u64::from(take.limit);
    let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
    let fits = total + hits.max(1) <= limit;
    let granted = if fits || matches!(take.hits, Hits::Report(_)) {
        book(hits);
        hits
    } else {
        0
    };
    Answer {
        decision: Decision {
            fits,
            remaining: limit.saturating_sub(total),
            reset: 0,
        },
        granted,
        booked: Booked::default(),
    }
}

/// When hits came, and how many.
type ExactLog = Vec<(u64, u64)>;
