//! `slidegate validate`.

use std::fs;
use std::process::Output;

use tempfile::TempDir;

use crate::support::in_project;
use crate::support::service::slidegate;

#[test]
fn what_is_valid_is_counted() {
    let dir = dir(&[
        (
            "a.yaml",
            "domain: a\ndescriptors:\n- {key: x, rate_limit: {unlimited: true}}\n",
        ),
        ("b.yaml", "domain: b\n---\ndomain: c\n"),
    ]);
    check(&dir, &[""], 0, "valid: 3 domains, 1 limit\n", "");
    check(&dir, &["a.yaml"], 0, "valid: 1 domain, 1 limit\n", "");
}

#[test]
fn every_fault_is_reported_with_file_line_and_path() {
    let dir = dir(&[
        (
            "a.yaml",
            "domain: a\ndescriptors:\n- {keys: x}\n- {key: y, value: 1.5}\n",
        ),
        ("b.yaml", "# again\ndomain: a\n"),
        ("c.yaml", "domain: [\n"),
    ]);
    check(
        &dir,
        &["", "absent.yaml"],
        1,
        "",
        "a.yaml:3: descriptors[0]: `key` is missing\n\
         a.yaml:3: descriptors[0].keys: unknown key `keys`: did you mean `key`?\n\
         a.yaml:4: descriptors[1].value: `1.5` is a number here: put it in quotes\n\
         absent.yaml: cannot be read: No such file or directory (os error 2)\n\
         b.yaml:2: domain: domain `a` stands in a.yaml:1 already\n\
         c.yaml:1: not YAML: unclosed bracket '['\n\
         slidegate: 6 faults\n",
    );
}

#[test]
fn platform_documents_are_told_by_their_kind() {
    let dir = dir(&[("mixed.yaml", "domain: a\n---\nkind: Nonsense\nname: n\n")]);
    let output = validate(&dir, &["mixed.yaml"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.starts_with("mixed.yaml:3: kind: "), "{errors}");
    assert!(errors.ends_with("slidegate: 1 fault\n"), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn manifests_are_told_by_their_api_version_and_may_stand_beside_rules() {
    let rules = "domain: a\ndescriptors:\n- {key: x, rate_limit: {unlimited: true}}\n";
    let mixed = format!("{rules}---\n{}", resources(""));
    let dir = dir(&[("mixed.yaml", &mixed)]);
    check(&dir, &[""], 0, "valid: 2 domains, 2 limits\n", "");
}

#[test]
fn what_envoy_gateway_drops_is_warned_of_and_valid() {
    let dir = dir(&[(
        "a.yaml",
        &resources("HTTPRoute, name: gone}, {group: g, kind: "),
    )]);
    check(
        &dir,
        &[""],
        0,
        "valid: 1 domain, 1 limit\n",
        "warning: a.yaml:12: BackendTrafficPolicy default/p: spec.targetRefs[0]: HTTPRoute `gone` is \
         not given: Envoy Gateway ignores the target\n",
    );
}

#[test]
fn what_envoy_gateway_refuses_is_a_fault_with_its_place() {
    let broken = resources("").replace(
        "[{limit",
        "[{clientSelectors: [{headers: [{name: a}]}], limit",
    );
    let dir = dir(&[("a.yaml", &broken)]);
    check(
        &dir,
        &[""],
        1,
        "",
        "a.yaml:12: BackendTrafficPolicy default/p: \
         spec.rateLimit.global.rules[0].clientSelectors[0].headers[0].value: is missing\n\
         slidegate: 1 fault\n",
    );
}

#[test]
fn local_limits_that_envoy_gateway_or_envoy_refuses_are_faults() {
    let rules = "[{limit: {requests: 1, unit: Minute}}, {limit: {requests: 0, unit: Second}}, \
                 {clientSelectors: [{sourceCIDR: {value: here}}], limit: {requests: 1, unit: Hour}}]";
    let local = resources("").replace("{global: {", "{local: {");
    let (before, after) = local.split_at(local.find("[{limit").unwrap());
    let rest = &after[after.find("]}").unwrap() + 1..];
    let dir = dir(&[("a.yaml", &format!("{before}{rules}{rest}"))]);
    let place = "a.yaml:12: BackendTrafficPolicy default/p: spec.rateLimit.local.rules";
    let expected = format!(
        "{place}[1]: a second limit without selectors: expected one at most\n\
         {place}[1].limit.requests: 0 is refused by Envoy in a local limit: expected at least 1\n\
         {place}[1].limit.unit: Second is no multiple of Minute, the unit of the limit without selectors\n\
         {place}[2].clientSelectors[0].sourceCIDR: `here` is no block of addresses: expected one such as \
         `10.0.0.0/8`\n\
         slidegate: 4 faults\n"
    );
    check(&dir, &[""], 1, "", &expected);
}

#[test]
fn what_decides_about_limits_in_policies_for_clients_is_warned_of_or_understood() {
    let policy = |spec: &str| {
        format!(
            "{}---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\n\
             metadata: {{name: c}}\nspec:\n  targetRef: {{group: gateway.networking.k8s.io, kind: Gateway, name: gw}}\n{spec}",
            resources("")
        )
    };
    let good = policy(
        "  headers: {disableRateLimitHeaders: true, enableEnvoyHeaders: true, requestID: Preserve,
            withUnderscoresAction: Allow, preserveXRequestID: true, xForwardedClientCert: {mode: Sanitize},
            host: {}, lateResponseHeaders: {remove: [x-a]},
            earlyRequestHeaders: {add: [{name: a, value: b}], addIfAbsent: [{name: a, value: b}],
                                  set: [{name: a, value: b}], remove: [x-a], removeOnMatch: [{type: Prefix, value: x-}]}}
  connection: {}
  grpc: {}
  healthCheck: {path: /}
  http1: {}
  http2: {}
  http3: {}
  scheme: Preserve
  tcpKeepalive: {}
  timeout: {}
  tls: {}
",
    );
    let dir = dir(&[
        ("good.yaml", &good),
        (
            "address.yaml",
            &policy("  clientIPDetection: {}\n  path: {}\n"),
        ),
        (
            "bad.yaml",
            &policy("  headers: {earlyRequestHeaders: {remov: [x-a]}}\n"),
        ),
    ]);
    check(&dir, &["good.yaml"], 0, "valid: 1 domain, 1 limit\n", "");
    check(
        &dir,
        &["address.yaml"],
        0,
        "valid: 1 domain, 1 limit\n",
        "warning: address.yaml:22: spec.clientIPDetection: is not looked at: it can decide which address a \
         client has\n\
         warning: address.yaml:23: spec.path: is not looked at: it can change a path before routes are \
         compared with it\n",
    );
    check(
        &dir,
        &["bad.yaml"],
        1,
        "",
        "bad.yaml:22: spec.headers.earlyRequestHeaders.remov: unknown field `remov`: did you mean `remove`?\n\
         slidegate: 1 fault\n",
    );
}

#[test]
fn what_a_platform_has_in_vain_is_warned_of_at_its_place() {
    let platform = "{kind: Gateway, name: gw, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
{kind: Backend, name: up, scheme: http, endpoints: [{host: a.b, port: 1}]}
---
{kind: ApiService, name: api}
---
{kind: ApiService, name: empty}
---
{kind: Route, name: rt, api_service: api, gateway: gw, path_prefix: /, backend_refs: [{backend: up}],
 rate_limit: {requests_per_unit: 1, unit: hour}}
---
kind: Policy
name: beaten
scope: global
type: rate-limit
spec: {requests_per_unit: 9, unit: hour}
---
{kind: Policy, name: alone, scope: service, api_service: empty, type: retry, spec: {num_retries: 1}}
---
{kind: Policy, name: kept, scope: service, api_service: api, type: retry, spec: {num_retries: 1}}
---
{kind: Plan, name: gold, rate_limit: {requests: 10, period: 1m}}
";
    let dir = dir(&[("a.yaml", platform)]);
    check(
        &dir,
        &[""],
        0,
        "valid: 2 domains, 2 limits\n",
        "warning: a.yaml:13: Policy/beaten: is in force nowhere: each route that it covers has another of \
         its type\n\
         warning: a.yaml:18: Policy/alone: is in force nowhere: it covers no active route\n\
         warning: a.yaml:22: Plan/gold: holds for nobody: no active route has `auth_mode: apikey`, which \
         names the consumers with a plan\n",
    );
}

#[test]
fn a_manifest_stands_in_one_place_only() {
    let dir = dir(&[("a.yaml", &resources("")), ("b.yaml", GATEWAY)]);
    check(
        &dir,
        &[""],
        1,
        "",
        "b.yaml:1: metadata.name: `Gateway default/gw` stands in a.yaml:1 already\n\
         slidegate: 1 fault\n",
    );
}

/// A gateway, a route and a policy for it, perhaps with more targets before the route.
fn resources(targets: &str) -> String {
    format!(
        "{GATEWAY}---
# the route
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: rt}}
spec: {{parentRefs: [{{name: gw}}], rules: [{{}}]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: p}}
spec: {{targetRefs: [{{group: g, kind: {targets}HTTPRoute, name: rt}}], rateLimit: {{global: {{rules: [{{limit: {{requests: 1, unit: Hour}}}}]}}}}}}
"
    )
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec: {gatewayClassName: eg, listeners: [{name: http, port: 80, protocol: HTTP}]}
";

#[test]
fn the_samples_of_this_project_are_valid() {
    for sample in ["config/demo", "config/imprun"] {
        let sample = in_project(sample).display().to_string();
        let output = slidegate(&["validate", &sample]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{sample}");
        assert!(said.starts_with("valid: "), "{said}");
        assert!(!said.contains(" 0 limits"), "{said}");
    }
}

#[track_caller]
fn check(dir: &TempDir, paths: &[&str], status: i32, output: &str, errors: &str) {
    let done = validate(dir, paths);
    assert_eq!(String::from_utf8(done.stderr).unwrap(), errors);
    assert_eq!(String::from_utf8(done.stdout).unwrap(), output);
    assert_eq!(done.status.code(), Some(status));
}

/// Validates paths of a directory, which is left out of the file names in what is reported.
fn validate(dir: &TempDir, paths: &[&str]) -> Output {
    let root = dir.path().display();
    let paths: Vec<String> = paths.iter().map(|path| format!("{root}/{path}")).collect();
    let mut arguments = vec!["validate"];
    arguments.extend(paths.iter().map(String::as_str));
    let mut output = slidegate(&arguments).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    output.stderr = errors.replace(&format!("{root}/"), "").into_bytes();
    output
}

/// A directory with these files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}
