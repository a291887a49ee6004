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
    /// What hits that do not fit do to the whole request.
    pub veto: Veto,
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

/// What hits that do not fit do to the whole request, the weakest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Veto {
    /// Nothing, as in shadow mode.
    Never,
    /// They refuse it if those of no other take of this kind fit, as in quota mode.
    Together,
    /// They refuse it.
    Alone,
}

impl Veto {
    /// Whether a request passes, by what its takes may do and whether their hits fit.
    pub fn admits(takes: impl IntoIterator<Item = (Self, bool)>) -> bool {
        let mut any_together_fits = None;
        for (veto, fits) in takes {
            match veto {
                Self::Alone if !fits => return false,
                Self::Alone | Self::Never => {}
                Self::Together => *any_together_fits.get_or_insert(false) |= fits,
            }
        }
        any_together_fits.unwrap_or(true)
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
