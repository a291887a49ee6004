//! One thread of `load`: its connections, and the callers that send on them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::algorithm::Timestamp;
use crate::cli::load::link;
use crate::cli::load::link::Link;
use crate::cli::load::message::Requests;
use crate::cli::load::schedule::Schedule;
use crate::cli::load::tally::Failure;
use crate::cli::load::tally::Tally;
use crate::cli::load::timer::Timer;
use crate::limiter::clock::Clock;
use crate::limiter::clock::SystemClock;
use crate::settings::load::Load;
use crate::shutdown::TaskError;

/// What one thread does.
#[derive(Debug)]
pub(super) struct Thread<'a> {
    pub(super) settings: &'a Load,
    pub(super) schedule: Schedule,
    pub(super) clock: SystemClock,
    pub(super) tally: Arc<Mutex<Tally>>,
}

/// What the callers of one thread share.
#[derive(Debug)]
struct Shared {
    schedule: Schedule,
    clock: SystemClock,
    begin: Timestamp,
    timeout: Duration,
    /// How many requests callers have taken on.
    taken: AtomicU64,
    /// Requests that are due and not taken on yet, where there is a rate; never closed.
    due: Semaphore,
    tally: Arc<Mutex<Tally>>,
}

impl Thread<'_> {
    /// Connects, says so, and sends from the moment that `begin` tells until all is answered.
    pub(super) async fn run(
        self,
        connected: impl FnOnce(),
        begin: oneshot::Receiver<Timestamp>,
    ) -> Result<(), TaskError> {
        let mut keepers = JoinSet::new();
        let mut links = Vec::new();
        for (number, target) in self.connections() {
            let opened = link::open(target, self.settings.timeout).await;
            let opened = opened.map_err(|error| format!("cannot connect to {target}: {error}"));
            let (link, keeper) = opened?;
            keepers.spawn(keeper.run());
            links.push((number, link));
        }
        connected();
        // Without a begin another thread could not connect, and that is what is told.
        let Ok(begin) = begin.await else {
            return Ok(());
        };
        let shared = Arc::new(Shared {
            schedule: self.schedule,
            clock: self.clock,
            begin,
            timeout: self.settings.timeout,
            taken: AtomicU64::new(0),
            due: Semaphore::new(0),
            tally: self.tally.clone(),
        });
        let mut callers = JoinSet::new();
        for (number, link) in &links {
            for caller in callers_of(self.settings, *number) {
                let requests = Requests::new(self.settings, caller as u64);
                callers.spawn(Arc::clone(&shared).send(link.clone(), requests));
            }
        }
        if self.schedule.rate.is_some() {
            shared.pace().await?;
        }
        while let Some(ended) = callers.join_next().await {
            ended?;
        }
        Ok(())
    }

    /// The connections of this thread with their numbers; the threads take turns.
    fn connections(&self) -> impl Iterator<Item = (usize, &str)> {
        let targets = &self.settings.target;
        let all = (0..connections(self.settings)).zip(targets.iter().cycle());
        let turns = usize::try_from(self.schedule.turns).unwrap_or(usize::MAX);
        let turn = usize::try_from(self.schedule.turn).unwrap_or(usize::MAX);
        all.skip(turn)
            .step_by(turns)
            .map(|(number, target)| (number, target.as_str()))
    }
}

/// How many connections there are, of all threads to all services.
pub(super) fn connections(settings: &Load) -> usize {
    settings.target.len() * settings.connections.get()
}

/// The numbers of the callers that send on a connection.
fn callers_of(settings: &Load, connection: usize) -> impl Iterator<Item = usize> {
    let connections = connections(settings);
    let all = match settings.rate {
        Some(_) => MAX_ON_THEIR_WAY * connections,
        None => settings.concurrency.get(),
    };
    (connection..all).step_by(connections)
}

impl Shared {
    /// Lets callers have requests when these are due.
    async fn pace(&self) -> Result<(), TaskError> {
        let timer = Timer::new()?;
        let mut next = 0;
        while let Some(due) = self.schedule.due(next) {
            let elapsed = self.elapsed();
            if due > elapsed {
                timer.wait(due - elapsed).await?;
            }
            self.due.add_permits(1);
            next += 1;
        }
        Ok(())
    }

    /// Sends one request after the other.
    async fn send(self: Arc<Self>, mut link: Link, mut requests: Requests) {
        while let Some(begin) = self.turn().await {
            let call = link.call(requests.next());
            let answered = tokio::time::timeout(self.patience(begin), call).await;
            let outcome = answered.unwrap_or(Err(Failure::Late));
            let latency = self.elapsed().saturating_sub(begin);
            self.tally.lock().add(outcome, latency);
        }
    }

    /// Waits until another request is due; when that was. None after the last.
    async fn turn(&self) -> Option<u64> {
        let nth = self.taken.fetch_add(1, Ordering::Relaxed);
        let due = self.schedule.due(nth)?;
        if self.schedule.rate.is_some() {
            self.due.acquire().await.ok()?.forget();
            return Some(due);
        }
        let now = self.elapsed();
        (now < self.schedule.duration).then_some(now)
    }

    /// How much longer a request may take that was due at `begin`.
    fn patience(&self, begin: u64) -> Duration {
        let waited = Duration::from_micros(self.elapsed().saturating_sub(begin));
        self.timeout.saturating_sub(waited)
    }

    /// Microseconds since the begin.
    fn elapsed(&self) -> u64 {
        self.clock.now().steady.since(self.begin)
    }
}

/// Requests on their way on one connection where there is a rate; what is due beyond that waits,
/// and its latency counts from then.
const MAX_ON_THEIR_WAY: usize = 256;
