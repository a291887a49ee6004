//! Where hits are counted: one trait, a store in this process and one in Redis.

pub mod key;
pub mod memory;
pub mod redis;

use std::future::Future;
use std::pin::Pin;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::Timestamp;
use crate::algorithm::sliding::Quota;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;

/// A future that a store returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Counts hits.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Decides the takes of one request together: sliding ones are charged all or none, fixed
    /// ones always, as envoyproxy/ratelimit does. Answers in the order of the takes.
    ///
    /// No two sliding takes have the same key.
    fn take<'a>(
        &'a self,
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Decision>, StoreError>>;

    /// Forgets what was counted under a key.
    fn reset<'a>(&'a self, key: &'a [u8], now: Now) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The hits of one request on one key, with the limit that holds for them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Take {
    /// The identity of the counter.
    pub key: Vec<u8>,
    /// How it counts.
    pub algorithm: Algorithm,
    /// N; not part of the identity, so that a changed limit goes on with what was counted.
    pub limit: u32,
    /// How much more one window may hold, with N on average; only of sliding windows.
    pub burst: u32,
    /// W.
    pub window: Window,
    /// What is asked for or reported.
    pub hits: Hits,
    /// Whether hits that do not fit refuse the whole request; not so in shadow mode.
    pub enforced: bool,
}

impl Take {
    /// The most that one window holds.
    pub fn most(&self) -> u64 {
        u64::from(self.limit) + u64::from(self.burst)
    }

    /// What sliding windows hold this take to.
    pub fn quota(&self) -> Quota {
        Quota::new(self.limit, self.burst, self.window)
    }
}

/// The moment of a request, on the clocks of this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// A clock that is never set, for counting in this process.
    pub steady: Timestamp,
    /// The clock that people and envoyproxy/ratelimit align windows to.
    pub wall: Timestamp,
}

/// Why a store did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no connection.
    #[error("the store is not connected")]
    Disconnected,
    /// The answer is none that the store's protocol knows.
    #[error("unexpected answer from the store: {0}")]
    Protocol(String),
    /// Too many requests wait for the store already.
    #[error("too many requests are waiting for the store")]
    Full,
    /// The store refused, or the connection broke.
    #[error("the store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
