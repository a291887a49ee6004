//! A take on its way to the store and back.

use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use crate::limiter::courier::Leases;
use crate::limiter::courier::PATIENCE;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Grant;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::StoreError;

/// A take under way, which is polled by the request that it was made for. When that waits no more,
/// the courier does, for the others. If it ends without an answer, as by a panic, it has failed.
pub(super) struct Errand {
    leases: Arc<Leases>,
    flight: Arc<Flight>,
    answers: BoxFuture<'static, Result<Vec<Answer>, StoreError>>,
    is_settled: bool,
}

impl Errand {
    /// A take that is sent when this is polled first.
    pub(super) fn new(leases: Arc<Leases>, mut flight: Flight) -> Self {
        // What goes back goes first: this very take may need it.
        let own = leases.ledger.unused_of(&flight.take.key);
        flight.unused.extend(own);
        let flight = Arc::new(flight);
        let (sender, sent) = (Arc::clone(&leases), Arc::clone(&flight));
        let answers = Box::pin(async move {
            let takes = std::slice::from_ref(&sent.take);
            let now = sender.clock.now();
            sender.store.take(&sent.unused, takes, now).await
        });
        Self {
            leases,
            flight,
            answers,
            is_settled: false,
        }
    }

    /// Whether it has ended, and everybody who waits has their answer.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let answered = ready!(self.answers.as_mut().poll(context));
        self.settle(answered.and_then(|answers| {
            let none = || StoreError::Protocol("no answer for a take".to_owned());
            answers.into_iter().next().ok_or_else(none)
        }));
        Poll::Ready(())
    }

    /// Carries it to its end. It fails when nobody waits for it any more: then those who came
    /// meanwhile have the next. What is granted after that goes back.
    pub(super) async fn carry(mut self) {
        let now = self.leases.clock.steady();
        let passed = Duration::from_micros(now.since(self.flight.sent));
        let patience = Duration::from_micros(self.flight.until.since(now));
        let patience = patience.max(PATIENCE.saturating_sub(passed));
        let ended = std::future::poll_fn(|context| self.poll(context));
        if tokio::time::timeout(patience, ended).await.is_ok() {
            return;
        }
        self.settle(Err(StoreError::Disconnected));
        let late = (&mut self.answers).await;
        if let Some(late) = late.ok().and_then(|it| it.into_iter().next()) {
            let grant = Grant {
                hits: late.granted,
                booked: late.booked,
                ..Grant::default()
            };
            let now = self.leases.clock.steady();
            self.leases.ledger.put_back(&self.flight.take, grant, now);
        }
    }

    /// Ends it without an answer.
    pub(super) fn fail(mut self, why: StoreError) {
        self.settle(Err(why));
    }

    fn settle(&mut self, answer: Result<Answer, StoreError>) {
        self.is_settled = true;
        let (leases, now) = (&self.leases, self.leases.clock.steady());
        let micros = now.since(self.flight.sent);
        let seconds = Duration::from_micros(micros).as_secs_f64();
        leases.metrics.latency.record(seconds);
        if answer.is_err() {
            leases.metrics.errors.increment(1);
        }
        leases.settle(&self.flight, answer, now);
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if !self.is_settled {
            self.settle(Err(StoreError::Disconnected));
        }
    }
}
