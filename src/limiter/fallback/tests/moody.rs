//! A store that hangs or refuses when it is told to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::Mutex;
use tokio::sync::Notify;

use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::Presence;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::memory::MemoryStore;

/// Counts in memory, unless it hangs or refuses.
#[derive(Debug, Default)]
pub(super) struct Moody {
    counts: MemoryStore,
    hangs: AtomicBool,
    refuses: AtomicBool,
    pub(super) n_asked: AtomicU64,
    /// Somebody asks how many replicas there are.
    pub(super) counts_replicas: Notify,
    /// Whoever holds it has them wait for the answer.
    pub(super) census: Mutex<()>,
}

impl Moody {
    pub(super) fn hang(&self) {
        self.hangs.store(true, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    pub(super) fn answer(&self) {
        self.hangs.store(false, Ordering::Relaxed);
        self.refuses.store(false, Ordering::Relaxed);
    }
}

impl Store for Moody {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        self.n_asked.fetch_add(1, Ordering::Relaxed);
        if self.hangs.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        if self.refuses.load(Ordering::Relaxed) {
            let why = Arc::new(io::Error::other("no permission"));
            return Box::pin(std::future::ready(Err(StoreError::Refused(why))));
        }
        self.counts.take(unused, takes, now)
    }

    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        window: Window,
        now: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.counts.reset(key, window, now)
    }

    fn attend<'a>(
        &'a self,
        _key: &'a [u8],
        _replica: &'a str,
        _presence: Presence,
    ) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(async {
            self.counts_replicas.notify_one();
            drop(self.census.lock().await);
            Ok(1)
        })
    }
}
