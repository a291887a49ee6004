//! What metadata is read as.

use crate::document::Fault;
use crate::rule::Domain;
use crate::rule::document;

#[test]
fn metadata_is_read_as_other_readers_of_yaml_read_it() {
    let domains = good(
        "domain: d\n\
         descriptors:\n\
         - key: k\n  \
           rate_limit: {unlimited: true}\n  \
           metadata:\n    \
             {text: a, quoted: \"1\", whole: -7, large: 18446744073709551615, half: 0.5, octal: 0123,\n     \
              yes: on, no: false, nothing: ~, date: 2001-01-01, list: [1, {a: b}], empty: {}}\n",
    );
    let expected = serde_json::json!({
        "text": "a", "quoted": "1", "whole": -7, "large": u64::MAX, "half": 0.5, "octal": "0123",
        "yes": true, "no": false, "nothing": null, "date": "2001-01-01", "list": [1, {"a": "b"}],
        "empty": {},
    });
    let metadata = &domains[0].descriptors[0].metadata;
    assert_eq!(serde_json::Value::Object(metadata.clone()), expected);
}

#[test]
fn metadata_is_a_mapping_of_what_has_a_form_in_json() {
    let with =
        |metadata: &str| format!("[{{key: k, rate_limit: {{unlimited: true}}, {metadata}}}]");
    check(
        &with("metadata: 1"),
        &["f:2: descriptors[0].metadata: expected a mapping, found `1`"],
    );
    check(
        &with("metadata: {a: [.inf], b: {c: 1, c: 2}}"),
        &[
            "f:2: descriptors[0].metadata.a[0]: expected a finite number, found `.inf`",
            "f:2: descriptors[0].metadata.b.c: key `c` stands here twice",
        ],
    );
    check(
        "[{key: k, metadata: {a: b}, detailed_metric: true}]",
        &[
            "f:2: descriptors[0].detailed_metric: expected a `rate_limit` beside it: \
             there is no limit to apply it to",
            "f:2: descriptors[0].metadata: expected a `rate_limit` beside it: \
             there is no limit to apply it to",
        ],
    );
}

/// Checks the faults of a list of descriptors, which stand on the second line.
#[track_caller]
fn check(descriptors: &str, expected: &[&str]) {
    let (_, faults) = read(&format!("domain: d\ndescriptors: {descriptors}\n"));
    let mut faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    faults.sort_unstable();
    assert_eq!(faults, expected);
}

#[track_caller]
fn good(text: &str) -> Vec<Domain> {
    let (domains, faults) = read(text);
    assert_eq!(faults, [], "{text}");
    domains
}

fn read(text: &str) -> (Vec<Domain>, Vec<Fault>) {
    let mut faults = Vec::new();
    let domains = document::read(&"f".into(), text, &mut faults);
    (domains, faults)
}
