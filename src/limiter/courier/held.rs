//! The asks of one request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::sync::oneshot;

use crate::algorithm::Decision;
use crate::algorithm::Timestamp;
use crate::limiter::Undecided;
use crate::limiter::courier::Asking;
use crate::limiter::courier::Leased;
use crate::limiter::courier::Leases;
use crate::limiter::courier::errand::Errand;
use crate::limiter::ledger::Asked;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::limiter::ledger::queue::Manner;
use crate::limiter::within;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// The asks of a request. What they were granted is put back unless the request is admitted, also
/// when nobody waits for it any more.
pub(super) struct Held<'a> {
    leases: &'a Arc<Leases>,
    takes: &'a [Take],
    asking: Asking,
    /// One a take.
    asks: Vec<Pending>,
    /// The takes that this request has to send.
    errands: Vec<Errand>,
    has_asked: bool,
}

enum Pending {
    Answered(Reply),
    Unasked,
    Waits(oneshot::Receiver<Result<Reply, StoreError>>),
}

/// Why asks are not decided.
enum Undone {
    /// There is no room for one of their keys.
    Unkept,
    Undecided(Undecided),
}

impl<'a> Held<'a> {
    pub(super) fn new(leases: &'a Arc<Leases>, takes: &'a [Take], asking: Asking) -> Self {
        Self {
            leases,
            takes,
            asking,
            asks: takes.iter().map(|_| Pending::Unasked).collect(),
            errands: Vec::new(),
            has_asked: false,
        }
    }

    /// Decides them, all or none; none if there is no room for their keys.
    pub(super) async fn decided(mut self) -> Option<Leased> {
        let patience = self.asking.patience;
        let done = match within(patience, self.decide()).await {
            Some(done) => done,
            None => Err(Undone::Undecided(Undecided::Late)),
        };
        let decided = match done {
            Ok(decisions) => Ok(decisions),
            Err(Undone::Undecided(why)) => Err(why),
            Err(Undone::Unkept) => return None,
        };
        Some(Leased {
            decided,
            has_asked: self.has_asked,
        })
    }

    async fn decide(&mut self) -> Result<Vec<Decision>, Undone> {
        let leases = self.leases;
        let is_together = self.takes.len() > 1;
        let was_refused = |take: &Take| is_together && leases.ledger.was_refused(take);
        let mut now = self.asking.now.steady;
        // What was refused last time is asked first: if it is again, nothing else is taken.
        let first: Vec<usize> = self.indices(was_refused);
        let mut may_pass = true;
        if !first.is_empty() {
            for index in first {
                self.ask(index, now)?;
            }
            self.answered().await?;
            now = leases.clock.steady();
            may_pass = admits(self.takes, &self.decisions(now));
        }
        if may_pass {
            for index in 0..self.takes.len() {
                if matches!(self.asks[index], Pending::Unasked) {
                    self.ask(index, now)?;
                }
            }
            self.answered().await?;
        }
        let mut decisions = self.decisions(now);
        if admits(self.takes, &decisions) {
            self.asks.clear();
        } else {
            for (decision, ask) in decisions.iter_mut().zip(&self.asks) {
                decision.remaining += ask.granted().hits;
            }
        }
        Ok(decisions)
    }

    fn ask(&mut self, index: usize, now: Timestamp) -> Result<(), Undone> {
        let (leases, mut receiver) = (self.leases, None);
        let who = || {
            leases.may_wait().then(|| {
                let (sender, its_receiver) = oneshot::channel();
                receiver = Some(its_receiver);
                sender
            })
        };
        let patience = u64::try_from(self.asking.patience.as_micros()).unwrap_or(u64::MAX);
        let manner = Manner {
            now,
            until: self.asking.now.steady.plus(patience),
            is_one_of_several: self.takes.len() > 1,
            may_lease: self.asking.may_lease,
        };
        let asked = leases.ledger.ask(&self.takes[index], manner, who);
        if let Some(receiver) = receiver {
            self.asks[index] = Pending::Waits(receiver);
            self.has_asked = true;
        }
        match asked {
            Asked::Answered(reply) => self.asks[index] = Pending::Answered(reply),
            Asked::Crowded => return Err(Undone::Undecided(Undecided::Store(StoreError::Full))),
            Asked::Sends(flight) => {
                self.errands.push(Errand::new(Arc::clone(leases), flight));
            }
            Asked::Unkept => return Err(Undone::Unkept),
            Asked::Waits => {}
        }
        Ok(())
    }

    async fn answered(&mut self) -> Result<(), Undone> {
        poll_fn(|context| self.poll_answered(context)).await
    }

    fn poll_answered(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Undone>> {
        self.errands
            .retain_mut(|errand| errand.poll(context).is_pending());
        for ask in &mut self.asks {
            if let Pending::Waits(receiver) = ask {
                let reply = ready!(Pin::new(receiver).poll(context));
                self.leases.waits_no_more();
                *ask = Pending::Answered(Reply::Failed);
                // Nobody answers who has waited for too long.
                let reply = reply.map_err(|_| Undone::Undecided(Undecided::Late))?;
                let reply = reply.map_err(|why| Undone::Undecided(Undecided::Store(why)))?;
                *ask = Pending::Answered(reply);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What is decided, or known of what was not asked for.
    fn decisions(&self, now: Timestamp) -> Vec<Decision> {
        let decision = |(take, ask): (&Take, &Pending)| match ask {
            Pending::Answered(Reply::Granted(decision, _) | Reply::Refused(decision)) => *decision,
            Pending::Unasked => self.leases.ledger.look(take, now),
            Pending::Answered(Reply::Failed) | Pending::Waits(_) => NOTHING,
        };
        self.takes.iter().zip(&self.asks).map(decision).collect()
    }

    fn indices(&self, of: impl Fn(&Take) -> bool) -> Vec<usize> {
        (0..self.takes.len())
            .filter(|index| of(&self.takes[*index]))
            .collect()
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for errand in self.errands.drain(..) {
            self.leases.hand_over(errand);
        }
        for (take, ask) in self.takes.iter().zip(&mut self.asks) {
            if let Pending::Waits(receiver) = ask {
                self.leases.waits_no_more();
                receiver.close();
                if let Ok(Ok(reply)) = receiver.try_recv() {
                    *ask = Pending::Answered(reply);
                }
            }
            let grant = ask.granted();
            // Not for every refusal, as the clock costs something.
            if grant.hits > 0 {
                let now = self.leases.clock.steady();
                self.leases.ledger.put_back(take, grant, now);
            }
        }
    }
}

impl Pending {
    fn granted(&self) -> Grant {
        match self {
            Self::Answered(Reply::Granted(_, grant)) => *grant,
            Self::Answered(Reply::Failed | Reply::Refused(_)) | Self::Unasked | Self::Waits(_) => {
                Grant::default()
            }
        }
    }
}

/// Whether a request passes, by what is decided of its takes.
pub(super) fn admits(takes: &[Take], decisions: &[Decision]) -> bool {
    let vetoes = takes.iter().map(|take| take.veto);
    Veto::admits(vetoes.zip(decisions.iter().map(|it| it.fits)))
}

const NOTHING: Decision = Decision {
    fits: false,
    remaining: 0,
    reset: 0,
};
