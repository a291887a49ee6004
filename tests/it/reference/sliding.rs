//! Section 3 with sliding windows, where they differ by nature.

use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::world::World;

#[test]
fn sliding_windows_differ_in_what_is_listed() {
    let world = World::start(RULES, &memory());
    row::check(SLIDING, |ask| ask(&world));
}

pub(crate) fn reasons() -> Vec<&'static str> {
    row::reasons(SLIDING)
}

const RULES: &str = "
domain: d
descriptors:
- {key: user, rate_limit: {unit: hour, requests_per_unit: 3}}
- {key: none, rate_limit: {unit: hour, requests_per_unit: 0}}
- {key: trial, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 1}}
";

const SLIDING: &[Row<Ask<World>>] = &[
    differs(
        "a window begins when the clock says so",
        |it| {
            let response = it.answer("d | user=slides").unwrap();
            response.statuses[0]
                .duration_until_reset
                .unwrap()
                .seconds
                .to_string()
        },
        "3600",
        "drop-in 1: any window holds the limit, so that nobody gets it twice around a boundary",
    ),
    differs(
        "the reset is when the window ends",
        |it| {
            it.ask_times(3, "d | user=reset");
            let response = it.answer("d | user=reset").unwrap();
            let seconds = response.statuses[0].duration_until_reset.unwrap().seconds;
            format!(
                "{} {}",
                it.ask("d | user=reset"),
                (3_540..=3_600).contains(&seconds)
            )
        },
        "OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR true",
        "differences 23: it is when the same request would pass",
    ),
    differs(
        "a refused request is counted",
        |it| {
            it.ask("d hits=4 | user=a");
            it.ask("d | user=a")
        },
        "OK: OK 2 of 3 HOUR",
        "differences 1: nobody is kept out by asking",
    ),
    differs(
        "what passes is counted although another descriptor refuses",
        |it| {
            it.ask("d | none=x | user=b");
            it.ask("d | user=b")
        },
        "OK: OK 2 of 3 HOUR",
        "differences 2: all or none",
    ),
    differs(
        "the same descriptor twice is counted twice",
        |it| it.ask("d | user=c | user=c"),
        "OK: OK 2 of 3 HOUR, OK 2 of 3 HOUR",
        "differences 3: it is one request",
    ),
    differs(
        "a check passes at exactly the limit",
        |it| {
            it.ask_times(3, "d | user=d");
            it.ask("d | user=d hits=0")
        },
        "OVER_LIMIT: OVER_LIMIT 0 of 3 HOUR",
        "differences 4: it tells what a hit would",
    ),
    // 3.13
    differs(
        "with STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT others are not counted, a shadow's refusal included",
        |it| {
            it.ask_times(2, "d | trial=x | user=e");
            it.ask("d | user=e hits=0")
        },
        "OK: OK 1 of 3 HOUR",
        "differences 2: only a refusal that holds spares the others",
    ),
];
