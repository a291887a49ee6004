//! What the judge does that the shipped CRDs give little occasion for, shown on a CRD of our own.

use serde_json::Value;
use serde_json::json;

use crate::support::crd;
use crate::support::crd::Judge;

#[test]
fn yaml_is_read_as_version_1_1_and_quotes_keep_strings() {
    let [read] = &crd::documents(
        "{a: on, b: 'on', c: 010, d: '010', e: 0x1F, f: 1_000, g: 1e3, h: ~, i: 1.2.3, j: -7, \
         k: 2026-01-01, l: 0o17, m: 18446744073709551615, nn: 08, o: '', y: n, 5: +5, p: .5}",
    )[..] else {
        panic!("not one document")
    };
    let expected = json!({
        "a": true, "b": "on", "c": 8, "d": "010", "e": 31, "f": 1000, "g": 1000.0, "h": null,
        "i": "1.2.3", "j": -7, "k": "2026-01-01", "l": 15, "m": u64::MAX, "nn": 8.0, "o": "",
        "true": false, "5": 5, "p": 0.5,
    });
    assert_eq!(read, &expected);
}

#[test]
fn what_is_left_out_is_filled_in() {
    // The rule on `filled` sees what the defaults put there, in a list and in a map as well.
    check(&json!({"filled": {}}), &[]);
    check(&json!({"filled": {"list": [{}], "map": {"a": {}}}}), &[]);
    check(&json!({"filled": {"word": null}}), &[]);
    check(
        &json!({"filled": {"word": "other"}}),
        &["spec.filled: words are filled in"],
    );
    check(
        &json!({"filled": {"map": {"a": {"word": "other"}}}}),
        &["spec.filled: words are filled in"],
    );
}

#[test]
fn null_stands_only_where_it_may() {
    check(&json!({"nullable": null}), &[]);
    check(&json!({"nullable": "b"}), &[]);
    check(
        &json!({"nullable": "c"}),
        &[r#"spec.nullable: "c" is not one of "a", "b" or null"#],
    );
    // Where it may not it is dropped, and then missing.
    check(&json!({"port": null}), &[]);
    check(
        &json!({"required": {"a": null}}),
        &[r#"spec.required: "a" is a required property"#],
    );
}

#[test]
fn an_integer_or_a_string_is_neither_a_boolean_nor_a_fraction() {
    check(&json!({"port": 80}), &[]);
    check(&json!({"port": "http"}), &[]);
    for value in [json!(true), json!(1.5), json!([])] {
        let manifest = manifest(&json!({"port": value}));
        let faults = judge().faults(&manifest);
        assert!(faults.iter().all(|it| it.starts_with("spec.port: ")));
        assert!(!faults.is_empty());
    }
    check(&json!({"port": 0}), &["spec.port: a port is not zero"]);
}

#[test]
fn formats_bind() {
    check(&json!({"int32": i32::MAX, "int64": i64::MAX}), &[]);
    check(
        &json!({"int32": i64::from(i32::MAX) + 1}),
        &["spec.int32: 2147483648 is greater than the maximum of 2147483647"],
    );
    check(
        &json!({"int64": u64::MAX}),
        &["spec.int64: 18446744073709551615 is greater than the maximum of 9223372036854775807"],
    );
    check(
        &json!({"bytes": "YQ==", "time": "2026-01-02T03:04:05Z", "v4": "10.0.0.1", "v6": "::1"}),
        &[],
    );
    check(
        &json!({"bytes": "YQ=", "time": "2026-01-02", "v4": "10.0.0", "v6": "1"}),
        &[
            r#"spec.bytes: "YQ=" is not a "byte""#,
            r#"spec.time: "2026-01-02" is not a "date-time""#,
            r#"spec.v4: "10.0.0" is not a "ipv4""#,
            r#"spec.v6: "1" is not a "ipv6""#,
        ],
    );
}

#[test]
fn limits_may_exclude_themselves() {
    check(&json!({"above": 2}), &[]);
    check(
        &json!({"above": 1}),
        &["spec.above: 1 is less than or equal to the minimum of 1"],
    );
}

#[test]
fn unknown_fields_stand_only_where_the_schema_keeps_them() {
    check(
        &json!({"kept": {"any": {"thing": [1]}}, "any": {"a": [{}]}}),
        &[],
    );
    check(
        &json!({"empty": {"a": 1}}),
        &["spec.empty.a: unknown field"],
    );
    check(
        &json!({"filled": {"list": [{"word": "default", "world": 1}]}}),
        &["spec.filled.list[0].world: unknown field"],
    );
}

#[test]
fn rules_see_fields_under_names_that_cel_allows() {
    check(
        &json!({"escaped": {"namespace": "a", "x-b.c/d": "a", "e__f": "a"}}),
        &[],
    );
    check(
        &json!({"escaped": {"namespace": "a", "x-b.c/d": "a", "e__f": "b"}}),
        &["spec.escaped: all are the same"],
    );
    // The keys of a map are no names.
    check(&json!({"map": {"x-b": "x-b"}}), &[]);
    check(
        &json!({"map": {"x-b": "x_b"}}),
        &["spec.map: keys are like their values"],
    );
    check(
        &json!({"map": {"x-b": ""}}),
        &[
            r#"spec.map.x-b: "" is shorter than 1 character"#,
            "spec.map: keys are like their values",
        ],
    );
}

#[test]
fn a_message_may_be_computed_and_its_path_may_lead_below() {
    check(
        &json!({"message": {"max": 1, "value": 2}}),
        &["spec.message.value: 2 is more than 1"],
    );
    check(
        &json!({"message": {"max": 1, "value": 3}}),
        &["spec.message.value: too much"],
    );
}

#[test]
fn rules_on_changes_wait_for_a_change() {
    check(&json!({"constant": "a"}), &[]);
    check(&json!({"once": "a"}), &[]);
    check(&json!({"once": "b"}), &["spec.once: begins with a"]);
}

#[test]
fn a_rule_that_fails_is_a_fault() {
    check(
        &json!({"broken": {}}),
        &["spec.broken: No such key: missing evaluating rule: nothing is missing"],
    );
    // Unless the rest of it decides.
    check(&json!({"decided": {}}), &[]);
}

#[test]
fn only_served_versions_count() {
    let mut manifest = manifest(&json!({}));
    manifest["apiVersion"] = json!("example.com/v0");
    assert_eq!(
        judge().faults(&manifest),
        ["`v0` of kind `Thing` is not served"]
    );
}

#[test]
fn a_kind_without_namespaces_is_in_none() {
    let mut manifest = manifest(&json!({}));
    manifest["metadata"]["namespace"] = json!("default");
    assert_eq!(
        judge().faults(&manifest),
        ["metadata.namespace: not allowed on a kind without namespaces"]
    );
}

#[test]
#[should_panic(expected = "schema has Some(\"x-kubernetes-embedded-resource\")")]
fn a_schema_that_says_something_new_is_not_passed_over() {
    let schema = json!({"type": "object", "x-kubernetes-embedded-resource": true});
    let version = json!({"name": "v1", "served": true, "schema": {"openAPIV3Schema": schema}});
    let spec = json!({
        "group": "example.com", "names": {"kind": "New"}, "scope": "Cluster", "versions": [version],
    });
    Judge::by([json!({"spec": spec})]);
}

#[track_caller]
fn check(spec: &Value, faults: &[&str]) {
    assert_eq!(judge().faults(&manifest(spec)), faults);
}

fn manifest(spec: &Value) -> Value {
    let metadata = json!({"name": "a"});
    json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": metadata, "spec": spec})
}

fn judge() -> Judge {
    Judge::by(crd::documents(THINGS))
}

const THINGS: &str = r#"
spec:
  group: example.com
  names: {kind: Thing}
  scope: Cluster
  versions:
  - {name: v0, served: false, schema: {openAPIV3Schema: {type: object}}}
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          apiVersion: {type: string}
          kind: {type: string}
          metadata: {type: object}
          spec:
            type: object
            properties:
              above: {type: integer, minimum: 1, exclusiveMinimum: true}
              any: {x-kubernetes-preserve-unknown-fields: true}
              broken:
                type: object
                x-kubernetes-validations: [{rule: self.missing == 1, message: nothing is missing}]
              bytes: {type: string, format: byte}
              constant:
                type: string
                x-kubernetes-validations: [{rule: self == oldSelf, message: never changes}]
              decided:
                type: object
                x-kubernetes-validations: [{rule: self.missing == 1 || size(self) == 0}]
              empty: {type: object}
              escaped:
                type: object
                properties:
                  namespace: {type: string}
                  x-b.c/d: {type: string}
                  e__f: {type: string}
                x-kubernetes-validations:
                - rule: |
                    self.__namespace__ == self.x__dash__b__dot__c__slash__d &&
                    self.__namespace__ == self.e__underscores__f
                  message: all are the same
              filled:
                type: object
                properties:
                  word: {type: string, default: default}
                  list:
                    type: array
                    items: {type: object, properties: {word: {type: string, default: default}}}
                  map:
                    type: object
                    additionalProperties:
                      type: object
                      properties: {word: {type: string, default: default}}
                x-kubernetes-validations:
                - rule: >-
                    self.word == 'default' &&
                    (!has(self.list) || self.list.all(it, it.word == 'default')) &&
                    (!has(self.map) || self.map.all(key, self.map[key].word == 'default'))
                  message: words are filled in
              int32: {type: integer, format: int32}
              int64: {type: integer, format: int64}
              kept: {type: object, x-kubernetes-preserve-unknown-fields: true}
              map:
                type: object
                additionalProperties: {type: string, minLength: 1}
                x-kubernetes-validations:
                - {rule: 'self.all(key, self[key] == key)', message: keys are like their values}
              message:
                type: object
                properties:
                  max: {type: integer}
                  value: {type: integer}
                x-kubernetes-validations:
                - rule: self.value <= self.max
                  fieldPath: .value
                  message: too much
                  messageExpression: >-
                    self.value == 3 ? '' : string(self.value) + ' is more than ' + string(self.max)
              nullable: {type: string, nullable: true, enum: [a, b]}
              once:
                type: string
                x-kubernetes-validations:
                - rule: oldSelf.hasValue() || self.startsWith('a')
                  optionalOldSelf: true
                  message: begins with a
              port:
                anyOf: [{type: integer}, {type: string}]
                x-kubernetes-int-or-string: true
                x-kubernetes-validations:
                - {rule: 'self != 0', message: a port is not zero}
              required:
                type: object
                required: [a]
                properties: {a: {type: string}}
              time: {type: string, format: date-time}
              v4: {type: string, format: ipv4}
              v6: {type: string, format: ipv6}
"#;
