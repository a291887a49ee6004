//! Replicas' ledgers on one log a key, in virtual time: messages late and lost, clocks that drift and
//! step back, replicas that stand still. Whatever happens, no window holds more than the limit.
//!
//! Mutants do one thing wrong, and each is caught: by schedules at random, or by games that are planned
//! for what these seldom do.

mod plot;
mod record;
mod store;
mod world;

use std::num::NonZeroUsize;
use std::thread;

use parking_lot::Mutex;

use crate::limiter::ledger::simulation::plot::Plot;
use crate::limiter::ledger::simulation::store::Mutant;
use crate::limiter::ledger::simulation::world::World;
use crate::limiter::ledger::simulation::world::trap::Trap;

#[test]
fn no_schedule_brings_a_window_over_the_limit() {
    none_breaches((0..SCHEDULES).map(|seed| Plot::new(seed, None)));
}

#[test]
fn no_game_that_is_planned_brings_a_window_over_the_limit() {
    none_breaches(Trap::ALL.into_iter().flat_map(|trap| planned(trap, None)));
}

#[test]
fn a_lease_that_is_valid_from_its_reply_is_caught() {
    caught(planned(
        Trap::UsedAfterLateAnswer,
        Some(Mutant::ValidFromReply),
    ));
}

#[test]
fn a_lease_that_is_booked_at_its_start_is_caught() {
    caught(planned(Trap::UsedLate, Some(Mutant::BookedAtStart)));
}

#[test]
fn a_log_that_takes_its_newest_entry_for_now_is_caught() {
    caught(planned(
        Trap::LeasedBeforeOthersLeave,
        Some(Mutant::NowAtNewest),
    ));
    caught(at_random(Mutant::NowAtNewest));
}

#[test]
fn hits_that_are_given_back_without_id_and_date_are_caught() {
    for trap in [Trap::GivenBackAfterReset, Trap::GivenBackLate] {
        caught(planned(trap, Some(Mutant::GivenBackBlindly)));
    }
    caught(planned(
        Trap::GivenBackAfterReset,
        Some(Mutant::GivenBackWithoutId),
    ));
    caught(planned(
        Trap::GivenBackLate,
        Some(Mutant::GivenBackWithoutDate),
    ));
}

#[test]
fn a_log_that_expires_a_window_after_it_was_written_is_caught() {
    caught(planned(Trap::UsedLate, Some(Mutant::ExpiresAfterWindow)));
}

#[test]
fn leftovers_of_refused_requests_that_are_kept_as_if_fresh_are_caught() {
    caught(planned(Trap::UsedLeftovers, Some(Mutant::LeftoversFresh)));
}

#[test]
fn a_reset_that_forgets_what_is_leased_is_caught() {
    caught(planned(Trap::ResetUnderLease, Some(Mutant::ResetForgets)));
}

#[test]
fn hits_that_are_given_back_twice_are_caught() {
    caught(at_random(Mutant::GivenBackTwice));
}

#[test]
fn a_schedule_that_fails_is_told_with_as_little_in_it_as_still_does() {
    let is_told_with_less = |plot: Plot| {
        let smallest = plot.smallest_breach();
        assert!(World::play(&smallest).is_some(), "{smallest:?}");
        assert_eq!(smallest.seed, plot.seed);
        assert_eq!(smallest.smallest_breach(), smallest);
        smallest.n_requests < plot.n_requests && smallest.n_mishaps() < plot.n_mishaps()
    };
    let plots = at_random(Mutant::GivenBackTwice);
    let mut failing = plots.filter(|plot| World::play(plot).is_some());
    assert!(failing.any(is_told_with_less));
}

#[test]
fn three_replicas_use_95_percent_of_a_saturated_key_and_share_it() {
    for (limit, window) in [(64, 1), (1_000, 1), (1_000, 64)] {
        let passed = World::saturate(limit, window, 11);
        let total: u64 = passed.iter().sum();
        let most = 11 * u64::from(limit);
        assert!(
            total <= most && total * 100 >= most * 95,
            "{passed:?} of {most}"
        );
        let fair = total / 3;
        assert!(passed.iter().all(|hits| hits * 2 >= fair), "{passed:?}");
    }
}

fn none_breaches(plots: impl Iterator<Item = Plot> + Send) {
    if let Some(plot) = breaches(plots).first() {
        panic!("{:?}", plot.smallest_breach());
    }
}

/// Many of the schedules show that the mutant admits too much, and that it is its fault alone.
fn caught(plots: impl Iterator<Item = Plot> + Send) {
    let breaches = breaches(plots);
    for plot in &breaches {
        assert_eq!(World::play(&plot.without_mutant()), None, "{plot:?}");
    }
    // By far more than one, so that no change that has nothing to do with it hides the mutant.
    assert!(breaches.len() as u64 >= GAMES / 20, "only {breaches:?}");
}

fn at_random(mutant: Mutant) -> impl Iterator<Item = Plot> {
    (0..GAMES).map(move |seed| Plot::new(seed, Some(mutant)))
}

fn planned(trap: Trap, mutant: Option<Mutant>) -> impl Iterator<Item = Plot> {
    (0..GAMES).map(move |seed| Plot::planned(seed, trap, mutant))
}

/// Those that bring a window over.
fn breaches(plots: impl Iterator<Item = Plot> + Send) -> Vec<Plot> {
    let plots = Mutex::new(plots);
    let next = || plots.lock().next();
    let search = || {
        let plots = std::iter::from_fn(next);
        let breaches = plots.filter(|plot| World::play(plot).is_some());
        breaches.collect()
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let mut breaches: Vec<Plot> = thread::scope(|scope| {
        let searches: Vec<_> = (0..n_threads).map(|_| scope.spawn(search)).collect();
        let found = searches.into_iter().map(|it| it.join().unwrap());
        found.collect::<Vec<Vec<_>>>().concat()
    });
    breaches.sort_by_key(|plot| plot.seed);
    breaches
}

/// How many schedules nobody planned, and how many games show each mutant.
const SCHEDULES: u64 = 2_000;
const GAMES: u64 = 100;
