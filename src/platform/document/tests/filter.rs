//! How policies of the types `header-modifier`, `url-rewrite` and `request-redirect` are read, and
//! what they must agree about with routes.

use crate::platform::PolicySpec;
use crate::platform::document::tests::check;
use crate::platform::document::tests::good;
use crate::platform::filter::PathRewrite;
use crate::platform::filter::RequestRedirect;
use crate::platform::filter::UrlRewrite;

#[test]
fn headers_are_a_mapping_or_a_list() {
    let mapping = good(&policy(
        "header-modifier",
        "add: {x-a: 1, x-b: 'on'}, set: {x-c: c}, remove: [x-d]",
    ));
    let list = good(&policy(
        "header-modifier",
        "add: [{name: x-a, value: 1}, {name: x-b, value: on}], set: [{name: x-c, value: c}], remove: [x-d]",
    ));
    assert_eq!(mapping.policies[0].spec, list.policies[0].spec);
    let PolicySpec::HeaderModifier(modifier) = &mapping.policies[0].spec else {
        panic!("{:?}", mapping.policies);
    };
    assert_eq!(
        (
            modifier.add.len(),
            modifier.set.len(),
            modifier.remove.len()
        ),
        (2, 1, 1)
    );
    assert_eq!(modifier.add[1].value, "on");
}

#[test]
fn headers_are_changed_once_and_are_not_the_host() {
    bad(
        "header-modifier",
        "set: {x-a: 1, X-A: 2}, add: [{name: 'x y', value: ''}, {name: x-a, valu: 1}], remove: [x-a, Host]",
        &[
            "spec.add[0].name: `x y` is not the name of a header or query parameter",
            "spec.add[0].value: `` is not a value of 1 to 4096 characters",
            "spec.add[1]: `value` is missing",
            "spec.add[1].valu: unknown key `valu`: did you mean `value`?",
            "spec.set.X-A: header `X-A` stands in this policy twice",
            "spec.remove[0]: header `x-a` stands in this policy twice",
            "spec.remove[1]: the host is for a policy of type url-rewrite, with `hostname`",
        ],
    );
    bad(
        "header-modifier",
        "",
        &["spec: expected at least one of add, set and remove"],
    );
    let many: Vec<String> = (0..17).map(|n| format!("x-{n}")).collect();
    bad(
        "header-modifier",
        &format!("remove: [{}]", many.join(", ")),
        &[
            "spec.remove: expected at most 16 headers, found 17: change fewer, and let the backend see to the others",
        ],
    );
}

#[test]
fn a_rewrite_has_another_host_or_path() {
    let platform = good(&policy(
        "url-rewrite",
        "hostname: up.example.com, path: {type: ReplacePrefixMatch, value: /v2}",
    ));
    let expected = UrlRewrite {
        hostname: Some("up.example.com".to_owned()),
        path: Some(PathRewrite::Prefix("/v2".to_owned())),
    };
    assert_eq!(platform.policies[0].spec, PolicySpec::UrlRewrite(expected));
    bad(
        "url-rewrite",
        "",
        &["spec: expected `hostname`, `path` or both"],
    );
    bad(
        "url-rewrite",
        "hostname: '*.a.b', path: {type: ReplacePrefix, value: v2}",
        &[
            "spec.hostname: `*.a.b` is not a host name without a wildcard",
            "spec.path.type: unknown value `ReplacePrefix`: did you mean `ReplacePrefixMatch`?",
            "spec.path.value: `v2` is not a path: it must begin with `/`",
        ],
    );
}

#[test]
fn a_redirect_takes_the_place_of_backends() {
    let platform = good(&format!(
        "{}\n---\n{OLD}",
        of_old("request-redirect", "scheme: https, status_code: 301")
    ));
    let expected = RequestRedirect {
        scheme: Some("https"),
        hostname: None,
        port: None,
        status_code: Some(301),
    };
    assert_eq!(
        platform.policies[0].spec,
        PolicySpec::RequestRedirect(expected)
    );
    assert!(platform.routes[1].backends.is_empty());
    check(
        OLD,
        &["t.yaml:1: `backend_refs` is missing, and no request-redirect is in force"],
    );
    bad(
        "request-redirect",
        "",
        &["spec: expected at least one of scheme, hostname and port"],
    );
    bad(
        "request-redirect",
        "scheme: ftp, port: 0, status_code: 404",
        &[
            "spec.scheme: unknown value `ftp`: expected http or https",
            "spec.port: expected a whole number from 1 to 65535, found `0`",
            "spec.status_code: unknown value `404`: expected 301, 302, 303, 307 or 308",
        ],
    );
}

#[test]
fn a_redirect_excludes_backends_and_rewrites_and_names_both() {
    check(
        &policy("request-redirect", "port: 8443"),
        &[
            "base.yaml:17: route `base` has `backend_refs`, but the request-redirect `p1` is in force for it: expected one of them",
        ],
    );
    let rewrite = "{kind: Policy, name: p2, scope: service, api_service: api, type: url-rewrite, spec: {hostname: a.b}}";
    check(
        &format!(
            "{}\n---\n{OLD}\n---\n{rewrite}",
            of_old("request-redirect", "port: 8443")
        ),
        &[
            "t.yaml:3: the request-redirect `p1` and the url-rewrite `p2` are both in force for route `old`: expected one of them",
        ],
    );
}

#[test]
fn only_a_prefix_is_replaced_as_one() {
    let exact = "{kind: Route, name: old, api_service: api, gateway: gw, path_exact: /old, backend_refs: [{backend: up}]}";
    let rewrite = of_old(
        "url-rewrite",
        "path: {type: ReplacePrefixMatch, value: /v2}",
    );
    check(
        &format!("{exact}\n---\n{rewrite}"),
        &[
            "t.yaml:1: the url-rewrite `p1` replaces a prefix, but route `old` has no `path_prefix`: expected type ReplaceFullPath",
        ],
    );
}

/// A route that leads nowhere.
const OLD: &str = "{kind: Route, name: old, api_service: api, gateway: gw, path_prefix: /old}";

fn policy(kind: &str, spec: &str) -> String {
    format!("{{kind: Policy, name: p1, scope: global, type: {kind}, spec: {{{spec}}}}}")
}

fn of_old(kind: &str, spec: &str) -> String {
    format!("{{kind: Policy, name: p1, scope: route, route: old, type: {kind}, spec: {{{spec}}}}}")
}

#[track_caller]
fn bad(kind: &str, spec: &str, expected: &[&str]) {
    let expected: Vec<String> = expected
        .iter()
        .map(|it| format!("t.yaml:1: {it}"))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&policy(kind, spec), &expected);
}
