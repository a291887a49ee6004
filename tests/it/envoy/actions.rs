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

/// One entry for each way to match, and as many for what the response says was used.
fn rate_limits_of(rule: &Value, first: &str, index: usize) -> Vec<Value> {
    let mut rate_limits = Vec::new();
    for selected in selectors(rule, index) {
        let actions = [vec![generic_key(first)], selected].concat();
        let mut at_request = json!({"actions": actions});
        if let Some(hits) = hits_addend(&rule["cost"]["request"]) {
            at_request["hits_addend"] = hits;
        }
        let mut entries = vec![at_request];
        if let Some(hits) = hits_addend(&rule["cost"]["response"]) {
            entries.push(json!({
                "actions": actions,
                "hits_addend": hits,
                "apply_on_stream_done": true,
            }));
        }
        if let Some(place) = rule["limit"]["fromMetadata"].as_object() {
            let key = json!({"key": place["namespace"], "path": [{"key": place["key"]}]});
            for entry in &mut entries {
                entry["limit"] = json!({"dynamic_metadata": {"metadata_key": key}});
            }
        }
        rate_limits.extend(entries);
    }
    rate_limits
}

/// The actions of all selectors of a rule together; of several methods one list each.
fn selectors(rule: &Value, index: usize) -> Vec<Vec<Value>> {
    let all = |field: &str| -> Vec<&Value> {
        let selectors = items(&rule["clientSelectors"]);
        selectors.flat_map(|it| items(&it[field])).collect()
    };
    let last = |field: &str| {
        let selectors = items(&rule["clientSelectors"]);
        selectors.filter_map(|it| it.get(field)).last()
    };
    let name = |what: &str| format!("rule-{index}-{what}");
    let headers = all("headers");
    let in_order = headers.iter().enumerate();
    let headers_first: Vec<_> = in_order
        .map(|(n, it)| header_action(it, &name(&format!("match-{n}"))))
        .collect();
    let mut others = Vec::new();
    if let Some(path) = last("path") {
        let matcher = path_match(text(&path["value"]), path["type"].as_str());
        others.push(value_match(&name("path"), ":path", &matcher, path));
    }
    if let Some(cidr) = last("sourceCIDR") {
        others.extend(address_actions(cidr));
    }
    let queries = all("queryParams").into_iter().enumerate();
    others.extend(queries.map(|(n, query)| {
        let key = name(&format!("match-{}", headers.len() + n));
        query_action(query, &key)
    }));
    let methods = all("methods");
    if headers_first.is_empty() && methods.is_empty() && others.is_empty() {
        return vec![vec![generic_key(&name("match--1"))]];
    }
    if methods.is_empty() {
        return vec![[headers_first, others].concat()];
    }
    let with = |method: &&Value| {
        let matcher = json!({"exact": method["value"]});
        let action = value_match(&name("method"), ":method", &matcher, method);
        [&headers_first[..], &[action], &others].concat()
    };
    methods.iter().map(with).collect()
}

fn header_action(header: &Value, key: &str) -> Value {
    if header["type"] == "Distinct" {
        return json!({
            "request_headers": {"header_name": header["name"], "descriptor_key": key},
        });
    }
    value_match(key, text(&header["name"]), &string_match(header), header)
}

fn query_action(query: &Value, key: &str) -> Value {
    if query["type"] == "Distinct" {
        return json!({"query_parameters": {
            "query_parameter_name": query["name"],
            "descriptor_key": key,
        }});
    }
    json!({"query_parameter_value_match": {
        "descriptor_key": key,
        "descriptor_value": key,
        "expect_match": query["invert"] != true,
        "query_parameters": [{"name": query["name"], "string_match": string_match(query)}],
    }})
}

fn value_match(key: &str, header: &str, matcher: &Value, selector: &Value) -> Value {
    json!({"header_value_match": {
        "descriptor_key": key,
        "descriptor_value": key,
        "expect_match": selector["invert"] != true,
        "headers": [{"name": header, "string_match": matcher}],
    }})
}

fn string_match(selector: &Value) -> Value {
    match selector["type"].as_str() {
        Some("Exact") | None => json!({"exact": selector["value"]}),
        Some("RegularExpression") => json!({"safe_regex": {"regex": selector["value"]}}),
        Some(other) => panic!("{other} is not translated here"),
    }
}

fn path_match(path: &str, kind: Option<&str>) -> Value {
    match kind {
        Some("Exact") => json!({"exact": path}),
        Some("RegularExpression") => json!({"safe_regex": {"regex": path}}),
        _ if path == "/" => json!({"prefix": path}),
        _ => json!({"safe_regex": {"regex": format!("^{path}(/.*|\\?.*|#.*|;.*|$)")}}),
    }
}

fn address_actions(cidr: &Value) -> Vec<Value> {
    let range = text(&cidr["value"]);
    let (prefix, length) = range.split_once('/').unwrap();
    let length: u32 = length.parse().unwrap();
    let is_inverted = cidr["invert"] == true;
    let action = |key: &str, value: &str| {
        json!({
            "remote_address_match": {
                "descriptor_key": key,
                "descriptor_value": value,
                "address_matcher": {
                    "ranges": [{"address_prefix": prefix, "prefix_len": length}],
                    "invert_match": is_inverted,
                },
            },
        })
    };
    let mark = if is_inverted { "invert:" } else { "" };
    let mut actions = vec![action("masked_remote_address", &format!("{mark}{range}"))];
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
