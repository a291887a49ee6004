//! How many replicas share the limits: as it is set, or as the store has it, where each makes itself
//! known.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::Gauge;
use tracing::warn;

use crate::algorithm::Timestamp;
use crate::store;
use crate::store::Presence;
use crate::store::Store;
use crate::store::complaint::Complaints;

/// Knows how many replicas there are.
#[derive(Debug)]
pub(super) struct Census {
    /// Whether that is set, and nobody is asked.
    is_set: bool,
    replicas: AtomicU32,
    /// When so many were last seen, on the steady clock.
    seen_at: AtomicU64,
    complaints: Complaints,
    /// Tells this replica from others.
    name: String,
    gauge: Gauge,
}

impl Census {
    /// So many, or as many as the store will tell; one before it has.
    pub(super) fn new(set: Option<NonZeroU32>, gauge: Gauge) -> Self {
        let replicas = set.unwrap_or(NonZeroU32::MIN).get();
        gauge.set(f64::from(replicas));
        Self {
            is_set: set.is_some(),
            replicas: AtomicU32::new(replicas),
            seen_at: AtomicU64::new(0),
            complaints: Complaints::default(),
            name: format!("{:016x}", fastrand::u64(..)),
            gauge,
        }
    }

    /// How many there are, or were when the store last answered.
    pub(super) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Makes this replica known under a key of the store, and takes note of how many are.
    pub(super) async fn attend(&self, store: &dyn Store, key: &[u8], now: Timestamp) {
        if self.is_set {
            return;
        }
        let attended = store.attend(key, &self.name, Presence::Here);
        let counted = match tokio::time::timeout(PATIENCE, attended).await {
            Ok(Ok(counted)) => counted,
            Ok(Err(error)) => return self.complain(&error),
            // The next one is as good.
            Err(_) => return,
        };
        // A store that forgot everything hears of all replicas again within a while.
        let seen_at = Timestamp(self.seen_at.load(Ordering::Relaxed));
        if counted >= self.replicas() || now.since(seen_at) > FORGOTTEN {
            self.replicas.store(counted.max(1), Ordering::Relaxed);
            self.seen_at.store(now.0, Ordering::Relaxed);
            self.gauge.set(f64::from(counted.max(1)));
        }
    }

    /// Makes known that this replica goes.
    pub(super) async fn leave(&self, store: &dyn Store, key: &[u8]) {
        if self.is_set {
            return;
        }
        let left = store.attend(key, &self.name, Presence::Gone);
        // The others find out by themselves in a few seconds.
        drop(tokio::time::timeout(PATIENCE, left).await);
    }

    fn complain(&self, error: &dyn std::error::Error) {
        let (replicas, reason) = (self.replicas(), store::in_full(error));
        if self.complaints.allow(&reason) {
            warn!(
                reason,
                replicas, "the store does not tell how many replicas there are"
            );
        }
    }
}

/// How long the store may take to tell.
const PATIENCE: Duration = Duration::from_secs(1);
/// In microseconds: how long fewer replicas than before are not believed.
const FORGOTTEN: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use crate::metrics::Metrics;
    use crate::rule::limit::Window;
    use crate::store::Answer;
    use crate::store::BoxFuture;
    use crate::store::GiveBack;
    use crate::store::Now;
    use crate::store::StoreError;
    use crate::store::Take;

    use super::*;

    #[tokio::test]
    async fn what_is_set_holds_and_the_store_is_not_asked() {
        let census = census(NonZeroU32::new(3));
        let store = Attended::default();
        census.attend(&store, b"k", Timestamp(0)).await;
        census.leave(&store, b"k").await;
        assert_eq!(census.replicas(), 3);
        assert!(!store.is_asked.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn more_are_believed_at_once_and_fewer_after_a_while() {
        let census = census(None);
        let store = Attended::default();
        assert_eq!(census.replicas(), 1);
        for (second, told, believed) in [
            (10, 3, 3),
            (11, 4, 4),
            (12, 1, 4),
            (15, 2, 4),
            (17, 2, 2),
            (18, 0, 2),
            (24, 0, 1),
        ] {
            store.told.store(told, Ordering::Relaxed);
            let now = Timestamp(second * 1_000_000);
            census.attend(&store, b"k", now).await;
            assert_eq!(census.replicas(), believed, "{second} s");
        }
    }

    #[tokio::test]
    async fn without_an_answer_the_last_one_holds() {
        let census = census(None);
        let store = Attended::default();
        store.told.store(3, Ordering::Relaxed);
        census.attend(&store, b"k", Timestamp(0)).await;
        store.fails.store(true, Ordering::Relaxed);
        for second in 1..100 {
            let now = Timestamp(second * 1_000_000);
            census.attend(&store, b"k", now).await;
        }
        assert_eq!(census.replicas(), 3);
    }

    fn census(set: Option<NonZeroU32>) -> Census {
        Census::new(set, Metrics::new().fallback().replicas)
    }

    #[derive(Debug, Default)]
    struct Attended {
        told: AtomicU32,
        fails: AtomicBool,
        is_asked: AtomicBool,
    }

    impl Store for Attended {
        fn take<'a>(
            &'a self,
            _unused: &'a [GiveBack],
            _takes: &'a [Take],
            _now: Now,
        ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
            unreachable!("nothing is counted here")
        }

        fn reset<'a>(
            &'a self,
            _key: &'a [u8],
            _window: Window,
            _now: Now,
        ) -> BoxFuture<'a, Result<(), StoreError>> {
            unreachable!("nothing is counted here")
        }

        fn attend<'a>(
            &'a self,
            _key: &'a [u8],
            _replica: &'a str,
            _presence: Presence,
        ) -> BoxFuture<'a, Result<u32, StoreError>> {
            self.is_asked.store(true, Ordering::Relaxed);
            let told = match self.fails.load(Ordering::Relaxed) {
                true => Err(StoreError::Disconnected),
                false => Ok(self.told.load(Ordering::Relaxed)),
            };
            Box::pin(std::future::ready(told))
        }
    }
}
