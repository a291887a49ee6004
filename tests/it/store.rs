//! One suite for every store and everything that a store may stand on.

mod alike;
mod behaviours;
mod bench;
mod damage;
mod held;
mod takes;

use slidegate::store::redis::Clock;

use crate::store::alike::Likeness;
use crate::store::bench::Bench;
use crate::support::redis::permissions;

#[test]
fn memory_does_all() {
    behaviours::all(&Bench::memory());
}

#[test]
fn a_redis_does_all_as_the_user_that_the_docs_describe() {
    check(Bench::tcp());
}

#[test]
fn a_redis_behind_a_unix_socket_does_all_in_another_database() {
    check(Bench::unix());
}

#[test]
fn a_redis_behind_tls_does_all() {
    check(Bench::tls());
}

#[test]
fn a_redis_behind_sentinels_does_all() {
    check(Bench::sentinels());
}

#[test]
fn two_redis_do_all_together() {
    check(Bench::split());
}

#[test]
fn a_cluster_does_all_and_decides_as_memory_does() {
    let Some(bench) = Bench::cluster() else {
        return;
    };
    alike::decides_as_memory(&bench, Likeness::Verdicts);
    for master in bench.masters() {
        let n_keys: u64 = master.command("DBSIZE");
        assert!(n_keys > 0, "no key on {}", master.address());
    }
    check(Some(bench));
}

#[test]
fn redis_decides_as_memory_does() {
    if let Some(bench) = Bench::redis(Clock::Caller) {
        alike::decides_as_memory(&bench, Likeness::Whole);
    }
}

/// Sees that a Redis does all, and that whoever asks it was allowed to.
#[track_caller]
fn check(bench: Option<Bench>) {
    let Some(bench) = bench else {
        return;
    };
    behaviours::all(&bench);
    damage::all(&bench);
    for master in bench.masters() {
        permissions::check_was_enough(master);
    }
}
