//! What the ledger knows of one key.

use crate::algorithm::Booked;
use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::sliding::Quota;
use crate::limiter::ledger::flight::Flight;
use crate::limiter::ledger::flight::Grant;
use crate::limiter::ledger::flight::Reply;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;
use crate::store::Veto;

/// The lease, the refusal and the take under way of one key, and how much it is asked for.
#[derive(Debug)]
pub(super) struct Account<W> {
    pub(super) key: Box<[u8]>,
    pub(super) hash: u64,
    /// Used since the hand of the clock went by.
    pub(super) touched: bool,
    /// Under which limit the rest was answered. It changes with the rules.
    limit: u32,
    window: Window,
    lease: Grant,
    refusal: Refusal,
    /// How many hits the store had left, and when nothing of what it counts will count any more.
    remaining: u64,
    empty_at: Timestamp,
    /// How many hits passed since the last take was made, and when that was.
    passed: u64,
    since: Timestamp,
    queue: Option<Box<Queue<W>>>,
}

/// Asks of so many hits or more are refused for a while.
#[derive(Clone, Copy, Debug, Default)]
struct Refusal {
    least: u64,
    until: Timestamp,
    /// When they may pass; later than `until` where the wait is long.
    free_at: Timestamp,
}

/// Who waits.
#[derive(Debug)]
struct Queue<W> {
    /// For the take that is under way, if one is.
    aboard: Vec<Waiter<W>>,
    is_under_way: bool,
    next: Vec<Waiter<W>>,
}

/// An ask that waits.
#[derive(Debug)]
pub(super) struct Waiter<W> {
    who: W,
    hits: u64,
    limit: u32,
    is_one_of_several: bool,
}

impl<W> Waiter<W> {
    pub(super) fn new(take: &Take, is_one_of_several: bool, who: W) -> Self {
        Self {
            who,
            hits: count(take.hits),
            limit: take.limit,
            is_one_of_several,
        }
    }
}

impl<W> Account<W> {
    pub(super) fn new(hash: u64, take: &Take) -> Self {
        Self {
            key: take.key.as_slice().into(),
            hash,
            touched: true,
            limit: take.limit,
            window: take.window,
            lease: Grant::default(),
            refusal: Refusal::default(),
            remaining: take.most(),
            empty_at: Timestamp::default(),
            passed: 0,
            since: Timestamp::default(),
            queue: None,
        }
    }

    /// Whether it may go: nobody waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_none()
    }

    /// Makes everything answered under another limit void, and hands over what was leased.
    pub(super) fn follow(&mut self, limit: u32) -> Option<GiveBack> {
        if self.limit == limit {
            return None;
        }
        self.limit = limit;
        self.refusal = Refusal::default();
        self.drop_lease()
    }

    /// Whether what it knows is of this limit.
    pub(super) fn is_under(&self, limit: u32) -> bool {
        self.limit == limit
    }

    /// Ends the lease.
    pub(super) fn drop_lease(&mut self) -> Option<GiveBack> {
        let lease = std::mem::take(&mut self.lease);
        (lease.hits > 0).then(|| self.unused(lease.hits, lease.booked))
    }

    /// Ends the lease if its time is over.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<GiveBack> {
        if self.lease.until > now {
            return None;
        }
        self.drop_lease()
    }

    /// Answers an ask from the lease or the refusal, if they allow.
    pub(super) fn answer(&mut self, hits: Hits, now: Timestamp) -> Option<Reply> {
        let hits = count(hits);
        self.touched = true;
        if self.lease.until > now && self.lease.hits >= hits.max(1) {
            self.lease.hits -= hits;
            self.passed += hits;
            let grant = Grant { hits, ..self.lease };
            return Some(Reply::Granted(self.decision(true, now), grant));
        }
        self.refuses(hits, now)
            .then(|| Reply::Refused(self.decision(false, now)))
    }

    /// What is known of an ask without granting it.
    pub(super) fn look(&self, hits: Hits, now: Timestamp) -> Decision {
        let hits = count(hits);
        let is_leased = self.lease.until > now && self.lease.hits >= hits.max(1);
        self.decision(is_leased || !self.refuses(hits, now), now)
    }

    /// Has an ask wait for the next take.
    pub(super) fn wait(&mut self, waiter: Waiter<W>) {
        let queue = self.queue.get_or_insert_with(|| {
            Box::new(Queue {
                aboard: Vec::new(),
                is_under_way: false,
                next: Vec::new(),
            })
        });
        queue.next.push(waiter);
    }

    /// The take for those who wait for the next one, unless one is under way. All of it are under
    /// one limit; who came under another waits on.
    pub(super) fn depart(&mut self, now: Timestamp) -> Option<Flight> {
        let queue = self.queue.as_mut()?;
        if queue.is_under_way {
            return None;
        }
        let Some(first) = queue.next.first() else {
            self.queue = None;
            return None;
        };
        let limit = first.limit;
        let is_aboard = |it: &mut Waiter<W>| it.limit == limit;
        queue.aboard = queue.next.extract_if(.., is_aboard).collect();
        queue.is_under_way = true;
        let costs = || queue.aboard.iter().map(|waiter| waiter.hits);
        let needed: u64 = costs().sum();
        let life = Quota::new(limit, 0, self.window).life();
        let is_one_each =
            costs().all(|hits| hits <= 1) && !queue.aboard.iter().any(|it| it.is_one_of_several);
        let (least, largest) = (costs().filter(|hits| *hits > 0).min(), costs().max());
        let terms = Terms {
            least: least.unwrap_or(0),
            largest: largest.unwrap_or(0),
            extra: expected(self.passed, now.since(self.since), life),
            life,
            keeps: life > 0 && !is_one_each,
        };
        let take = Take {
            key: self.key.to_vec(),
            algorithm: Algorithm::SlidingWindow,
            limit,
            burst: 0,
            window: self.window,
            hits: Hits::Ask(needed),
            terms: Some(terms),
            veto: Veto::Alone,
        };
        (self.passed, self.since) = (0, now);
        // Whatever is leased is too little for them.
        let unused = self.drop_lease();
        Some(Flight {
            take,
            unused: unused.into_iter().collect(),
            sent: now,
        })
    }

    /// Takes note of the store's answer: what each gets who waited, and what is left over for nobody.
    pub(super) fn settle(
        &mut self,
        flight: &Flight,
        answer: Option<Answer>,
        now: Timestamp,
    ) -> (Vec<(W, Reply)>, Option<GiveBack>) {
        let Some(queue) = self.queue.as_mut() else {
            return (Vec::new(), None);
        };
        queue.is_under_way = false;
        let aboard = std::mem::take(&mut queue.aboard);
        let Some(answer) = answer else {
            let failed = aboard.into_iter().map(|waiter| (waiter.who, Reply::Failed));
            return (failed.collect(), None);
        };
        let terms = flight.take.terms();
        let is_leased = terms.life > 0 && (terms.keeps || answer.granted > count(flight.take.hits));
        let until = if is_leased {
            // 0.999 of its life: what the clocks of two machines may differ by in their speed.
            flight.sent.plus(terms.life - terms.life.div_ceil(1_000))
        } else {
            Timestamp::default()
        };
        let mut left = Grant {
            hits: answer.granted,
            booked: answer.booked,
            until,
        };
        let reply = |waiter: Waiter<W>| {
            let remaining = answer.decision.remaining + left.hits;
            let passes = waiter.hits <= left.hits && (waiter.hits > 0 || remaining > 0);
            if !passes {
                let reset = answer.decision.reset;
                let refused = Decision {
                    fits: false,
                    remaining: 0,
                    reset,
                };
                return (waiter.who, Reply::Refused(refused));
            }
            left.hits -= waiter.hits;
            self.passed += waiter.hits;
            let decision = Decision {
                fits: true,
                remaining: remaining - waiter.hits,
                reset: match answer.decision.fits {
                    true => answer.decision.reset.min(self.window.micros()),
                    // The store has told the wait of others.
                    false => self.window.micros(),
                },
            };
            let grant = Grant {
                hits: waiter.hits,
                ..left
            };
            (waiter.who, Reply::Granted(decision, grant))
        };
        let mut replies: Vec<(W, Reply)> = aboard.into_iter().map(reply).collect();
        let mut is_kept = false;
        if self.limit == flight.take.limit {
            self.note(flight, terms, answer.decision);
            is_kept = self.keep(left, now);
            self.answer_next(now, &mut replies);
        }
        let unused = (!is_kept && left.hits > 0).then(|| self.unused(left.hits, left.booked));
        (replies, unused)
    }

    /// Answers those who wait for the next take, as far as this one's lease or refusal allows.
    fn answer_next(&mut self, now: Timestamp, replies: &mut Vec<(W, Reply)>) {
        let next = self.queue.as_mut().map(|it| std::mem::take(&mut it.next));
        let mut unanswered = Vec::new();
        for waiter in next.into_iter().flatten() {
            let is_under = waiter.limit == self.limit;
            match is_under
                .then(|| self.answer(Hits::Ask(waiter.hits), now))
                .flatten()
            {
                Some(reply) => replies.push((waiter.who, reply)),
                None => unanswered.push(waiter),
            }
        }
        if let Some(queue) = &mut self.queue {
            queue.next = unanswered;
        }
    }

    /// Keeps granted hits for others, if they may use them.
    pub(super) fn keep(&mut self, grant: Grant, now: Timestamp) -> bool {
        let fits_in = self.lease.hits == 0 || self.lease.booked == grant.booked;
        if grant.hits == 0 || grant.until <= now || !fits_in {
            return grant.hits == 0;
        }
        if self.lease.hits == 0 {
            self.lease = grant;
        } else {
            self.lease.hits += grant.hits;
        }
        true
    }

    /// When the lease ends, if there is one.
    pub(super) fn lease_end(&self) -> Option<Timestamp> {
        (self.lease.hits > 0).then_some(self.lease.until)
    }

    /// Remembers what the store said.
    fn note(&mut self, flight: &Flight, terms: Terms, decision: Decision) {
        self.remaining = decision.remaining;
        self.refusal = Refusal::default();
        if decision.fits {
            self.empty_at = flight.sent.plus(decision.reset);
        } else {
            self.refusal = Refusal {
                least: terms.largest.max(1),
                until: flight.sent.plus(decision.reset.min(LONGEST_REFUSAL)),
                free_at: flight.sent.plus(decision.reset),
            };
        }
    }

    fn refuses(&self, hits: u64, now: Timestamp) -> bool {
        self.refusal.until > now && hits.max(1) >= self.refusal.least
    }

    fn decision(&self, fits: bool, now: Timestamp) -> Decision {
        let (remaining, end) = match fits {
            true => (self.remaining + self.lease.hits, self.empty_at),
            false => (0, self.refusal.free_at),
        };
        Decision {
            fits,
            remaining,
            reset: end.since(now).min(self.window.micros()),
        }
    }

    fn unused(&self, hits: u64, booked: Booked) -> GiveBack {
        GiveBack {
            key: self.key.to_vec(),
            limit: self.limit,
            burst: 0,
            window: self.window,
            hits,
            booked,
        }
    }
}

/// How many hits are expected in the life of a lease, by what passed in the time since the last take
/// was made: at most twice as many, so that a few hits in a row are no reason for a large lease.
fn expected(passed: u64, elapsed: u64, life: u64) -> u64 {
    let expected = u128::from(passed) * u128::from(life) / u128::from(elapsed.max(1));
    u64::try_from(expected).unwrap_or(u64::MAX).min(2 * passed)
}

fn count(hits: Hits) -> u64 {
    let (Hits::Ask(count) | Hits::Report(count)) = hits;
    count
}

/// In microseconds: longer, a refusal would outlive hits that are given back, and resets.
const LONGEST_REFUSAL: u64 = 1_000_000;
