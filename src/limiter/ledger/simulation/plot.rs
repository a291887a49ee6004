//! What may happen in a schedule, and how small one is that still shows a fault.

use fastrand::Rng;

use crate::limiter::ledger::simulation::store::Mutant;
use crate::limiter::ledger::simulation::world::World;

/// A schedule: everything in it follows from these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plot {
    pub(super) seed: u64,
    pub(super) n_requests: u64,
    pub(super) mutant: Option<Mutant>,
    /// What may happen, by the bits below.
    bad: u32,
}

impl Plot {
    pub(super) fn new(seed: u64, mutant: Option<Mutant>) -> Self {
        let mut rng = Rng::with_seed(seed);
        let bad = rng.u32(..) & rng.u32(..);
        let bad = mutant.map_or(bad, |it| shown_by(it) | bad & rng.u32(..));
        Self {
            seed,
            n_requests: 500,
            mutant,
            bad,
        }
    }

    /// A schedule in which nothing goes wrong.
    pub(super) fn smooth(seed: u64) -> Self {
        Self {
            seed,
            n_requests: 0,
            mutant: None,
            bad: 0,
        }
    }

    pub(super) fn without_mutant(self) -> Self {
        Self {
            mutant: None,
            ..self
        }
    }

    /// If a window is over, the schedule with as little in it as still shows that.
    pub(super) fn smallest_breach(self) -> Option<Self> {
        World::play(&self)?;
        let mut smallest = self;
        for bit in 0..BITS {
            let simpler = Self {
                bad: smallest.bad & !(1 << bit),
                ..smallest
            };
            if World::play(&simpler).is_some() {
                smallest = simpler;
            }
        }
        while smallest.n_requests > 1 {
            let n_requests = smallest.n_requests * 4 / 5;
            let shorter = Self {
                n_requests,
                ..smallest
            };
            if World::play(&shorter).is_none() {
                break;
            }
            smallest = shorter;
        }
        Some(smallest)
    }

    /// Whether something may happen.
    pub(super) fn may(&self, what: u32) -> bool {
        self.bad & what != 0
    }
}

/// What has to happen for a mutant to show.
fn shown_by(mutant: Mutant) -> u32 {
    match mutant {
        Mutant::ExpiresAfterWindow => GAPS,
        Mutant::LeftoversFresh => COSTS | GAPS | TWO_KEYS,
        Mutant::ValidFromReply => GAPS | VERY_LATE,
        Mutant::BookedAtStart
        | Mutant::GivenBackBlindly
        | Mutant::GivenBackTwice
        | Mutant::NowAtNewest => 0,
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
