//! Section 2: the YAML of rules.
//!
//! Elsewhere: layouts of directories and changes of files (`dropin`, `reload`, `source::runtime`).

use std::fs;

use tempfile::TempDir;

use crate::reference::row;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::support::http::Call;
use crate::support::service::Service;
use crate::support::service::slidegate;

/// All rows are files of one directory, each with a domain of its own: what `validate` finds wrong with
/// one, else what `/rlconfig` shows of its domain.
#[test]
fn rules_are_read_as_the_reference_reads_them() {
    let folder = TempDir::new().unwrap();
    let file = |index: usize| format!("row-{index:02}.yaml");
    for (index, row) in ROWS.iter().enumerate() {
        let text = row
            .ask
            .replace("domain: d\n", &format!("domain: {}\n", domain(index)));
        fs::write(folder.path().join(file(index)), text).unwrap();
    }
    let output = slidegate(&["validate"])
        .arg(folder.path())
        .output()
        .unwrap();
    let faults = String::from_utf8(output.stderr).unwrap();
    let faults_of = |index: usize| {
        let of_file = faults
            .lines()
            .filter_map(|line| line.split_once(&format!("{}:", file(index))));
        of_file
            .map(|(_, fault)| fault)
            .collect::<Vec<_>>()
            .join("\n")
    };
    for index in (0..ROWS.len()).filter(|it| !faults_of(*it).is_empty()) {
        fs::remove_file(folder.path().join(file(index))).unwrap();
    }
    let service = Service::start(&["--rules", folder.path().to_str().unwrap()]);
    let page = Call::get("/rlconfig").send(service.debug()).body;
    let index = std::cell::Cell::new(0);
    row::check(ROWS, |_| {
        let index = index.replace(index.get() + 1);
        let faults = faults_of(index);
        if !faults.is_empty() {
            return faults;
        }
        let lines = page
            .lines()
            .filter_map(|line| line.strip_prefix(&domain(index)));
        let lines = lines.map(|line| line.replace(", shadow_mode: false, quota_mode: false", ""));
        lines.collect::<Vec<_>>().join("\n")
    });
}

pub(crate) fn reasons() -> Vec<&'static str> {
    row::reasons(ROWS)
}

fn domain(index: usize) -> String {
    format!("row{index:02}")
}

const WORDS: &str = "drop-in 4: with its place, and in words of its own";
const STRICT: &str = "differences 11: nothing that is written is ignored";

const ROWS: &[Row<&str>] = &[
    // 2.1
    same(
        "units are read in any case",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: MiNute, requests_per_unit: 1}}]",
        ".a: unit=MINUTE requests_per_unit=1",
    ),
    same(
        "a week is a unit",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: week, requests_per_unit: 1}}]",
        ".a: unit=WEEK requests_per_unit=1",
    ),
    same(
        "`unknown` is no unit",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: unknown, requests_per_unit: 1}}]",
        "2: descriptors[0].rate_limit.unit: unknown unit `unknown`: expected second, minute, hour, day, week, month or year",
    ),
    same(
        "but goes with `unlimited`, as a number does",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: UNKNOWN, unlimited: true, requests_per_unit: 9}}]",
        ".a: unit=UNKNOWN requests_per_unit=0",
    ),
    differs(
        "requests_per_unit is 0 unless given",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day}}]",
        "2: descriptors[0].rate_limit: `requests_per_unit` is missing",
        STRICT,
    ),
    differs(
        "there is no unit_multiplier",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1, unit_multiplier: 2}}]",
        ".a: unit=DAY requests_per_unit=1, unit_multiplier: 2",
        "differences 14: and algorithm, burst, cost and on_store_failure",
    ),
    same(
        "modes stand on the descriptor",
        "domain: d\ndescriptors: [{key: a, shadow_mode: true, quota_mode: true, rate_limit: {unit: day, requests_per_unit: 1}}]",
        ".a: unit=DAY requests_per_unit=1, shadow_mode: true, quota_mode: true",
    ),
    // 2.2
    differs(
        "a key of the format is ignored where it does not belong",
        "domain: d\nname: x\ndescriptors: []",
        "2: name: unknown key `name`: expected domain or descriptors",
        STRICT,
    ),
    same(
        "the keys in `metadata` are free",
        "domain: d\ndescriptors: [{key: a, metadata: {x: {y: 1.5}}, rate_limit: {unit: day, requests_per_unit: 1}}]",
        ".a: unit=DAY requests_per_unit=1",
    ),
    differs(
        "a fraction is refused wherever it stands",
        "domain: d\ndescriptors: [{key: a, value: 1.5}]",
        "2: descriptors[0].value: `1.5` is a number here: put it in quotes",
        WORDS,
    ),
    same(
        "text is what was written",
        "domain: d\ndescriptors: [{key: a, value: 0123, rate_limit: {unit: day, requests_per_unit: 1}}]",
        ".a_0123: unit=DAY requests_per_unit=1",
    ),
    same(
        "whatever YAML takes it for",
        "domain: d\ndescriptors: [{key: a, value: true, rate_limit: {unit: day, requests_per_unit: 1}}]",
        ".a_true: unit=DAY requests_per_unit=1",
    ),
    differs(
        "a negative number is refused",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: -1}}]",
        "2: descriptors[0].rate_limit.requests_per_unit: expected a whole number from 0 to 4294967295, found `-1`",
        WORDS,
    ),
    differs(
        "so is one above 32 bits",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 4294967296}}]",
        "2: descriptors[0].rate_limit.requests_per_unit: expected a whole number from 0 to 4294967295, found `4294967296`",
        WORDS,
    ),
    same(
        "the largest is read",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 4294967295}}]",
        ".a: unit=DAY requests_per_unit=4294967295",
    ),
    differs(
        "of several documents the first is read",
        "domain: d\ndescriptors: []\n---\ndomain: d\ndescriptors: []",
        "4: domain: domain `row15` stands on line 1 already",
        "differences 12: each is a domain",
    ),
    same(
        "anchors and merge keys work",
        "domain: d\ndescriptors:\n- {key: a, rate_limit: &l {unit: day, requests_per_unit: 1}}\n- {key: b, rate_limit: {<<: *l, name: x}}",
        ".a: unit=DAY requests_per_unit=1\n.b: unit=DAY requests_per_unit=1",
    ),
    // 2.3
    differs(
        "YAML that is none",
        "domain: d\ndescriptors: [",
        "2: not YAML: unclosed bracket '['",
        WORDS,
    ),
    differs(
        "a key that is no text",
        "domain: d\n7: x\ndescriptors: []",
        "2: 7: unknown key `7`: expected domain or descriptors",
        WORDS,
    ),
    differs(
        "an unknown key",
        "domain: d\ndescriptor: []",
        "2: descriptor: unknown key `descriptor`: did you mean `descriptors`?",
        WORDS,
    ),
    differs(
        "a list of something else",
        "domain: d\ndescriptors: [x]",
        "2: descriptors[0]: expected a mapping, found `x`",
        WORDS,
    ),
    differs(
        "an empty domain",
        "domain: ''\ndescriptors: []",
        "1: domain: expected a string that is not empty",
        WORDS,
    ),
    differs(
        "no domain",
        "descriptors: []",
        "1: `domain` is missing",
        WORDS,
    ),
    differs(
        "an empty key",
        "domain: d\ndescriptors: [{key: ''}]",
        "2: descriptors[0].key: expected a string that is not empty",
        WORDS,
    ),
    differs(
        "the same twice on a level",
        "domain: d\ndescriptors: [{key: a, value: b}, {key: a, value: b}]",
        "2: descriptors[1]: key `a` with value `b` stands on line 2 already",
        WORDS,
    ),
    differs(
        "an unknown unit",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: fortnight, requests_per_unit: 1}}]",
        "2: descriptors[0].rate_limit.unit: unknown unit `fortnight`: expected second, minute, hour, day, week, month or year",
        WORDS,
    ),
    differs(
        "no unit",
        "domain: d\ndescriptors: [{key: a, rate_limit: {requests_per_unit: 1}}]",
        "2: descriptors[0].rate_limit: `unit` is missing",
        WORDS,
    ),
    differs(
        "a unit beside `unlimited`",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, unlimited: true}}]",
        "2: descriptors[0].rate_limit.unit: `unit` does not go with `unlimited: true`",
        WORDS,
    ),
    differs(
        "`replaces` without a name",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1, replaces: [{}]}}]",
        "2: descriptors[0].rate_limit.replaces[0]: `name` is missing",
        WORDS,
    ),
    differs(
        "`replaces` with the limit's own name",
        "domain: d\ndescriptors: [{key: a, rate_limit: {unit: day, requests_per_unit: 1, name: n, replaces: [{name: n}]}}]",
        "2: descriptors[0].rate_limit.replaces[0].name: `n` is the limit's own name: expected that of another",
        WORDS,
    ),
    differs(
        "`share_threshold` without `*`",
        "domain: d\ndescriptors: [{key: a, value: b, share_threshold: true}]",
        "2: descriptors[0].share_threshold: expected a `value` with `*` beside it: there are no values to share",
        WORDS,
    ),
    differs(
        "the first fault ends it",
        "domain: d\ndescriptors: [{key: ''}, {key: b, rate_limit: {unit: x, requests_per_unit: 1}}]",
        "2: descriptors[0].key: expected a string that is not empty\n2: descriptors[1].rate_limit.unit: unknown unit `x`: expected second, minute, hour, day, week, month or year",
        "drop-in 4: all are told at once",
    ),
    // 2.4
    differs(
        "`a_b` is the same as `a` with the value `b`",
        "domain: d\ndescriptors: [{key: a_b, rate_limit: {unit: day, requests_per_unit: 1}}, {key: a, value: b, rate_limit: {unit: day, requests_per_unit: 2}}]",
        ".a_b: unit=DAY requests_per_unit=1\n.a_b: unit=DAY requests_per_unit=2",
        "differences 5: keys and values are compared as parts",
    ),
    same(
        "a descriptor without a limit is one that limits nothing",
        "domain: d\ndescriptors: [{key: a, rate_limit: ~}, {key: b}]",
        "",
    ),
];
