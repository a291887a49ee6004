//! The rate-limit actions of a route: which descriptors Envoy sends for a request.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::envoy::translate::identity;
use crate::envoy::translate::items;
use crate::envoy::translate::text;

/// `rate_limits` of the route `name` for each domain: the listener's, and one a policy with
/// shared rules.
pub(crate) fn by_domain(
    policies: &[&Value],
    domain: &str,
    name: &str,
) -> BTreeMap<String, Vec<Value>> {
    let mut by_domain: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    // Rules are numbered among the shared and the unshared ones of a route.
    let mut n_of = [0, 0];
    for policy in policies {
        let rules = items(&policy["spec"]["rateLimit"]["global"]["rules"]);
        for (index_in_policy, rule) in rules.enumerate() {
            let is_shared = rule["shared"] == true;
            let index = n_of[usize::from(is_shared)];
            n_of[usize::from(is_shared)] += 1;
            let (domain, first) = if is_shared {
                let policy = identity(policy);
                (policy.clone(), format!("{policy}/rule/{index_in_policy}"))
            } else {
                (domain.to_owned(), name.to_owned())
            };
            let rate_limits = by_domain.entry(domain).or_default();
            rate_limits.extend(rate_limits_of(rule, &first, index));
        }
    }
    by_domain
}

/// One entry, and a second one for what the response says was used.
fn rate_limits_of(rule: &Value, first: &str, index: usize) -> Vec<Value> {
    let mut actions = vec![generic_key(first)];
    actions.extend(selectors(rule, index));
    let mut at_request = json!({"actions": actions});
    if let Some(hits) = hits_addend(&rule["cost"]["request"]) {
        at_request["hits_addend"] = hits;
    }
    let mut rate_limits = vec![at_request];
    if let Some(hits) = hits_addend(&rule["cost"]["response"]) {
        rate_limits.push(json!({
            "actions": actions,
            "hits_addend": hits,
            "apply_on_stream_done": true,
        }));
    }
    rate_limits
}

fn selectors(rule: &Value, index: usize) -> Vec<Value> {
    let selectors: Vec<_> = items(&rule["clientSelectors"]).collect();
    let headers = selectors.iter().flat_map(|it| items(&it["headers"]));
    let mut actions: Vec<_> = headers
        .enumerate()
        .map(|(n, header)| header_action(header, &format!("rule-{index}-match-{n}")))
        .collect();
    for selector in &selectors {
        for unknown in ["methods", "path", "queryParams"] {
            assert!(
                selector[unknown].is_null(),
                "`{unknown}` is not translated here"
            );
        }
        if let Some(cidr) = selector["sourceCIDR"].as_object() {
            actions.extend(address_actions(&Value::Object(cidr.clone())));
        }
    }
    if actions.is_empty() {
        actions.push(generic_key(&format!("rule-{index}-match--1")));
    }
    actions
}

fn header_action(header: &Value, key: &str) -> Value {
    assert!(
        header["invert"] != true,
        "inverted headers are not translated here"
    );
    match header["type"].as_str() {
        Some("Distinct") => json!({
            "request_headers": {"header_name": header["name"], "descriptor_key": key},
        }),
        Some("Exact") | None => json!({
            "header_value_match": {
                "descriptor_key": key,
                "descriptor_value": key,
                "expect_match": true,
                "headers": [{
                    "name": header["name"],
                    "string_match": {"exact": header["value"]},
                }],
            },
        }),
        Some(other) => panic!("headers of type {other} are not translated here"),
    }
}

fn address_actions(cidr: &Value) -> Vec<Value> {
    assert!(
        cidr["invert"] != true,
        "inverted addresses are not translated here"
    );
    let range = text(&cidr["value"]);
    let (prefix, length) = range.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let action = |key: &str, value: &str| {
        json!({
            "remote_address_match": {
                "descriptor_key": key,
                "descriptor_value": value,
                "address_matcher": {
                    "ranges": [{"address_prefix": prefix, "prefix_len": length}],
                },
            },
        })
    };
    let mut actions = vec![action("masked_remote_address", range)];
    if cidr["type"] == "Distinct" {
        let address = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%";
        actions.push(action("remote_address", address));
    }
    actions
}

fn generic_key(name: &str) -> Value {
    json!({"generic_key": {"descriptor_key": name, "descriptor_value": name}})
}

fn hits_addend(cost: &Value) -> Option<Value> {
    match cost["from"].as_str()? {
        "Number" => Some(json!({"number": cost["number"]})),
        "Metadata" => {
            let metadata = &cost["metadata"];
            let (namespace, key) = (text(&metadata["namespace"]), text(&metadata["key"]));
            Some(json!({"format": format!("%DYNAMIC_METADATA({namespace}:{key})%")}))
        }
        other => panic!("costs from {other} are not translated here"),
    }
}
