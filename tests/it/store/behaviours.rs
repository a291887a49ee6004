//! What every store does, whatever it stands on; each behaviour has keys of its own.

use slidegate::algorithm::LogId;
use slidegate::rule::limit::Unit;
use slidegate::store::GiveBack;
use slidegate::store::Presence;
use slidegate::store::Take;
use slidegate::store::Veto;

use crate::store::bench::Bench;
use crate::store::takes::at;
use crate::store::takes::fixed;
use crate::store::takes::moment;
use crate::store::takes::sliding;
use crate::store::takes::sliding_per;

/// Sees that a store does all of it.
#[track_caller]
pub(super) fn all(bench: &Bench) {
    charges_all_or_none(bench);
    charges_all_or_none_whatever_refuses(bench);
    charges_no_burst_for_what_is_refused(bench);
    decides_limits_of_two_windows_together(bench);
    lets_a_fixed_window_refuse_sliding_ones(bench);
    counts_fixed_windows_as_the_reference(bench);
    books_reports_and_charges_no_check(bench);
    grants_a_part(bench);
    takes_back_what_was_not_used(bench);
    forgets_what_is_reset(bench);
    allows_a_burst(bench);
    lets_shadows_and_quotas_pass(bench);
    goes_on_counting_when_a_limit_changes(bench);
    counts_numbers_beyond_all_limits(bench);
    tells_every_key_from_every_other(bench);
    admits_no_more_when_many_come_at_once(bench);
    knows_how_many_replicas_there_are(bench);
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

/// Many keys, so that in a cluster they lie on all of its nodes.
fn charges_all_or_none_whatever_refuses(bench: &Bench) {
    let limits: Vec<_> = (0..8).map(|n| sliding(&format!("all-{n}"), 3)).collect();
    for (index, full) in limits.iter().enumerate() {
        // Each of them alone refuses all, at every place.
        let second = 100 * index as u64;
        bench.take(&[full.ask(3)], second);
        let asks: Vec<Take> = limits.iter().map(|it| it.ask(1)).collect();
        for _ in 0..4 {
            for (other, fits) in bench.fits(&asks, second + 1).into_iter().enumerate() {
                let expected = if other == index {
                    (false, 0)
                } else {
                    (true, 3)
                };
                assert_eq!(fits, expected, "{other} while {index} is full");
            }
        }
    }
}

fn charges_no_burst_for_what_is_refused(bench: &Bench) {
    for n in 0..4 {
        let burst = sliding(&format!("spared-{n}"), 2).with_burst(3);
        let full = sliding(&format!("refusing-{n}"), 0);
        for _ in 0..6 {
            let both = [burst.ask(1), full.ask(1)];
            assert_eq!(bench.fits(&both, 0), [(true, 5), (false, 0)]);
        }
        assert_eq!(bench.fits(&[burst.ask(5)], 0), [(true, 0)]);
        assert_eq!(bench.fits(&[burst.ask(1)], 1), [(false, 0)]);
    }
}

/// What is counted by the second may be forgotten at any time here, as servers have their own clock
/// for that: nothing depends on it.
fn decides_limits_of_two_windows_together(bench: &Bench) {
    let minute = sliding("both", 3);
    let second = |limit| sliding_per(Unit::Second, "both", limit);
    let refused = [minute.ask(1), second(1).ask(2)];
    for _ in 0..4 {
        assert_eq!(bench.fits(&refused, 0)[0], (true, 3));
        assert!(!bench.fits(&refused, 0)[1].0);
    }
    let admitted = [minute.ask(3), second(5).ask(2)];
    assert_eq!(bench.fits(&admitted, 0), [(true, 0), (true, 3)]);
    let refused = [second(9).ask(3), minute.ask(1)];
    for _ in 0..4 {
        let answers = bench.fits(&refused, 2);
        assert_eq!(answers, [(true, 9), (false, 0)]);
    }
}

fn lets_a_fixed_window_refuse_sliding_ones(bench: &Bench) {
    let both = [sliding("s", 5).ask(1), fixed("f", 1, 0).ask(1)];
    assert_eq!(bench.fits(&both, 0), [(true, 4), (true, 0)]);
    assert_eq!(bench.fits(&both, 1), [(true, 4), (false, 0)]);
    assert_eq!(bench.fits(&[fixed("f", 3, 0).ask(1)], 2), [(true, 0)]);
}

fn counts_fixed_windows_as_the_reference(bench: &Bench) {
    let limit = fixed("counted", 3, 0);
    let twice = [limit.ask(1), limit.ask(1)];
    assert_eq!(bench.fits(&twice, 0), [(true, 2), (true, 1)]);
    assert_eq!(bench.fits(&[limit.ask(2)], 1), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 59), [(false, 0)]);
    let limit = fixed("counted", 3, 60);
    assert_eq!(bench.fits(&[limit.ask(3)], 60), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 61), [(true, 0)]);
    assert_eq!(bench.take(&[limit.ask(0)], 61)[0].reset, 59_000_000);
}

fn books_reports_and_charges_no_check(bench: &Bench) {
    let limit = sliding("reported", 3);
    assert_eq!(bench.fits(&[limit.ask(0)], 0), [(true, 3)]);
    assert_eq!(bench.fits(&[limit.report(2)], 0), [(true, 1)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 1), [(true, 1)]);
    assert_eq!(bench.fits(&[limit.report(5)], 10), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(0)], 11), [(false, 0)]);
    assert_eq!(bench.take(&[limit.ask(1)], 20)[0].reset, 50_000_000);
    assert_eq!(bench.fits(&[limit.ask(0)], 69), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(3)], 70), [(true, 0)]);
}

fn grants_a_part(bench: &Bench) {
    let limit = sliding("parts", 10);
    assert_eq!(bench.fits(&[limit.ask(7)], 0), [(true, 3)]);
    let part = bench.call(&[], &[limit.ask_ahead(5, 0)], at(1))[0];
    assert_eq!((part.decision.fits, part.granted), (false, 3));
    let nothing = bench.call(&[], &[limit.ask_ahead(5, 0)], at(1))[0];
    assert_eq!((nothing.decision.fits, nothing.granted), (false, 0));
    let ahead = bench.call(&[], &[limit.ask_ahead(1, 9)], at(70))[0];
    assert_eq!((ahead.decision.fits, ahead.granted), (true, 2));

    // Beside others: what is of use is granted, as long as nothing else refuses.
    let (part, other) = (sliding("part", 3), sliding("beside", 3));
    let both = [part.ask_ahead(5, 0), other.ask(2)];
    let granted = |second| {
        let answers = bench.call(&[], &both, at(second));
        answers.iter().map(|it| it.granted).collect::<Vec<_>>()
    };
    assert_eq!(granted(0), [3, 2]);
    assert_eq!(granted(1), [0, 0]);
    assert_eq!(bench.fits(&[other.ask(0)], 1), [(true, 1)]);
}

fn takes_back_what_was_not_used(bench: &Bench) {
    let limit = sliding("unused", 10);
    let booked = bench.call(&[], &[limit.ask_ahead(4, 0)], at(0))[0].booked;
    let unused = |hits| GiveBack {
        key: limit.0.key.clone(),
        limit: limit.0.limit,
        burst: limit.0.burst,
        window: limit.0.window,
        hits,
        booked,
    };
    let mut of_another_log = unused(3);
    of_another_log.booked.id = LogId(booked.id.0 ^ 1);
    let remaining = |unused: &[GiveBack], second| {
        bench.call(unused, &[limit.ask(0)], at(second))[0]
            .decision
            .remaining
    };
    assert_eq!(remaining(&[of_another_log], 1), 6);
    assert_eq!(remaining(&[unused(3)], 1), 9);
    assert_eq!(remaining(&[unused(3)], 1), 10, "never more than was booked");
    assert!(bench.call(&[unused(1)], &[], at(2)).is_empty());
    // What was booked has left the window by itself.
    bench.take(&[limit.ask(5)], 59);
    assert_eq!(remaining(&[unused(3)], 62), 5);
}

fn forgets_what_is_reset(bench: &Bench) {
    let limit = sliding("reset", 3);
    bench.reset(&limit.0, at(0));
    assert_eq!(bench.fits(&[limit.ask(3)], 0), [(true, 0)]);
    bench.reset(&limit.0, at(1));
    assert_eq!(bench.fits(&[limit.ask(0)], 1), [(true, 3)]);
    // Hits that may still be used stay.
    bench.call(&[], &[limit.ask_ahead(2, 0)], at(2));
    bench.reset(&limit.0, at(2));
    assert_eq!(bench.fits(&[limit.ask(0)], 2), [(true, 1)]);
    bench.reset(&limit.0, moment(2_900_000));
    assert_eq!(bench.fits(&[limit.ask(0)], 3), [(true, 3)]);
}

fn allows_a_burst(bench: &Bench) {
    let limit = sliding("burst", 2).with_burst(3);
    assert_eq!(bench.fits(&[limit.ask(5)], 0), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.ask(1)], 59), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(3)], 60), [(false, 2)]);
    assert_eq!(bench.fits(&[limit.ask(2)], 60), [(true, 0)]);
}

fn lets_shadows_and_quotas_pass(bench: &Bench) {
    let (wide, full) = (sliding("passed", 9), sliding("full", 0));
    let shadow = full.with_veto(Veto::Never);
    assert_eq!(
        bench.fits(&[wide.ask(1), shadow.ask(1)], 0),
        [(true, 8), (false, 0)]
    );
    let (quota, empty) = (sliding("quota", 1), sliding("empty", 0));
    let (quota, empty) = (
        quota.with_veto(Veto::Together),
        empty.with_veto(Veto::Together),
    );
    let all = [wide.ask(1), quota.ask(1), empty.ask(1)];
    assert_eq!(bench.fits(&all, 1), [(true, 7), (true, 0), (false, 0)]);
    assert_eq!(bench.fits(&all, 2), [(true, 7), (false, 0), (false, 0)]);
}

fn goes_on_counting_when_a_limit_changes(bench: &Bench) {
    let limit = sliding("changed", 5);
    assert_eq!(bench.fits(&[limit.ask(3)], 0), [(true, 2)]);
    assert_eq!(bench.fits(&[limit.with_limit(2).ask(1)], 1), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.with_limit(10).ask(1)], 2), [(true, 6)]);
    assert_eq!(bench.fits(&[limit.ask(2)], 3), [(false, 1)]);
}

fn counts_numbers_beyond_all_limits(bench: &Bench) {
    let limit = sliding("big", u32::MAX);
    let most = u64::from(u32::MAX);
    assert_eq!(bench.fits(&[limit.ask(most + 1)], 0), [(false, most)]);
    assert_eq!(bench.fits(&[limit.ask(u64::MAX)], 0), [(false, most)]);
    assert_eq!(bench.fits(&[limit.ask(most)], 0), [(true, 0)]);
    for _ in 0..3 {
        assert_eq!(bench.fits(&[limit.report(u64::MAX)], 1), [(false, 0)]);
    }
    assert_eq!(bench.fits(&[limit.ask(1)], 60), [(false, 0)]);
    assert_eq!(bench.fits(&[limit.ask(most)], 61), [(true, 0)]);
    let limit = fixed("big", u32::MAX, 0);
    assert_eq!(bench.fits(&[limit.ask(most)], 0), [(true, 0)]);
    assert_eq!(bench.fits(&[limit.report(u64::MAX)], 0), [(false, 0)]);
}

fn tells_every_key_from_every_other(bench: &Bench) {
    let long = "x".repeat(2_000);
    let values = [
        "",
        " ",
        "*",
        "a",
        "a,1:b",
        "{",
        "{a}",
        "{}a",
        "ä\u{1F980}",
        "\r\n",
        "\0",
        &long,
    ];
    for value in values {
        assert_eq!(
            bench.fits(&[sliding(value, 1).ask(1)], 0),
            [(true, 0)],
            "{value:?}"
        );
    }
    for value in values {
        assert_eq!(
            bench.fits(&[sliding(value, 1).ask(1)], 1),
            [(false, 0)],
            "{value:?}"
        );
    }
}

fn admits_no_more_when_many_come_at_once(bench: &Bench) {
    let shared = sliding("shared", 10);
    let own = |n: usize| sliding(&format!("own-{n}"), 5);
    let requests: Vec<_> = (0..50)
        .map(|n| vec![own(n).ask(1), shared.ask(1)])
        .collect();
    let answers = bench.at_once(requests, at(0));
    let is_admitted = |answers: &&Vec<slidegate::store::Answer>| answers[1].granted == 1;
    assert_eq!(answers.iter().filter(is_admitted).count(), 10);
    let charged = (0..50).filter(|n| bench.fits(&[own(*n).ask(0)], 0) == [(true, 4)]);
    assert_eq!(charged.count(), 10, "the others were spared");
}

fn knows_how_many_replicas_there_are(bench: &Bench) {
    let one = bench.attend("a", Presence::Here);
    let two = bench.attend("b", Presence::Here);
    let again = bench.attend("a", Presence::Here);
    let gone = bench.attend("b", Presence::Gone);
    // A store in a process has the one.
    let expected = if bench.masters().is_empty() {
        [1; 4]
    } else {
        [1, 2, 2, 1]
    };
    assert_eq!([one, two, again, gone], expected);
}
