//! Who asks when.

use std::num::NonZeroU32;

use crate::algorithm::Hits;
use crate::limiter::ledger::simulation::plot::COSTS;
use crate::limiter::ledger::simulation::plot::GAPS;
use crate::limiter::ledger::simulation::plot::Plot;
use crate::limiter::ledger::simulation::plot::REPORTS;
use crate::limiter::ledger::simulation::plot::TWO_KEYS;
use crate::limiter::ledger::simulation::record::Breach;
use crate::limiter::ledger::simulation::record::breach;
use crate::limiter::ledger::simulation::world::Event;
use crate::limiter::ledger::simulation::world::REPORTED;
use crate::limiter::ledger::simulation::world::Request;
use crate::limiter::ledger::simulation::world::World;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Take;
use crate::store::Veto;

impl World {
    /// Plays a schedule to its end.
    pub(in crate::limiter::ledger::simulation) fn play(plot: &Plot) -> Option<Breach> {
        let mut world = Self::new(*plot);
        let end = match plot.trap {
            Some(trap) => world.lay(trap),
            None => world.ask_at_random(),
        };
        // Nothing is asked for later, and nobody waits for longer.
        world.run(end + 8 * world.life());
        let window = world.window.micros();
        let mut at_end = world.uses.iter_mut();
        let at_end = || at_end.find_map(|uses| breach(uses, window));
        world.breach.or_else(at_end)
    }

    /// Plans requests that nobody planned; when the last comes.
    fn ask_at_random(&mut self) -> u64 {
        let mut at = 0;
        for _ in 0..self.plot.n_requests {
            at += self.gap();
            let request = self.request(at);
            self.requests.push(request);
            self.plan(at, Event::Arrives(self.requests.len() - 1));
        }
        at
    }

    /// How many hits each of three replicas admits that are asked for more than passes, for so many
    /// windows; the store answers within half a millisecond.
    pub(in crate::limiter::ledger::simulation) fn saturate(
        limit: u32,
        window: u32,
        n_windows: u64,
    ) -> Vec<u64> {
        let mut world = Self::new(Plot::smooth(1));
        world.window = Window::of(Unit::Second, NonZeroU32::new(window).unwrap()).unwrap();
        world.limit = limit;
        let end = n_windows * world.window.micros();
        let (mut at, n_requests) = (0, 3 * u64::from(limit) * n_windows);
        while at < end {
            at += world.rng.u64(1..=2 * end / n_requests);
            let take = world.take(0, 1);
            let replica = world.rng.usize(..3);
            world.requests.push(Request::new(replica, at, vec![take]));
            world.plan(at, Event::Arrives(world.requests.len() - 1));
        }
        world.run(end);
        assert_eq!(breach(&mut world.uses[0], world.window.micros()), None);
        let passed = |replica| {
            let admitted = world.requests.iter().filter(|it| it.admitted);
            admitted.filter(|it| it.replica == replica).count() as u64
        };
        (0..3).map(passed).collect()
    }

    /// How long until the next request: so that leases pay, and now and then much longer. With gaps,
    /// some come one after the other, and just when those are forgotten as many as may come at once;
    /// then there is silence until these are forgotten.
    fn gap(&mut self) -> u64 {
        let (life, window) = (self.life(), self.window.micros());
        if let Some(left) = self.until_gap.checked_sub(1) {
            self.until_gap = left;
            let longest = match self.rng.u32(..100) {
                _ if self.is_rush => life / 4_000,
                0..4 => 6 * life,
                4..40 => life / 4,
                _ => life / 50,
            };
            return self.rng.u64(..longest);
        }
        self.is_rush = self.plot.may(GAPS) && !self.is_rush;
        self.until_gap = match self.is_rush {
            true => self.limit,
            false => self.rng.u32(3..40),
        };
        match self.plot.may(GAPS) {
            true if self.is_rush => window - self.rng.u64(..2 * life),
            true => window + self.rng.u64(..2 * life),
            false => self.rng.u64(..6 * life),
        }
    }

    pub(super) fn life(&self) -> u64 {
        self.window.micros().div_ceil(64).min(1_000_000)
    }

    fn request(&mut self, at: u64) -> Request {
        let replica = self.rng.usize(..3);
        let cost = match self.rng.u32(..10) {
            0 if self.plot.may(COSTS) => 0,
            1..4 if self.plot.may(COSTS) => self.rng.u64(1..=1 + u64::from(self.limit) / 3),
            _ => 1,
        };
        if self.plot.may(REPORTS) && self.rng.u32(..10) == 0 {
            let mut take = self.take(REPORTED, cost);
            if self.rng.bool() {
                take.hits = Hits::Report(self.rng.u64(1..20));
            }
            return Request::new(replica, at, vec![take]);
        }
        let mut takes = vec![self.take(self.rng.clone().usize(..2), cost)];
        if self.plot.may(TWO_KEYS) && self.rng.bool() {
            takes = vec![self.take(0, cost), self.take(1, cost)];
        }
        Request::new(replica, at, takes)
    }

    pub(super) fn take(&self, key: usize, hits: u64) -> Take {
        Take {
            key: vec![u8::try_from(key).unwrap()],
            algorithm: Algorithm::SlidingWindow,
            // The second key is half as wide, so that it refuses what the first grants.
            limit: self.limit / (1 + u32::from(key == 1)),
            burst: 0,
            window: self.window,
            hits: Hits::Ask(hits),
            terms: None,
            veto: Veto::Alone,
        }
    }
}
