//! envoyproxy/ratelimit, fact by fact: what it does, how that is asked, and what is answered here.
//!
//! A file a section. What `decisions` and `xds::recorded` compare with recordings is not asked again,
//! nor what another test looks at closely; each file says which.

mod decisions;
mod lifecycle;
mod metrics;
mod ports;
mod redis;
mod row;
mod rules;
mod sliding;
mod traces;
mod variables;
mod world;
mod xds;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

use crate::support::in_project;

#[test]
fn every_difference_is_on_its_page_and_every_one_on_a_page_is_shown() {
    let sections = [
        decisions::reasons(),
        lifecycle::reasons(),
        metrics::reasons(),
        ports::reasons(),
        redis::reasons(),
        rules::reasons(),
        sliding::reasons(),
        traces::reasons(),
        variables::reasons(),
        xds::reasons(),
    ];
    let mut shown: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for reason in sections.concat() {
        let (place, why) = reason.split_once(": ").unwrap();
        let (page, number) = place.split_once(' ').unwrap();
        assert!(!why.is_empty(), "{reason}");
        let numbers = shown.entry(page).or_default();
        numbers.insert(number.parse().unwrap());
    }
    for page in ["differences", "drop-in"] {
        let text = fs::read_to_string(in_project("docs").join(format!("{page}.md"))).unwrap();
        let numbers = text
            .lines()
            .filter_map(|line| line.split_once(". ")?.0.parse().ok());
        let listed: BTreeSet<u32> = numbers.collect();
        assert_eq!(shown.remove(page), Some(listed), "{page}");
    }
    assert!(shown.is_empty(), "{shown:?}");
}
