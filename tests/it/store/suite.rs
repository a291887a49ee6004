//! What every store has to do, wherever it counts. Each part has keys of its own.

use slidegate::algorithm::Hits;
use slidegate::algorithm::Terms;
use slidegate::rule::limit::Unit;
use slidegate::rule::limit::Window;
use slidegate::store::GiveBack;
use slidegate::store::Presence;
use slidegate::store::Take;
use slidegate::store::redis::Clock;

use crate::store::alike;
use crate::store::bench::Bench;
use crate::store::limits::at;
use crate::store::limits::fixed;
use crate::store::limits::sliding;

#[test]
fn in_memory() {
    holds(&Bench::memory(), 1);
}

#[test]
fn on_one_redis() {
    if let Some(bench) = Bench::redis(Clock::Caller) {
        holds(&bench, 64);
    }
}

#[test]
fn over_a_unix_socket() {
    if let Some(bench) = Bench::unix() {
        holds(&bench, 4);
    }
}

#[test]
fn over_tls_with_certificates_of_either_side() {
    if let Some(bench) = Bench::tls() {
        holds(&bench, 4);
    }
}

#[test]
fn behind_three_sentinels() {
    if let Some(bench) = Bench::watched() {
        holds(&bench, 4);
    }
}

#[test]
fn on_a_cluster_of_three_masters_and_three_replicas() {
    if let Some(bench) = Bench::cluster() {
        holds(&bench, 4);
    }
}

#[test]
fn on_two_redis_one_for_limits_per_second() {
    if let Some(bench) = Bench::split() {
        holds(&bench, 4);
    }
}

/// Everything, with so many random schedules that memory decides as well.
fn holds(bench: &Bench, schedules: u32) {
    charges_all_or_none(bench);
    charges_all_or_none_over_windows_and_keys(bench);
    lets_a_fixed_window_refuse_sliding_ones(bench);
    counts_fixed_windows_as_the_reference(bench);
    grants_a_part_and_ahead_of_need(bench);
    takes_back_what_was_not_used(bench);
    forgets_what_is_reset(bench);
    knows_how_many_replicas_there_are(bench);
    alike::decides_as_memory(bench, schedules);
}

fn charges_all_or_none(bench: &Bench) {
    let (wide, narrow) = (sliding("wide", 5), sliding("narrow", 1));
    let both = [wide.ask(2), narrow.ask(1)];
    assert_eq!(bench.fits(&both, 0), [(true, 3), (true, 0)]);
    assert_eq!(bench.fits(&both, 1), [(true, 3), (false, 0)]);
    let reported = [wide.report(7), narrow.ask(1)];
    assert_eq!(
        bench.fits(&reported, 2),
        [(false, 0), (false, 0)],
        "a report is booked whatever becomes of the rest"
    );
    assert_eq!(bench.fits(&[wide.ask(0)], 3), [(false, 0)]);
    assert_eq!(bench.fits(&[wide.ask(3)], 60), [(false, 0)]);
    assert_eq!(bench.fits(&[wide.ask(3)], 62), [(true, 2)]);
}

/// Twelve keys lie on every node of a cluster, and windows of a second elsewhere where they do.
fn charges_all_or_none_over_windows_and_keys(bench: &Bench) {
    let full = sliding("full", 1);
    assert_eq!(bench.fits(&[full.ask(1)], 0), [(true, 0)]);
    let spared: Vec<Take> = (0..12)
        .map(|n| sliding(&format!("spared-{n}"), 3).ask(1))
        .collect();
    let second = Take {
        window: Window::of_one(Unit::Second),
        ..sliding("second", 3).ask(1)
    };
    for _ in 0..5 {
        let all = [spared.as_slice(), &[second.clone(), full.ask(1)]].concat();
        let fits = bench.fits(&all, 1);
        assert_eq!(fits[..13], [(true, 3); 13], "nothing was charged");
        assert_eq!(fits[13], (false, 0));
    }
    let all = [spared.as_slice(), &[second]].concat();
    assert_eq!(bench.fits(&all, 1), [(true, 2); 13]);
}

fn lets_a_fixed_window_refuse_sliding_ones(bench: &Bench) {
    let both = [sliding("beside", 5).ask(1), fixed("one", 1, 0).ask(1)];
    assert_eq!(bench.fits(&both, 0), [(true, 4), (true, 0)]);
    assert_eq!(bench.fits(&both, 1), [(true, 4), (false, 0)]);
    assert_eq!(bench.fits(&[fixed("one", 3, 0).ask(1)], 2), [(true, 0)]);
}

fn counts_fixed_windows_as_the_reference(bench: &Bench) {
    let limit = fixed("fixed", 3, 0);
    let twice = [limit.ask(1), limit.ask(1)];
    assert_eq!(bench.fits(&twice, 0), [(true, 2), (true, 1)]);
    assert_eq!(bench.fits(&[limit.ask(2)], 1), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 59), [(false, 0)]);
    let limit = fixed("fixed", 3, 60);
    assert_eq!(bench.fits(&[limit.ask(3)], 60), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 61), [(true, 0)]);
    assert_eq!(bench.take(&[limit.ask(0)], 61)[0].reset, 59_000_000);
}

fn grants_a_part_and_ahead_of_need(bench: &Bench) {
    let several = |hits, extra| Take {
        terms: Some(Terms {
            least: 1,
            largest: 1,
            extra,
            life: 900_000,
            keeps: false,
        }),
        ..sliding("shared", 100).ask(hits)
    };
    let granted = |hits, extra| bench.call(&[], &[several(hits, extra)], at(0))[0].granted;
    assert_eq!(granted(10, 50), 12, "a sub-bucket's share ahead of need");
    assert_eq!(granted(80, 0), 80);
    assert_eq!(granted(10, 2), 8, "what remains");
    assert_eq!(granted(1, 0), 0);
}

fn takes_back_what_was_not_used(bench: &Bench) {
    let limit = sliding("leased", 5);
    let leased = Take {
        terms: Some(Terms {
            life: 900_000,
            keeps: true,
            ..Terms::whole(Hits::Ask(4))
        }),
        ..limit.ask(4)
    };
    let booked = bench.call(&[], std::slice::from_ref(&leased), at(0))[0].booked;
    let unused = |hits| GiveBack {
        key: leased.key.clone(),
        window: leased.window,
        hits,
        booked,
    };
    let with_it = bench.call(&[unused(3)], &[limit.ask(1)], at(1));
    assert_eq!(with_it[0].decision.remaining, 3);
    bench.call(&[unused(1)], &[], at(1));
    assert_eq!(bench.fits(&[limit.ask(0)], 1), [(true, 4)]);
    // A log that began anew is another one.
    assert_eq!(bench.fits(&[limit.ask(1)], 200), [(true, 4)]);
    bench.call(&[unused(1)], &[], at(200));
    assert_eq!(bench.fits(&[limit.ask(0)], 200), [(true, 4)]);
}

fn forgets_what_is_reset(bench: &Bench) {
    let limit = sliding("reset", 3);
    assert_eq!(bench.fits(&[limit.ask(3)], 0), [(true, 0)]);
    bench.reset(&limit.ask(0), 1);
    assert_eq!(bench.fits(&[limit.ask(1)], 1), [(true, 2)]);
}

fn knows_how_many_replicas_there_are(bench: &Bench) {
    let one = bench.attend("a", Presence::Here);
    let two = bench.attend("b", Presence::Here);
    let again = bench.attend("a", Presence::Here);
    let gone = bench.attend("b", Presence::Gone);
    assert!(
        [[1, 2, 2, 1], [1; 4]].contains(&[one, two, again, gone]),
        "{one} {two} {again} {gone}: a store in a process has the one"
    );
}
