//! Replicas' ledgers on one log a key, in virtual time: messages late and lost, clocks that drift and
//! step back, replicas that stand still. Whatever happens, no window holds more than the limit.

mod plot;
mod record;
mod store;
mod world;

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use crate::limiter::ledger::simulation::plot::Plot;
use crate::limiter::ledger::simulation::store::Mutant;
use crate::limiter::ledger::simulation::world::World;

#[test]
fn no_schedule_brings_a_window_over_the_limit() {
    if let Some(smallest) = first_breach(SCHEDULES, None) {
        panic!("{smallest:?}");
    }
}

#[test]
fn a_lease_that_is_valid_from_its_reply_is_caught() {
    caught(Mutant::ValidFromReply);
}

#[test]
fn a_lease_that_is_booked_at_its_start_is_caught() {
    caught(Mutant::BookedAtStart);
}

#[test]
fn a_log_that_takes_its_newest_entry_for_now_is_caught() {
    caught(Mutant::NowAtNewest);
}

#[test]
fn hits_that_are_given_back_without_id_and_date_are_caught() {
    caught(Mutant::GivenBackBlindly);
}

#[test]
fn a_log_that_expires_a_window_after_it_was_written_is_caught() {
    caught(Mutant::ExpiresAfterWindow);
}

#[test]
fn leftovers_of_refused_requests_that_are_kept_as_if_fresh_are_caught() {
    caught(Mutant::LeftoversFresh);
}

#[test]
fn hits_that_are_given_back_twice_are_caught() {
    caught(Mutant::GivenBackTwice);
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

/// Some schedule shows that the mutant admits too much, and that it is its fault alone.
fn caught(mutant: Mutant) {
    let breach = first_breach(TRIES, Some(mutant));
    let breach = breach.unwrap_or_else(|| panic!("{mutant:?} was not caught"));
    assert_eq!(World::play(&breach.without_mutant()), None, "{breach:?}");
}

/// A schedule that brings a window over, with as little in it as still does, if one of these is found.
fn first_breach(n_schedules: u64, mutant: Option<Mutant>) -> Option<Plot> {
    let next = AtomicU64::new(0);
    let search = || {
        let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        let plots = seeds
            .take_while(|seed| *seed < n_schedules)
            .map(|seed| Plot::new(seed, mutant));
        let found = plots.filter_map(Plot::smallest_breach).next();
        // One is enough.
        next.fetch_max(found.map_or(0, |_| n_schedules), Ordering::Relaxed);
        found
    };
    let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let searches: Vec<_> = (0..n_threads).map(|_| scope.spawn(search)).collect();
        let found = searches.into_iter().map(|it| it.join().unwrap());
        found.flatten().min_by_key(|plot| plot.seed)
    })
}

const SCHEDULES: u64 = 2_000;
/// A mutant has to be caught within so many.
const TRIES: u64 = 2_000;
