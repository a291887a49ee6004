//! What may happen in a schedule, and how small one is that still shows a fault.

use fastrand::Rng;

use crate::limiter::ledger::simulation::store::Mutant;
use crate::limiter::ledger::simulation::world::World;
use crate::limiter::ledger::simulation::world::trap::Trap;

/// A schedule: everything in it follows from these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Plot {
    pub(super) seed: u64,
    pub(super) n_requests: u64,
    pub(super) mutant: Option<Mutant>,
    /// What is planned, if anything is.
    pub(super) trap: Option<Trap>,
    /// What may happen, by the bits below.
    bad: u32,
}

impl Plot {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            seed,
            n_requests: 500,
            mutant,
            trap: None,
            bad: rng.u32(..1 << BITS) & rng.u32(..),
        }
    }

    /// A schedule that is planned, in which nothing else goes wrong.
    pub(super) fn planned(seed: u64, trap: Trap, mutant: Option<Mutant>) -> Self {
        Self {
            // All that are planned.
            n_requests: 1_000,
            mutant,
            trap: Some(trap),
            ..Self::smooth(seed)
        }
    }

    /// A schedule in which nothing goes wrong.
    pub(super) fn smooth(seed: u64) -> Self {
        Self {
            seed,
            n_requests: 0,
            mutant: None,
            trap: None,
            bad: 0,
        }
    }

    pub(super) fn without_mutant(self) -> Self {
        Self {
            mutant: None,
            ..self
        }
    }

    /// The schedule with as little in it as still brings a window over, as this one does.
    pub(super) fn smallest_breach(self) -> Self {
        let mut smallest = self;
        while let Some(smaller) = smallest.smaller().find(|it| World::play(it).is_some()) {
            smallest = smaller;
        }
        smallest
    }

    /// Schedules with less in them.
    fn smaller(self) -> impl Iterator<Item = Self> {
        let n_requests = self.n_requests;
        let fewer = [n_requests / 2, n_requests * 9 / 10, n_requests - 1];
        let fewer_requests = fewer.map(|n_requests| Self { n_requests, ..self });
        let bits = (0..BITS).filter(move |bit| self.may(1 << bit));
        let fewer_mishaps = bits.map(move |bit| Self {
            bad: self.bad & !(1 << bit),
            ..self
        });
        fewer_requests.into_iter().chain(fewer_mishaps)
    }

    /// Whether something may happen.
    pub(super) fn may(&self, what: u32) -> bool {
        self.bad & what != 0
    }

    /// How many things may go wrong.
    pub(super) fn n_mishaps(&self) -> u32 {
        self.bad.count_ones()
    }
}

pub(super) const LOST: u32 = 1;
pub(super) const VERY_LATE: u32 = 1 << 1;
pub(super) const PAUSES: u32 = 1 << 2;
pub(super) const STEPS_BACK: u32 = 1 << 3;
pub(super) const LIMITS_CHANGE: u32 = 1 << 4;
pub(super) const COSTS: u32 = 1 << 5;
pub(super) const TWO_KEYS: u32 = 1 << 6;
pub(super) const LITTLE_ROOM: u32 = 1 << 7;
pub(super) const DRAINS: u32 = 1 << 8;
pub(super) const NO_LEASES_AT_ONE: u32 = 1 << 9;
pub(super) const REPORTS: u32 = 1 << 10;
pub(super) const GAPS: u32 = 1 << 11;
pub(super) const KILLS: u32 = 1 << 12;
pub(super) const RESETS: u32 = 1 << 13;
const BITS: u32 = 14;
