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
use crate::limiter::ledger::queue::Queue;
use crate::limiter::ledger::queue::Waiter;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Take;
use crate::store::Veto;

/// The lease, the refusal and the take under way of one key, and how much it is asked for. There are
/// many accounts, so each is kept small.
#[derive(Debug)]
pub(super) struct Account<W> {
    pub(super) key: Box<[u8]>,
    /// Who waits, if anybody does.
    queue: Option<Box<Queue<W>>>,
    /// As what the hits of the lease are booked, and until when they may be used.
    booked: Booked,
    leased_until: Timestamp,
    /// Until when the refusal is remembered.
    refused_until: Timestamp,
    /// When hits that were refused may pass; else when nothing of what the store counts will count
    /// any more.
    end: Timestamp,
    /// Under which limit the rest was answered. It changes with the rules.
    limit: u32,
    window: Window,
    /// How many hits the lease has left.
    leased: u32,
    /// Of how many hits or more the refusal is that the store told last; 0 when it told none.
    refused: u32,
    /// How many hits the store had left.
    remaining: u32,
    /// How many hits passed since the last take was made, and when that was.
    passed: u32,
    since: Tick,
    /// Used since the hand of the clock went by.
    pub(super) touched: bool,
}

impl<W> Account<W> {
    pub(super) fn new(take: &Take) -> Self {
        Self {
            key: take.key.as_slice().into(),
            queue: None,
            booked: Booked::default(),
            leased_until: Timestamp::default(),
            refused_until: Timestamp::default(),
            end: Timestamp::default(),
            limit: take.limit,
            window: take.window,
            leased: 0,
            refused: 0,
            remaining: take.limit,
            passed: 0,
            since: Tick::default(),
            touched: true,
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
        self.refused = 0;
        self.drop_lease()
    }

    /// Whether what it knows is of this limit.
    pub(super) fn is_under(&self, limit: u32) -> bool {
        self.limit == limit
    }

    /// Whether the last that the store told is a refusal, be it remembered or not.
    pub(super) fn was_refused(&self) -> bool {
        self.refused > 0
    }

    /// Ends the lease.
    pub(super) fn drop_lease(&mut self) -> Option<GiveBack> {
        let leased = std::mem::take(&mut self.leased);
        (leased > 0).then(|| self.unused(leased.into(), self.booked))
    }

    /// Ends the lease if its time is over.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<GiveBack> {
        if self.leased_until > now {
            return None;
        }
        self.drop_lease()
    }

    /// Answers an ask from the lease or the refusal, if they allow. Where no lease may be taken, one that
    /// was taken before is not used any more.
    pub(super) fn answer(&mut self, hits: Hits, may_lease: bool, now: Timestamp) -> Option<Reply> {
        let hits = hits.count();
        self.touched = true;
        if may_lease && self.is_leased(hits, now) {
            self.leased -= saturated(hits);
            self.pass(hits);
            let grant = Grant {
                hits,
                booked: self.booked,
                until: self.leased_until,
            };
            return Some(Reply::Granted(self.decision(true, now), grant));
        }
        self.refuses(hits, now)
            .then(|| Reply::Refused(self.decision(false, now)))
    }

    /// What is known of an ask without granting it.
    pub(super) fn look(&self, hits: Hits, now: Timestamp) -> Decision {
        let hits = hits.count();
        let fits = self.is_leased(hits, now) || !self.refuses(hits, now);
        self.decision(fits, now)
    }

    /// Has an ask wait for the next take. Those whose time is over wait no more.
    pub(super) fn wait(&mut self, waiter: Waiter<W>, now: Timestamp) {
        let queue = self.queue.get_or_insert_with(Box::default);
        queue.push(waiter, now);
    }

    /// The take for those who wait for the next one, unless one is under way. All of it are under
    /// one limit; who came under another waits on.
    pub(super) fn depart(&mut self, now: Timestamp) -> Option<Flight> {
        let queue = self.queue.as_mut()?;
        if queue.is_under_way() {
            return None;
        }
        let Some(party) = queue.board(now) else {
            self.queue = None;
            return None;
        };
        let life = match party.may_lease {
            true => Quota::new(party.limit, 0, self.window).life(),
            false => 0,
        };
        let elapsed = self.since.until(now);
        let terms = Terms {
            least: party.least,
            largest: party.largest,
            extra: expected(self.passed.into(), elapsed, life),
            life,
            keeps: life > 0 && party.may_leave_some,
        };
        let take = Take {
            key: self.key.to_vec(),
            algorithm: Algorithm::SlidingWindow,
            limit: party.limit,
            burst: 0,
            window: self.window,
            hits: Hits::Ask(party.needed),
            terms: Some(terms),
            veto: Veto::Alone,
        };
        (self.passed, self.since) = (0, Tick::at(now));
        // Whatever is leased is too little for them.
        let unused = self.drop_lease();
        Some(Flight {
            take,
            unused: unused.into_iter().collect(),
            sent: now,
            until: party.until,
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
        let aboard = queue.land();
        let Some(answer) = answer else {
            let failed = aboard.into_iter().map(|waiter| (waiter.who, Reply::Failed));
            return (failed.collect(), None);
        };
        let terms = flight.take.terms();
        let is_leased =
            terms.life > 0 && (terms.keeps || answer.granted > flight.take.hits.count());
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
        let mut passed = 0;
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
            passed += waiter.hits;
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
        self.pass(passed);
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
        let next = self.queue.as_mut().map(|it| it.take_next());
        let mut unanswered = Vec::new();
        for waiter in next.into_iter().flatten() {
            let is_under = waiter.limit == self.limit;
            match is_under
                .then(|| self.answer(Hits::Ask(waiter.hits), waiter.may_lease, now))
                .flatten()
            {
                Some(reply) => replies.push((waiter.who, reply)),
                None => unanswered.push(waiter),
            }
        }
        if let Some(queue) = &mut self.queue {
            queue.wait_on(unanswered);
        }
    }

    /// Keeps granted hits for others, if they may use them.
    pub(super) fn keep(&mut self, grant: Grant, now: Timestamp) -> bool {
        let fits_in = self.leased == 0 || self.booked == grant.booked;
        if grant.hits == 0 || grant.until <= now || !fits_in {
            return grant.hits == 0;
        }
        let Ok(hits) = u32::try_from(u64::from(self.leased) + grant.hits) else {
            return false;
        };
        if self.leased == 0 {
            (self.booked, self.leased_until) = (grant.booked, grant.until);
        }
        self.leased = hits;
        true
    }

    /// When the lease ends, if there is one.
    pub(super) fn lease_end(&self) -> Option<Timestamp> {
        (self.leased > 0).then_some(self.leased_until)
    }

    /// Remembers what the store said.
    fn note(&mut self, flight: &Flight, terms: Terms, decision: Decision) {
        self.remaining = saturated(decision.remaining);
        self.end = flight.sent.plus(decision.reset);
        self.refused = 0;
        if !decision.fits {
            // No limit lets more hits pass than that at once.
            self.refused = saturated(terms.largest.max(1));
            let told = decision.reset.min(LONGEST_REFUSAL);
            self.refused_until = flight.sent.plus(told);
        }
    }

    fn is_leased(&self, hits: u64, now: Timestamp) -> bool {
        self.leased_until > now && u64::from(self.leased) >= hits.max(1)
    }

    fn refuses(&self, hits: u64, now: Timestamp) -> bool {
        self.refused > 0 && self.refused_until > now && hits.max(1) >= self.refused.into()
    }

    fn decision(&self, fits: bool, now: Timestamp) -> Decision {
        let remaining = match fits {
            true => u64::from(self.remaining) + u64::from(self.leased),
            false => 0,
        };
        let reset = match fits && self.was_refused() {
            // The store has told the wait of others.
            true => self.window.micros(),
            false => self.end.since(now).min(self.window.micros()),
        };
        Decision {
            fits,
            remaining,
            reset,
        }
    }

    fn pass(&mut self, hits: u64) {
        self.passed = self.passed.saturating_add(saturated(hits));
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

/// A moment in a few bits, which come again after three days. A key that is asked again just then is
/// taken for a busier one, and leases a hit or two in vain.
#[derive(Clone, Copy, Debug, Default)]
struct Tick(u32);

impl Tick {
    fn at(now: Timestamp) -> Self {
        Self((now.0 / Self::MICROS) as u32)
    }

    /// How many microseconds have passed since.
    fn until(self, now: Timestamp) -> u64 {
        u64::from(Self::at(now).0.wrapping_sub(self.0)) * Self::MICROS
    }

    const MICROS: u64 = 64;
}

/// How many hits are expected in the life of a lease, by what passed in the time since the last take
/// was made: at most twice as many, so that a few hits in a row are no reason for a large lease.
fn expected(passed: u64, elapsed: u64, life: u64) -> u64 {
    let expected = u128::from(passed) * u128::from(life) / u128::from(elapsed.max(1));
    u64::try_from(expected).unwrap_or(u64::MAX).min(2 * passed)
}

fn saturated(hits: u64) -> u32 {
    u32::try_from(hits).unwrap_or(u32::MAX)
}

/// In microseconds: longer, a refusal would outlive hits that are given back, and resets.
const LONGEST_REFUSAL: u64 = 1_000_000;
