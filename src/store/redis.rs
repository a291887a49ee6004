//! The Redis store: one round trip a request to each server that has some of its keys.

pub mod address;
mod attendance;
mod batch;
pub mod connect;
mod discovery;
mod eviction;
mod node;
mod oddity;
mod post;
mod queue;
mod script;
mod slots;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Timestamp;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::Presence;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::parts;
use crate::store::parts::Places;
use crate::store::redis::address::Address;
use crate::store::redis::address::Unreadable;
use crate::store::redis::attendance::Attendance;
use crate::store::redis::batch::Batches;
use crate::store::redis::connect::Servers;
use crate::store::redis::node::Sent;
use crate::store::redis::oddity::Oddity;
use crate::store::redis::script::Call;
use crate::store::redis::script::Expiry;
use crate::store::redis::topology::Lane;
use crate::store::redis::topology::Link;

/// Counts in Redis, each key on the clock of the server that has it.
pub struct RedisStore {
    link: Arc<Link>,
    batches: Arc<Batches>,
    attendance: Attendance,
    expiry: Expiry,
    clock: Clock,
}

/// What a Redis does that costs hits, or mends them.
#[derive(Clone)]
pub struct Oddities {
    /// Keys that a server evicted to make room.
    pub evicted_keys: Counter,
    /// Logs that were ahead of the server's clock and were set back.
    pub shifted_logs: Counter,
}

impl Default for Oddities {
    /// They are told in the log only.
    fn default() -> Self {
        Self {
            evicted_keys: Counter::noop(),
            shifted_logs: Counter::noop(),
        }
    }
}

/// Whose clock sliding windows are counted on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clock {
    /// The time that comes with each take; for tests.
    Caller,
    /// That of the Redis server.
    Server,
}

impl RedisStore {
    /// A store at a URL, and the task that keeps it connected; [`Address::read`] says which URLs.
    ///
    /// # Errors
    ///
    /// The URL is not of that form.
    pub fn new(url: &str, clock: Clock) -> Result<(Self, Keeper), Unreadable> {
        let servers = Servers::plain(Address::read(url)?);
        Ok(Self::over(servers, clock))
    }

    /// A store on these servers, and the task that keeps it connected.
    pub fn over(servers: Servers, clock: Clock) -> (Self, Keeper) {
        Self::noting(servers, clock, Oddities::default())
    }

    /// The same, counting what is odd.
    pub fn noting(servers: Servers, clock: Clock, oddities: Oddities) -> (Self, Keeper) {
        let (link, connections) = Link::new(servers, oddities.evicted_keys);
        let shifts = Oddity::new(oddities.shifted_logs);
        let batches = Arc::new(Batches::new(Arc::clone(&link), shifts));
        let keeper = Keeper {
            connections,
            batches: Arc::clone(&batches),
        };
        let store = Self {
            attendance: Attendance::new(Arc::clone(&link)),
            link,
            batches,
            expiry: Expiry::default(),
            clock,
        };
        (store, keeper)
    }

    /// The same with another jitter than 300 seconds: keys of fixed windows stay so much longer
    /// than they must, at most, each a random part of it.
    #[must_use]
    pub fn with_expiry_jitter(self, jitter: Duration) -> Self {
        let jitter = jitter.as_secs();
        Self {
            expiry: Expiry { jitter },
            ..self
        }
    }

    /// Whether Redis is connected, now and as it changes.
    pub fn is_up(&self) -> watch::Receiver<bool> {
        self.link.is_up()
    }

    async fn decide(
        &self,
        unused: &[GiveBack],
        takes: &[Take],
        now: Now,
    ) -> Result<Vec<Answer>, StoreError> {
        let lane = |key: &Vec<u8>| self.link.lane(key);
        let parts = parts::parts(unused, takes, |it| lane(&it.key), |it| lane(&it.key));
        let Some(parts) = parts else {
            let keys = unused.iter().map(|it| &it.key);
            return match keys.chain(takes.iter().map(|it| &it.key)).next() {
                Some(key) => self.decide_in(lane(key), unused, takes, now).await,
                None => Ok(Vec::new()),
            };
        };
        parts::decide(self, &parts, takes, now).await
    }

    /// Decides takes whose keys are all of this lane.
    async fn decide_in(
        &self,
        lane: Lane,
        unused: &[GiveBack],
        takes: &[Take],
        now: Now,
    ) -> Result<Vec<Answer>, StoreError> {
        let is_fixed = |take: &Take| take.algorithm == Algorithm::FixedWindow;
        if unused.is_empty() && takes.iter().all(is_fixed) {
            return self.count(lane, takes, now).await;
        }
        let mut call = Call::default();
        for unused in unused {
            call.give_back(unused);
        }
        call.take(takes, self.expiry);
        let part = self.batches.execute(lane, call, self.time(now)).await?;
        part.records()?.answers(takes, now)
    }

    /// The time of a call, unless it is the server's.
    fn time(&self, now: Now) -> Option<Timestamp> {
        (self.clock == Clock::Caller).then_some(now.steady)
    }

    /// Counts in fixed windows with the very commands of envoyproxy/ratelimit.
    async fn count(&self, lane: Lane, takes: &[Take], now: Now) -> Result<Vec<Answer>, StoreError> {
        let mut pipe = ::redis::Pipeline::with_capacity(2 * takes.len());
        for take in takes {
            let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
            let key = take.key.as_slice();
            pipe.cmd("INCRBY").arg(key).arg(hits.min(MAX_HITS));
            pipe.cmd("EXPIRE").arg(key).arg(self.expiry.seconds(take));
        }
        let answers = self.link.send_all(lane, &pipe, 2 * takes.len()).await?;
        let is_nothing_counted = answers.iter().step_by(2).all(Result::is_err);
        let counts: Result<Vec<_>, _> = answers.into_iter().collect();
        let counts = counts.map_err(|error| match is_nothing_counted {
            true => Sent::Refused(error).into(),
            false => StoreError::failed(error),
        })?;
        let answer = |(take, count): (&Take, &::redis::Value)| {
            let count: u64 = ::redis::from_redis_value_ref(count).map_err(script::unexpected)?;
            Ok(script::counted(take, count, now))
        };
        takes
            .iter()
            .zip(counts.iter().step_by(2))
            .map(answer)
            .collect()
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("is_up", &*self.link.is_up().borrow())
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

impl Places<Lane> for RedisStore {
    fn ask<'a>(
        &'a self,
        lane: Lane,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(self.decide_in(lane, unused, takes, now))
    }
}

impl Store for RedisStore {
    fn take<'a>(
        &'a self,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(self.decide(unused, takes, now))
    }

    fn reset<'a>(
        &'a self,
        key: &'a [u8],
        window: Window,
        now: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut call = Call::default();
            call.reset(key, window);
            let lane = self.link.lane(key);
            self.batches.execute(lane, call, self.time(now)).await?;
            Ok(())
        })
    }

    fn is_one_place(&self) -> bool {
        self.link.has_one_lane()
    }

    fn attend<'a>(
        &'a self,
        key: &'a [u8],
        replica: &'a str,
        presence: Presence,
    ) -> BoxFuture<'a, Result<u32, StoreError>> {
        Box::pin(self.attendance.attend(key, replica, presence))
    }
}

/// Keeps a [`RedisStore`] connected, and sends what it is asked.
#[must_use = "without its keeper the store never connects"]
pub struct Keeper {
    connections: topology::Keeper,
    batches: Arc<Batches>,
}

impl Keeper {
    /// Runs until the token stops it; servers that are away are waited for.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.connections.run(stop) => {}
            () = self.batches.run() => {}
        }
    }
}
