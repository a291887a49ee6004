//! Games that are planned: what schedules at random rarely do at the right moment. Only moments within
//! a life, and how long messages take, are left to chance.

use crate::limiter::ledger::simulation::world::Event;
use crate::limiter::ledger::simulation::world::Request;
use crate::limiter::ledger::simulation::world::World;

/// What is done with hits that were granted ahead of need, before as many are asked for as may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::limiter::ledger::simulation) enum Trap {
    /// What nobody used goes back to a key that was reset meanwhile.
    GivenBackAfterReset,
    /// What nobody used goes back when a window has passed since its lease ended.
    GivenBackLate,
    /// Hits are leased just before as many as may be leave the window.
    LeasedBeforeOthersLeave,
    /// The key is reset while hits of it are leased.
    ResetUnderLease,
    /// A lease is used when its life is over, as its answer came so late.
    UsedAfterLateAnswer,
    /// A lease is used just before it ends.
    UsedLate,
    /// What a request got of one key is used for another, as it was refused by its second key.
    UsedLeftovers,
}

impl Trap {
    pub(in crate::limiter::ledger::simulation) const ALL: [Self; 7] = [
        Self::GivenBackAfterReset,
        Self::GivenBackLate,
        Self::LeasedBeforeOthersLeave,
        Self::ResetUnderLease,
        Self::UsedAfterLateAnswer,
        Self::UsedLate,
        Self::UsedLeftovers,
    ];
}

impl World {
    /// Plans the game; when its last request comes.
    pub(super) fn lay(&mut self, trap: Trap) -> u64 {
        let (life, window) = (self.life(), self.window.micros());
        self.limit = match trap {
            // Without leases, what is left over was booked when it was granted.
            Trap::GivenBackAfterReset => self.rng.u32(4..65),
            _ => self.rng.u32(65..300),
        };
        let begin = self.rng.u64(..life);
        let late = life * self.rng.u64(70..95) / 100;
        match trap {
            Trap::GivenBackAfterReset => {
                let sent = self.refused_by_the_second_key(begin);
                self.give_backs_take = 2 * life;
                self.plan(sent + life / 2, Event::Resets);
                self.storm(1, sent + life);
                self.storm(2, sent + 4 * life)
            }
            Trap::GivenBackLate => {
                let sent = self.lease(begin);
                self.give_backs_take = window + life;
                // So that the log does not begin anew.
                self.ask(2, &[0], sent + window / 2);
                self.storm(1, sent + MESSAGE + life + window);
                self.storm(2, sent + 3 * life + window)
            }
            Trap::LeasedBeforeOthersLeave => {
                // They count from when they come.
                self.replicas[1].leases = false;
                self.ask_at_once(1, self.limit - 10, begin);
                let sent = self.lease(begin + window - life);
                self.storm(2, sent + 2 * MESSAGE)
            }
            Trap::ResetUnderLease => {
                let sent = self.lease(begin);
                self.plan(sent + life / 4, Event::Resets);
                self.storm(1, sent + life / 4);
                self.use_up(sent + late)
            }
            Trap::UsedAfterLateAnswer => {
                let answer_takes = life * self.rng.u64(120..180) / 100;
                self.answers_take = answer_takes;
                self.ask_at_once(0, 8, begin);
                let sent = begin + 2 * (answer_takes + 2 * MESSAGE);
                self.ask(0, &[0], sent);
                self.use_up(sent + MESSAGE + answer_takes + life / 2);
                self.storm(1, sent + MESSAGE + life + window)
            }
            Trap::UsedLate => {
                let sent = self.lease(begin);
                self.use_up(sent + late);
                self.storm(1, sent + MESSAGE + window)
            }
            Trap::UsedLeftovers => {
                let sent = self.refused_by_the_second_key(begin);
                self.ask(0, &[0], sent + late);
                self.storm(1, sent + MESSAGE + window)
            }
        }
    }

    /// Has the first replica lease two hits; when it asks for them.
    fn lease(&mut self, begin: u64) -> u64 {
        let sent = begin + self.life() / 4;
        self.ask(0, &[0], begin);
        self.ask(0, &[0], sent);
        sent
    }

    fn use_up(&mut self, at: u64) -> u64 {
        self.ask_at_once(0, 2, at)
    }

    /// Has the first replica ask for both keys, of which another has used up the second; when.
    fn refused_by_the_second_key(&mut self, begin: u64) -> u64 {
        for _ in 0..self.limit {
            self.ask(1, &[1], begin);
        }
        self.ask(0, &[0, 1], begin + self.life() / 2)
    }

    /// As many ask at once as may be admitted, and some more.
    fn storm(&mut self, replica: usize, begin: u64) -> u64 {
        self.ask_at_once(replica, self.limit + 5, begin)
    }

    fn ask_at_once(&mut self, replica: usize, n_hits: u32, at: u64) -> u64 {
        for _ in 0..n_hits {
            self.ask(replica, &[0], at);
        }
        at
    }

    fn ask(&mut self, replica: usize, keys: &[usize], at: u64) -> u64 {
        if (self.requests.len() as u64) < self.plot.n_requests {
            let takes = keys.iter().map(|key| self.take(*key, 1)).collect();
            self.requests.push(Request::new(replica, at, takes));
            self.plan(at, Event::Arrives(self.requests.len() - 1));
        }
        at
    }
}

/// A message takes no longer where nothing makes it late.
pub(super) const MESSAGE: u64 = 500;
