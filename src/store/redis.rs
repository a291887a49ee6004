//! The Redis store: one server, one round trip a request.

mod script;
pub mod topology;

use std::sync::Arc;

use ::redis::RedisError;
use ::redis::ServerErrorKind;
use tokio::sync::watch;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::fixed;
use crate::rule::limit::Algorithm;
use crate::store::BoxFuture;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::redis::script::TakeScript;
use crate::store::redis::topology::Keeper;
use crate::store::redis::topology::Link;
use crate::store::redis::topology::Sent;

/// Counts in one Redis server, on that server's clock.
pub struct RedisStore {
    link: Arc<Link>,
    script: TakeScript,
    clock: Clock,
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
    /// A store at `redis://[user:password@]host:port[/db]`, and the task that keeps it connected.
    ///
    /// # Errors
    ///
    /// The URL is not of that form.
    pub fn new(url: &str, clock: Clock) -> Result<(Self, Keeper), RedisError> {
        let (link, keeper) = Link::new(url)?;
        let store = Self {
            link,
            script: TakeScript::new(),
            clock,
        };
        Ok((store, keeper))
    }

    /// Whether Redis is connected, now and as it changes.
    pub fn is_up(&self) -> watch::Receiver<bool> {
        self.link.is_up()
    }

    async fn decide(&self, takes: &[Take], now: Now) -> Result<Vec<Decision>, StoreError> {
        if takes.is_empty() {
            return Ok(Vec::new());
        }
        let is_fixed = |take: &Take| take.algorithm == Algorithm::FixedWindow;
        if takes.iter().all(is_fixed) {
            return self.count(takes, now).await;
        }
        let time = (self.clock == Clock::Caller).then_some(now.steady);
        let call = self.script.call(takes, time);
        let lane = self.link.lane(&takes[0].key);
        let answer = match self.link.send(lane, &call).await {
            Err(Sent::Refused(error)) if is_unknown_script(&error) => {
                self.link.send(lane, &self.script.load()).await?;
                self.link.send(lane, &call).await?
            }
            answer => answer?,
        };
        TakeScript::answer(takes, &answer, now)
    }

    /// Counts in fixed windows with the very commands of envoyproxy/ratelimit.
    async fn count(&self, takes: &[Take], now: Now) -> Result<Vec<Decision>, StoreError> {
        let mut pipe = ::redis::Pipeline::with_capacity(2 * takes.len());
        for take in takes {
            let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
            let key = take.key.as_slice();
            pipe.cmd("INCRBY").arg(key).arg(hits.min(MAX_HITS));
            pipe.cmd("EXPIRE").arg(key).arg(script::time_to_live(take));
        }
        let lane = self.link.lane(&takes[0].key);
        let counts = self.link.send_all(lane, &pipe, 2 * takes.len()).await?;
        let decision = |(take, count): (&Take, &::redis::Value)| {
            let count: u64 = ::redis::from_redis_value_ref(count).map_err(script::unexpected)?;
            Ok(fixed::decision(take.limit, take.window, count, now.wall))
        };
        takes
            .iter()
            .zip(counts.iter().step_by(2))
            .map(decision)
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

impl Store for RedisStore {
    fn take<'a>(
        &'a self,
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Decision>, StoreError>> {
        Box::pin(self.decide(takes, now))
    }

    fn reset<'a>(&'a self, key: &'a [u8], _now: Now) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut command = ::redis::cmd("DEL");
            self.link
                .send(self.link.lane(key), command.arg(key))
                .await?;
            Ok(())
        })
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ::redis::ErrorKind::Server(ServerErrorKind::NoScript)
}
