//! What is fuzzed, for a while: seeds of every kind, changed at random, and bytes that are none.
//!
//! `FUZZ_INPUTS` says how many inputs each target gets, in place of a number that takes seconds.

#[path = "../../fuzz/log.rs"]
mod log;
#[path = "../../fuzz/targets.rs"]
mod targets;

use std::env;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use crate::support::in_project;
use crate::support::redis::Redis;
use crate::tidy::files_below;

#[test]
fn rules_are_read_or_refused() {
    let config = files("config", "yaml");
    run(
        targets::rules,
        &[files("fuzz/seeds/rules", ""), config].concat(),
    );
}

#[test]
fn platform_documents_are_read_or_refused() {
    run(
        targets::platform,
        &[
            files("config/imprun", "yaml"),
            files("tests/golden", "yaml"),
        ]
        .concat(),
    );
}

#[test]
fn manifests_are_read_or_refused() {
    run(targets::manifests, &files("tests/golden", "yaml"));
}

#[test]
fn requests_get_a_status_for_each_descriptor_or_an_error() {
    run(targets::request, &files("fuzz/seeds/request", ""));
}

#[test]
fn settings_are_read_or_refused() {
    run(targets::environment, &files("fuzz/seeds/environment", ""));
}

#[test]
fn pushes_apply_as_far_as_they_can_and_the_rest_is_named() {
    run(targets::push, &files("fuzz/seeds/push", ""));
}

#[test]
fn what_stands_under_a_key_is_counted_or_refused_by_name() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let mut bench = log::Bench::over(&redis.url());
    run(|input| bench.log(input), &files("fuzz/seeds/log", ""));
}

/// Calls a target with every seed as it is, then with changed ones.
fn run(mut target: impl FnMut(&[u8]), seeds: &[Vec<u8>]) {
    assert!(!seeds.is_empty(), "no seeds");
    let n_inputs =
        env::var_os("FUZZ_INPUTS").map_or(INPUTS, |text| text.to_str().unwrap().parse().unwrap());
    for seed in seeds {
        target(seed);
    }
    let mut random = fastrand::Rng::with_seed(n_inputs);
    for _ in 0..n_inputs {
        let input = changed(seeds, &mut random);
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| target(&input)));
        assert!(outcome.is_ok(), "{:?}", String::from_utf8_lossy(&input));
    }
}

/// A piece of a seed with some bytes changed, dropped, doubled or taken from elsewhere.
fn changed(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let seed = &seeds[random.usize(..seeds.len())];
    let length = seed.len().min(LONGEST);
    let begin = random.usize(..=seed.len() - length);
    let mut input = seed[begin..begin + length].to_vec();
    for _ in 0..random.usize(..8) {
        let at = random.usize(..=input.len());
        let end = (at + random.usize(..16)).min(input.len());
        match random.u8(..5) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.u8(..)),
            2 => drop(input.splice(at..at, input[at..end].to_vec())),
            3 => input[at..end].fill_with(|| random.u8(..)),
            _ => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                let to = (from + random.usize(..64)).min(other.len());
                drop(input.splice(at..end, other[from..to].iter().copied()));
            }
        }
    }
    input
}

/// The contents of the files of a folder with this extension.
fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let mut paths = files_below(&in_project(folder));
    paths.sort();
    let has = |path: &Path| path.extension().unwrap_or_default() == extension;
    let paths = paths.into_iter().filter(|path| has(path));
    paths.map(|path| fs::read(path).unwrap()).collect()
}

const INPUTS: u64 = 2_000;
/// Longer seeds are cut, so that many inputs are tried.
const LONGEST: usize = 4_096;
