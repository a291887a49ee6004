//! Where hits are counted: one trait, a store in this process and one in Redis.

pub mod complaint;
pub mod key;
pub mod memory;
mod parts;
pub mod redis;
pub mod split;

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::algorithm::Booked;
use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::sliding::Quota;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;

/// A future that a store returns.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Counts hits.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Takes back what was not used, then decides the takes of one request together: sliding ones
    /// are charged all or none, fixed ones always, as envoyproxy/ratelimit does. Answers in the
    /// order of the takes.
    ///
    /// No two sliding takes have the same key. Nothing is sent again that may have been executed.
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>>;

    /// Forgets what was counted under the key of a sliding window, but for hits that were granted
    /// ahead of need and may still be used.
    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        window: Window,
        now: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Whether all keys are in one place, so that they can be counted all or none.
    fn is_one_place(&self) -> bool {
        true
    }

    /// Makes known under a key of its own whether a replica is there, and says how many are. A store
    /// in a process has the one.
    fn attend<'a>(
        &'a self,
        _key: &'a [u8],
        _replica: &'a str,
        _presence: Presence,
    ) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(std::future::ready(Ok(1)))
    }
}

/// Whether a replica is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// It goes.
    Gone,
    /// It is there.
    Here,
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
    /// How an ask on a sliding window may be granted otherwise than whole.
    pub terms: Option<Terms>,
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

    /// How it is granted.
    pub fn terms(&self) -> Terms {
        self.terms.unwrap_or_else(|| Terms::whole(self.hits))
    }
}

/// What a store says of a take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// Whether all that was needed fitted, and what is left now.
    pub decision: Decision,
    /// How many hits were booked.
    pub granted: u64,
    /// As what, on sliding windows.
    pub booked: Booked,
}

/// Hits on a sliding window that were booked and that nobody has used or ever will.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GiveBack {
    /// The identity of the counter.
    pub key: Vec<u8>,
    /// N.
    pub limit: u32,
    /// How much more one window may hold.
    pub burst: u32,
    /// W.
    pub window: Window,
    /// How many.
    pub hits: u64,
    /// As what they were booked.
    pub booked: Booked,
}

impl GiveBack {
    /// What sliding windows hold these hits to.
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

/// Why a store did not answer, which many requests may have in common.
#[derive(Clone, Debug, thiserror::Error)]
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
    /// What is stored under a key of the request cannot be counted; other keys are not concerned.
    #[error("what is stored under the key cannot be counted: {0}")]
    Uncountable(String),
    /// The store refused, and its answer proves that nothing was executed.
    #[error("the store refused")]
    Refused(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The store failed, or the connection broke: nobody knows what was executed.
    #[error("the store failed")]
    Failed(#[source] Arc<dyn std::error::Error + Send + Sync>),
}

/// Waits for all of them at once.
pub async fn all<T: Unpin>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
    done.into_iter().flatten().collect()
}

/// An error with its causes, on one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        // Some errors tell what caused them themselves.
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
        cause = error.source();
    }
    text
}

impl StoreError {
    /// The store failed because of this.
    pub fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(cause.into()))
    }
}
