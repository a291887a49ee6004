//! Hits granted ahead of need, in part, and given back.

use super::*;

#[test]
fn several_asks_get_what_remains_and_what_is_ahead_of_need_is_half_of_the_rest() {
    let quota = Quota::new(100, 0, seconds(64));
    let mut log = Log::new(LogId(1));
    assert_eq!(
        lease(&mut log, quota, 10, 50, 0),
        (12, true),
        "a share is 2"
    );
    let quota = Quota::new(6_400, 0, seconds(64));
    let mut log = Log::new(LogId(1));
    assert_eq!(lease(&mut log, quota, 10, 500, 0), (110, true));
    assert_eq!(lease(&mut log, quota, 6_250, 500, S), (6_270, true));
    assert_eq!(lease(&mut log, quota, 19, 500, 2 * S), (19, false));
    assert_eq!(lease(&mut log, quota, 5, 500, 2 * S), (1, false));
}

#[test]
fn a_lease_lives_for_a_sub_bucket_and_a_second_at_most() {
    let life = |limit, burst, window| Quota::new(limit, burst, seconds(window)).life();
    assert_eq!(life(1_000, 0, 1), 15_625);
    assert_eq!(life(1_000, 0, 10), 156_250);
    assert_eq!(life(1_000, 0, 64), S);
    assert_eq!(life(1_000, 0, 3_600), S);
    assert_eq!(life(1_000, 1, 64), 0, "a bucket cannot take back");
    assert_eq!([64, 65].map(|limit| life(limit, 0, 64)), [0, S]);
}

#[test]
fn leased_hits_are_counted_until_a_window_after_the_lease_has_ended() {
    let quota = Quota::new(64, 0, seconds(64));
    let mut log = Log::new(LogId(1));
    let terms = Terms {
        keeps: true,
        life: S,
        ..Terms::whole(Hits::Ask(64))
    };
    let (granted, booked) = log.book(quota, Hits::Ask(64), terms, at(0));
    assert_eq!((granted, booked.date), (64, at(S)));
    assert_eq!(log.remaining(quota, at(65 * S - 1)), 0);
    assert_eq!(log.remaining(quota, at(65 * S)), 64);
}

#[test]
fn unused_hits_are_taken_back_only_where_they_are() {
    let quota = Quota::new(10, 0, seconds(10));
    let booked_in = |log: &mut Log, now| {
        let hits = Hits::Ask(4);
        log.book(quota, hits, Terms::whole(hits), at(now)).1
    };
    let mut log = Log::new(LogId(1));
    let first = booked_in(&mut log, 0);
    let second = booked_in(&mut log, 5 * S);
    let other = Booked {
        id: LogId(2),
        ..second
    };
    log.give_back(quota, 4, other, at(6 * S));
    assert_eq!(log.remaining(quota, at(6 * S)), 2, "of another log");
    log.give_back(quota, 4, first, at(10 * S));
    assert_eq!(
        log.remaining(quota, at(10 * S)),
        6,
        "of a date that has left the window"
    );
    log.give_back(quota, 3, second, at(10 * S));
    assert_eq!(log.remaining(quota, at(10 * S)), 9);
    log.give_back(quota, 9, second, at(10 * S));
    assert_eq!(
        log.remaining(quota, at(10 * S)),
        10,
        "never more than there were"
    );
}

#[test]
fn a_reset_keeps_what_may_still_be_used() {
    let quota = Quota::new(100, 0, seconds(64));
    let mut log = Log::new(LogId(1));
    let (_, booked) = log.book(quota, Hits::Ask(50), Terms::whole(Hits::Ask(50)), at(0));
    lease(&mut log, quota, 1, 2, S);
    log.reset(at(S), LogId(2));
    assert_eq!(log.remaining(quota, at(S)), 97);
    log.give_back(quota, 50, booked, at(S));
    assert_eq!(log.remaining(quota, at(S)), 97, "the log is another");
}

#[test]
fn a_clock_that_stepped_back_takes_the_log_with_it() {
    let quota = Quota::new(3, 0, seconds(10));
    let mut log = Log::new(LogId(1));
    for second in [3_600, 3_605] {
        log.book(
            quota,
            Hits::Ask(1),
            Terms::whole(Hits::Ask(1)),
            at(second * S),
        );
    }
    log.follow(at(3_604 * S), LogId(2));
    assert_eq!(log.id(), LogId(1), "a second is what a lease may be ahead");
    log.follow(at(100 * S), LogId(2));
    assert_eq!(log.id(), LogId(2));
    assert_eq!(log.remaining(quota, at(106 * S)), 2);
    assert_eq!(log.remaining(quota, at(111 * S)), 3);
}

fn lease(log: &mut Log, quota: Quota, needed: u64, extra: u64, now: u64) -> (u64, bool) {
    let (hits, life) = (Hits::Ask(needed), quota.life());
    let terms = Terms {
        least: 1,
        extra,
        life,
        ..Terms::whole(hits)
    };
    let (granted, booked) = log.book(quota, hits, terms, at(now));
    (granted, booked.date == at(now + life))
}

/// One step of those who share a key. Numbers of leases are taken modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Ask {
        hits: u64,
        least: u64,
        extra: u64,
        keeps: bool,
    },
    Report(u64),
    Use(usize, u64),
    GiveBack(usize),
    Reset,
    ClockBack(u64),
    Limit(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![0_u64..20_000, 0_u64..500_000, 500_000_u64..5_000_000];
    let hits = || prop_oneof![4 => Just(1_u64), 2 => 0_u64..10, 1 => 0_u64..200];
    let ask = (hits(), hits(), hits(), any::<bool>());
    let step = prop_oneof![
        20 => wait.prop_map(Step::Wait),
        20 => ask.prop_map(|(hits, least, extra, keeps)| Step::Ask { hits, least, extra, keeps }),
        1 => hits().prop_map(Step::Report),
        20 => (any::<usize>(), hits()).prop_map(|(lease, hits)| Step::Use(lease, hits)),
        8 => any::<usize>().prop_map(Step::GiveBack),
        1 => Just(Step::Reset),
        1 => (0_u64..3_000_000).prop_map(Step::ClockBack),
        1 => (1_u32..300).prop_map(Step::Limit),
    ];
    prop::collection::vec(step, 1..400)
}

/// Hits that may be used until a moment of true time, and as what they were booked.
struct Lease {
    hits: u64,
    until: u64,
    booked: Booked,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_leased_used_and_given_back_no_window_holds_more_than_the_limit(
        limit in prop_oneof![1_u32..10, 60_u32..70, 100_u32..2_000],
        window in prop_oneof![Just(1_u32), Just(3), Just(64)],
        steps in steps(),
    ) {
        let window = seconds(window);
        let mut quota = Quota::new(limit, 0, window);
        let mut log = Log::new(LogId(0));
        let mut used = Exact::default();
        let mut leases: Vec<Lease> = Vec::new();
        // The store's clock, and how far it has stepped back from true time so far.
        let (mut now, mut back) = (0, 0);
        for (index, step) in steps.into_iter().enumerate() {
            let clock = at(10_000 * S + now - back);
            let new_id = LogId(index as u64 + 1);
            match step {
                Step::Wait(micros) => now += micros,
                Step::Ask { hits, least, extra, keeps } => {
                    log.follow(clock, new_id);
                    let ask = Hits::Ask(hits);
                    let life = quota.life();
                    // Without a life, nothing is granted for later.
                    let (extra, keeps) = if life > 0 { (extra, keeps) } else { (0, false) };
                    let terms = Terms { least: least.min(hits), largest: hits, extra, life, keeps };
                    if log.fits(quota, ask, terms, clock) {
                        let (granted, booked) = log.book(quota, ask, terms, clock);
                        prop_assert!(granted <= hits + quota.share());
                        let now_used = if keeps { 0 } else { granted.min(hits) };
                        let counted = used.counted(window.micros(), now);
                        prop_assert!(counted + now_used <= quota.limit);
                        used.admit(now, now_used);
                        let (hits, until) = (granted - now_used, now + life);
                        leases.push(Lease { hits, until, booked });
                    }
                }
                Step::Report(hits) => {
                    // Reports and leases of one key do not go together.
                    leases.clear();
                    log.follow(clock, new_id);
                    let report = Hits::Report(hits);
                    log.book(quota, report, Terms::whole(report), clock);
                    used.admit(now, hits);
                }
                Step::Use(which, hits) if !leases.is_empty() => {
                    let which = which % leases.len();
                    let lease = &mut leases[which];
                    let hits = hits.min(lease.hits);
                    if now <= lease.until && hits > 0 {
                        let counted = used.counted(window.micros(), now);
                        prop_assert!(counted + hits <= quota.limit, "{counted} and {hits}");
                        lease.hits -= hits;
                        used.admit(now, hits);
                    }
                }
                Step::GiveBack(which) if !leases.is_empty() => {
                    let which = which % leases.len();
                    let Lease { hits, booked, .. } = leases.swap_remove(which);
                    log.give_back(quota, hits, booked, clock);
                }
                Step::Reset => {
                    log.reset(clock, new_id);
                    used = Exact::default();
                }
                Step::ClockBack(micros) => back += micros,
                Step::Limit(limit) => {
                    quota = Quota::new(limit, 0, window);
                    leases.retain(|_| false);
                }
                Step::Use(..) | Step::GiveBack(_) => {}
            }
            prop_assert!(log.entries.len() <= MAX_ENTRIES);
            let counted: u64 = log.entries.iter().map(|entry| entry.count).sum();
            prop_assert_eq!(log.total, counted);
        }
    }
}
