//! What users apply: gateways, routes and their limits, as Envoy Gateway's own end-to-end tests have
//! them.

/// A gateway, its listeners each with a port.
fn gateway(name: &str, listeners: &[(&str, u16)]) -> String {
    let listener =
        |(name, port): &(&str, u16)| format!("{{name: {name}, protocol: HTTP, port: {port}}}");
    let listeners: Vec<_> = listeners.iter().map(listener).collect();
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}, namespace: default}}
spec:
  gatewayClassName: eg
  listeners: [{}]
",
        listeners.join(", ")
    )
}

/// A route for these hosts and everything below a path.
fn route(name: &str, parents: &str, hosts: &str, path: &str) -> String {
    format!(
        "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: default}}
spec:
  parentRefs: [{parents}]
  hostnames: [{hosts}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
    backendRefs: [{{group: gateway.envoyproxy.io, kind: Backend, name: backend}}]
"
    )
}

/// Limits for some targets; `more` stands beside `rateLimit`.
fn policy(name: &str, kind: &str, targets: &[&str], rules: &str, more: &str) -> String {
    let target =
        |name: &&str| format!("{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}}}");
    let targets: Vec<_> = targets.iter().map(target).collect();
    format!(
        "---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: {name}, namespace: default}}
spec:
  targetRefs: [{}]
  {more}
  rateLimit:
    global:
      rules:
{rules}
",
        targets.join(", ")
    )
}

/// A limit for what the selectors choose.
fn rule(selectors: &str, requests: u32, more: &str) -> String {
    format!(
        "      - clientSelectors: [{selectors}]
        limit: {{requests: {requests}, unit: Hour}}
        {more}
"
    )
}

/// Everything, as one stream of YAML.
pub(crate) fn stream() -> String {
    let mut stream = HEAD.to_owned();
    stream += &gateway("eg", &[("http", 80), ("second", 8080), ("quiet", 8081)]);
    stream += &gateway("two", &[("http", 80)]);
    stream += &gateway("shared", &[("http", 80)]);
    stream += &gateway("merged", &[("http", 80)]);

    let own_host =
        |name: &str, parents: &str| route(name, parents, &format!("{name}.example.com"), "/");
    // Routes with a host and a policy of their own, on one listener.
    for (name, rules) in [
        (
            "outside",
            rule("{sourceCIDR: {value: 192.0.2.0/24, invert: true}}", 2, ""),
        ),
        (
            "exempt",
            rule("{sourceCIDR: {value: 0.0.0.0/0, invert: true}}", 2, ""),
        ),
        ("headers", rule(&format!("{{headers: [{BOTH}]}}"), 3, "")),
        (
            "methods",
            rule("{methods: [{value: POST}, {value: DELETE}]}", 3, ""),
        ),
        ("path", rule("{path: {value: /get/specific-path}}", 3, "")),
        (
            "users",
            rule(&format!("{{headers: [{USER}, {NO_ADMIN}]}}"), 3, ""),
        ),
        (
            "jwt",
            rule("{headers: [{name: x-claim-name, value: John Doe}]}", 3, ""),
        ),
        (
            "both",
            rule(&format!("{{headers: [{BOTH}], sourceCIDR: {EACH}}}"), 3, ""),
        ),
        ("usage", rule("", 21, USAGE)),
        ("usage-told", rule("", 100, USAGE)),
        (
            "shadow",
            rule("{methods: [{value: GET}]}", 3, "shadowMode: true"),
        ),
        (
            "query",
            rule("{queryParams: [{name: user, value: alice}]}", 3, ""),
        ),
        // Two limits in one domain, and two in a domain each.
        ("twice", rule(&of_user("one"), 3, "") + &rule("", 5, "")),
        ("apart", rule("", 9, "shared: true") + &rule("", 8, "")),
        (
            "told",
            rule("", 5, "").replace(
                "unit: Hour",
                "unit: Hour, fromMetadata: {namespace: tests, key: two}",
            ),
        ),
        (
            "untold",
            rule("", 5, "").replace(
                "unit: Hour",
                "unit: Hour, fromMetadata: {namespace: tests, key: none}",
            ),
        ),
    ] {
        stream += &own_host(name, "{name: eg, sectionName: http}");
        stream += &policy(name, "HTTPRoute", &[name], &rules, "");
    }
    stream += &own_host("quiet", "{name: eg, sectionName: quiet}");
    stream += &policy(
        "quiet",
        "HTTPRoute",
        &["quiet"],
        &rule(&format!("{{headers: [{BOTH}]}}"), 3, ""),
        "",
    );

    let each = rule(&format!("{{sourceCIDR: {EACH}}}"), 3, "");
    // Two gateways, and two hosts on one of them.
    let parents = "{name: eg, sectionName: http}, {name: two}";
    stream += &route("cidr", parents, "cidr.example.com, other.example.com", "/");
    stream += &policy("cidr", "HTTPRoute", &["cidr"], &each, "");
    let listeners = "{name: eg, sectionName: http}, {name: eg, sectionName: second}";
    stream += &own_host("listeners", listeners);
    stream += &policy("listeners", "HTTPRoute", &["listeners"], &each, "");

    // Two routes that share: by a policy of their own, by that of a gateway, by both merged.
    for (name, gateway) in [
        ("cidr", "eg"),
        ("cost", "eg"),
        ("any", "shared"),
        ("merged", "merged"),
    ] {
        for path in ["foo", "bar"] {
            let parent = format!("{{name: {gateway}, sectionName: http}}");
            let host = format!("shared-{name}.example.com");
            stream += &route(
                &format!("{name}-{path}"),
                &parent,
                &host,
                &format!("/{path}"),
            );
        }
    }
    let shared = |selectors: &str, requests| rule(selectors, requests, "shared: true");
    let rules = shared(&format!("{{sourceCIDR: {EACH}}}"), 3);
    stream += &policy(
        "shared-cidr",
        "HTTPRoute",
        &["cidr-foo", "cidr-bar"],
        &rules,
        "",
    );
    let rules = rule(
        &of_user("one"),
        4,
        "shared: true\n        cost: {request: {from: Number, number: 2}}",
    );
    stream += &policy(
        "shared-cost",
        "HTTPRoute",
        &["cost-foo", "cost-bar"],
        &rules,
        "",
    );
    stream += &policy(
        "shared-any",
        "Gateway",
        &["shared"],
        &shared(&of_user("one"), 3),
        "",
    );
    let rules = shared(&of_user("one"), 3) + &rule(&of_user("two"), 3, "");
    let routes = ["merged-foo", "merged-bar"];
    stream += &policy(
        "merged-routes",
        "HTTPRoute",
        &routes,
        &rules,
        "mergeType: StrategicMerge",
    );
    let rules = shared("", 100) + &shared(&of_user("three"), 3) + &rule(&of_user("four"), 3, "");
    stream += &policy("merged-gateway", "Gateway", &["merged"], &rules, "");
    stream
}

fn of_user(name: &str) -> String {
    format!("{{headers: [{{name: x-user-id, value: {name}}}]}}")
}

const HEAD: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: backend, namespace: default}
spec:
  endpoints: [{ip: {address: 127.0.0.1, port: 3000}}]
";

const BOTH: &str = "{name: x-user-id, value: one}, {name: x-user-org, value: acme}";
const USER: &str = "{name: x-user-name, type: Distinct}";
const NO_ADMIN: &str = "{name: x-user-name, value: admin, invert: true}";
const EACH: &str = "{value: 0.0.0.0/0, type: Distinct}";
const USAGE: &str = "cost:
          request: {from: Number, number: 0}
          response: {from: Metadata, metadata: {namespace: io.envoy.ai_gateway, key: llm_total_token}}";
