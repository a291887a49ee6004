//! What Envoy Gateway makes of manifests for Envoy, as far as the tests need it: written apart from
//! the library, so that the rules of one and the requests of the other are compared by Envoy.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;
use serde_json::json;

use crate::envoy::actions;

/// A listener of a `Gateway`, with the routes that hang on it.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    /// Its rate-limit domain: `namespace/gateway/listener`.
    pub(crate) domain: String,
    /// The domains of the shared rules on its routes: `namespace/policy`.
    pub(crate) shared_domains: BTreeSet<String>,
    /// As Envoy's route configuration has them.
    pub(crate) virtual_hosts: Vec<Value>,
    /// The name that clients ask for, where they speak TLS.
    pub(crate) secured: Option<String>,
    /// The headers that are removed from what clients send.
    pub(crate) removed_early: Vec<String>,
}

/// The listeners of all gateways among the manifests.
pub(crate) fn listeners(manifests: &[Value]) -> Vec<Listener> {
    let mut listeners = Vec::new();
    for gateway in of_kind(manifests, "Gateway") {
        for listener in items(&gateway["spec"]["listeners"]) {
            listeners.push(translate(manifests, gateway, listener));
        }
    }
    listeners
}

fn translate(manifests: &[Value], gateway: &Value, listener: &Value) -> Listener {
    let mut shared_domains = BTreeSet::new();
    let mut by_host: BTreeMap<String, Vec<(Precedence, Value)>> = BTreeMap::new();
    for http_route in of_kind(manifests, "HTTPRoute") {
        if !is_attached(http_route, gateway, listener) {
            continue;
        }
        let policies = policies(manifests, http_route, gateway, listener);
        for host in hosts(http_route, listener) {
            for (rule_index, rule) in items(&http_route["spec"]["rules"]).enumerate() {
                for (match_index, one) in items(&rule["matches"]).enumerate() {
                    let name = format!(
                        "httproute/{}/rule/{rule_index}/match/{match_index}/{}",
                        identity(http_route),
                        host.replace('.', "_"),
                    );
                    let domain = format!("{}/{}", identity(gateway), text(&listener["name"]));
                    let limits = actions::by_domain(&policies, &domain, &name);
                    let shared = limits.keys().filter(|it| **it != domain);
                    shared_domains.extend(shared.cloned());
                    let mut by_filter = per_route(&limits, &domain);
                    by_filter[JUDGE] = judged(manifests, http_route);
                    let route = json!({
                        "name": name,
                        "match": route_match(one),
                        "route": {"cluster": "backend"},
                        "typed_per_filter_config": by_filter,
                    });
                    let routes = by_host.entry(host.clone()).or_default();
                    routes.push((precedence(one), route));
                }
            }
        }
    }
    let virtual_host = |(host, mut routes): (String, Vec<(Precedence, Value)>)| {
        routes.sort_by_key(|(precedence, _)| std::cmp::Reverse(*precedence));
        let routes: Vec<_> = routes.into_iter().map(|(_, route)| route).collect();
        json!({"name": host, "domains": [host], "routes": routes})
    };
    let is_secured = listener["protocol"] == "HTTPS";
    let hostname = listener["hostname"].as_str().unwrap_or("any.example.com");
    Listener {
        domain: format!("{}/{}", identity(gateway), text(&listener["name"])),
        shared_domains,
        virtual_hosts: by_host.into_iter().map(virtual_host).collect(),
        secured: is_secured.then(|| hostname.to_owned()),
        removed_early: removed_early(manifests, gateway),
    }
}

/// The name of the filter that asks about keys.
pub(crate) const JUDGE: &str = "envoy.filters.http.ext_authz";

/// Switches the filter that asks about keys off, where no policy has it.
fn judged(manifests: &[Value], http_route: &Value) -> Value {
    let is_asked = of_kind(manifests, "SecurityPolicy").any(|policy| {
        let is_target = |target: &Value| target["name"] == http_route["metadata"]["name"];
        !policy["spec"]["extAuth"].is_null() && items(&policy["spec"]["targetRefs"]).any(is_target)
    });
    let kind = "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute";
    match is_asked {
        true => json!({"@type": kind, "check_settings": {}}),
        false => json!({"@type": kind, "disabled": true}),
    }
}

fn removed_early(manifests: &[Value], gateway: &Value) -> Vec<String> {
    let policies = of_kind(manifests, "ClientTrafficPolicy").filter(|policy| {
        items(&policy["spec"]["targetRefs"]).any(|it| it["name"] == gateway["metadata"]["name"])
    });
    let headers =
        policies.flat_map(|it| items(&it["spec"]["headers"]["earlyRequestHeaders"]["remove"]));
    headers.map(|it| text(it).to_owned()).collect()
}

/// The policies that hold for a route: its own, and the gateway's when it has none or merges it.
fn policies<'a>(
    manifests: &'a [Value],
    http_route: &Value,
    gateway: &Value,
    listener: &Value,
) -> Vec<&'a Value> {
    let all = || of_kind(manifests, "BackendTrafficPolicy");
    let targets = |policy: &Value, kind: &str, object: &Value| {
        items(&policy["spec"]["targetRefs"]).any(|target| {
            let section = &target["sectionName"];
            target["kind"] == kind
                && target["name"] == object["metadata"]["name"]
                && namespace(policy) == namespace(object)
                && (section.is_null() || *section == listener["name"])
        })
    };
    let own: Vec<_> = all()
        .filter(|it| targets(it, "HTTPRoute", http_route))
        .collect();
    if !own.is_empty() && own.iter().all(|it| it["spec"]["mergeType"].is_null()) {
        return own;
    }
    let of_gateway = all().filter(|it| targets(it, "Gateway", gateway));
    own.into_iter().chain(of_gateway).collect()
}

fn is_attached(http_route: &Value, gateway: &Value, listener: &Value) -> bool {
    items(&http_route["spec"]["parentRefs"]).any(|parent| {
        let section = &parent["sectionName"];
        let namespace_of_parent = parent["namespace"]
            .as_str()
            .unwrap_or(namespace(http_route));
        parent["name"] == gateway["metadata"]["name"]
            && namespace_of_parent == namespace(gateway)
            && (section.is_null() || *section == listener["name"])
    })
}

/// The hostnames of a route that its listener serves.
fn hosts(http_route: &Value, listener: &Value) -> Vec<String> {
    let of_listener = listener["hostname"].as_str().unwrap_or("*");
    let is_served = |host: &String| match of_listener.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        None => host == of_listener,
    };
    let of_route: Vec<_> = items(&http_route["spec"]["hostnames"])
        .map(|it| text(it).to_owned())
        .collect();
    if of_route.is_empty() {
        return vec![of_listener.to_owned()];
    }
    of_route.into_iter().filter(is_served).collect()
}

/// What Gateway API puts first: exact paths, then patterns, then long prefixes; then methods.
type Precedence = (u8, usize, bool, usize);

fn precedence(one: &Value) -> Precedence {
    let path = &one["path"];
    let class = match path["type"].as_str() {
        Some("Exact") => 2,
        Some("RegularExpression") => 1,
        _ => 0,
    };
    let length = path["value"].as_str().map_or(0, str::len);
    let has_method = !one["method"].is_null();
    (class, length, has_method, items(&one["headers"]).count())
}

fn route_match(one: &Value) -> Value {
    let path = one["path"]["value"].as_str().unwrap_or("/");
    let mut route_match = match one["path"]["type"].as_str() {
        Some("Exact") => json!({"path": path}),
        Some("RegularExpression") => json!({"safe_regex": {"regex": path}}),
        _ if path == "/" => json!({"prefix": path}),
        _ => json!({"path_separated_prefix": path}),
    };
    let mut headers: Vec<_> = items(&one["headers"]).map(named_match).collect();
    if let Some(method) = one["method"].as_str() {
        headers.push(json!({"name": ":method", "string_match": {"exact": method}}));
    }
    route_match["headers"] = json!(headers);
    let queries: Vec<_> = items(&one["queryParams"]).map(named_match).collect();
    route_match["query_parameters"] = json!(queries);
    route_match
}

fn named_match(one: &Value) -> Value {
    let string_match = match one["type"].as_str() {
        Some("RegularExpression") => json!({"safe_regex": {"regex": one["value"]}}),
        _ => json!({"exact": one["value"]}),
    };
    json!({"name": one["name"], "string_match": string_match})
}

fn per_route(limits: &BTreeMap<String, Vec<Value>>, domain: &str) -> Value {
    let mut by_filter = json!({});
    for (of_limits, rate_limits) in limits {
        let mut filter = "envoy.filters.http.ratelimit".to_owned();
        if of_limits != domain {
            filter = format!("{filter}/{of_limits}");
        }
        by_filter[filter] = json!({
            "@type":
                "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
            "domain": of_limits,
            "rate_limits": rate_limits,
        });
    }
    by_filter
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    manifests.iter().filter(move |it| it["kind"] == kind)
}

/// `namespace/name`.
pub(crate) fn identity(object: &Value) -> String {
    format!(
        "{}/{}",
        namespace(object),
        text(&object["metadata"]["name"])
    )
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default")
}

/// The items of a list; nothing where there is none.
pub(crate) fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string is missing: {value}"))
}
