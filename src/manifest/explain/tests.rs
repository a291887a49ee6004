//! What the recordings do not show: which of several matches is met, and what is not sent.

mod headers;

use std::sync::Arc;

use crate::manifest::explain::Answer;
use crate::manifest::explain::call::Hits;
use crate::manifest::explain::explain;
use crate::manifest::explain::request::Request;
use crate::manifest::read;
use crate::manifest::rules;
use crate::rule::tree::RuleSet;

#[test]
fn exact_paths_come_before_expressions_and_those_before_prefixes() {
    let rules = "[{matches: [{path: {value: /a/b}}]}, \
                 {matches: [{path: {type: Exact, value: /a/b}}]}, \
                 {matches: [{path: {type: RegularExpression, value: '/a/[b-z]+'}}]}, \
                 {matches: [{path: {value: /a}}, {path: {value: /a/b/c}}]}]";
    met(rules, "GET", "/a/b?q=1", &[], Some((1, 0)));
    met(rules, "GET", "/a/x", &[], Some((2, 0)));
    met(rules, "GET", "/a/b/c", &[], Some((3, 1)));
    met(rules, "GET", "/a/b/d", &[], Some((0, 0)));
    met(rules, "GET", "/a", &[], Some((3, 0)));
    met(rules, "GET", "/ab", &[], None);
}

#[test]
fn headers_with_the_method_come_before_query_parameters_and_the_name_is_last() {
    let header = "headers: [{name: x-v, value: '1'}]";
    let param = "queryParams: [{name: q, value: '1'}]";
    let rules = format!(
        "[{{matches: [{{}}]}}, {{matches: [{{}}]}}, {{matches: [{{{param}}}]}}, \
         {{matches: [{{{header}}}]}}, {{matches: [{{method: POST, {header}}}]}}]"
    );
    let sent = [("X-V", "1")];
    met(&rules, "POST", "/?q=1", &sent, Some((4, 0)));
    met(&rules, "GET", "/?q=1", &sent, Some((3, 0)));
    met(&rules, "GET", "/?q=1", &[("x-v", "2")], Some((2, 0)));
    met(&rules, "GET", "/?q=2", &[], Some((0, 0)));
}

#[test]
fn a_method_counts_as_one_header_that_is_compared_whole() {
    let two = "headers: [{name: x-v, value: '1'}, {name: x-w, value: '1'}]";
    let one = "headers: [{name: x-v, value: '1'}]";
    let loose = "headers: [{name: x-v, type: RegularExpression, value: '1'}]";
    let sent = [("x-v", "1"), ("x-w", "1")];
    let check = |a: &str, b: &str, expected: usize| {
        let rules = format!("[{{matches: [{{{a}}}]}}, {{matches: [{{{b}}}]}}]");
        met(&rules, "POST", "/", &sent, Some((expected, 0)));
    };
    check("method: POST", two, 1);
    check("method: POST", one, 0);
    check(one, "method: POST", 0);
    check(loose, "method: POST", 1);
    check(loose, one, 1);
    check("method: POST", &format!("method: POST, {one}"), 1);
}

#[test]
fn of_equal_matches_the_first_name_is_met_as_text() {
    let rules = ["{matches: [{}]}"; 11].join(", ");
    met(&format!("[{rules}]"), "GET", "/", &[], Some((0, 0)));
    let with_other = format!("[{{matches: [{{path: {{value: /x}}}}]}}, {rules}]");
    // `rule/1`, `rule/10`, `rule/11`, `rule/2`.
    met(&with_other, "GET", "/", &[], Some((1, 0)));
    let paths = ["{matches: [{path: {value: /x}}]}"; 2].join(", ");
    let late = ["{matches: [{}]}"; 9].join(", ");
    met(
        &format!("[{paths}, {late}]"),
        "GET",
        "/",
        &[],
        Some((10, 0)),
    );
}

#[test]
fn a_prefix_ends_where_a_part_of_the_path_does() {
    for prefix in ["/a/", "/a"] {
        let rules = format!("[{{matches: [{{path: {{value: {prefix}}}}}]}}]");
        met(&rules, "GET", "/a", &[], Some((0, 0)));
        met(&rules, "GET", "/a/", &[], Some((0, 0)));
        met(&rules, "GET", "/ab", &[], None);
    }
}

#[test]
fn the_narrowest_host_is_chosen_before_the_path_is_looked_at() {
    let hosts = [
        ("wide", "'*.b.c'", "/"),
        ("exact", "a.b.c", "/only"),
        ("deep", "'*.x.b.c'", "/"),
    ];
    let routes = hosts.map(|(name, host, path)| {
        ROUTE
            .replace("name: rt", &format!("name: {name}"))
            .replace(
                "RULES",
                &format!("[{{matches: [{{path: {{value: {path}}}}}]}}]"),
            )
            .replace("rules:", &format!("hostnames: [{host}], rules:"))
    });
    let text = format!("{GATEWAY}---\n{}", routes.join("---\n"));
    let route = |host: &str| {
        let host = host.to_owned();
        let answers = answers(&text, &Request { host, ..get("/") });
        answers[0].met.as_ref().map(|met| met.route.clone())
    };
    assert_eq!(
        route("z.b.c:8080").as_deref(),
        Some("HTTPRoute default/wide")
    );
    assert_eq!(route("Q.X.B.C").as_deref(), Some("HTTPRoute default/deep"));
    assert_eq!(route("a.b.c"), None);
    assert_eq!(route("b.c"), None);
}

#[test]
fn each_port_has_an_answer_of_its_own() {
    let text = with_rules("[{}]");
    let ports = |port| {
        let answers = answers(&text, &Request { port, ..get("/") });
        answers.iter().map(|it| it.port).collect::<Vec<_>>()
    };
    assert_eq!(ports(None), [80, 81]);
    assert_eq!(ports(Some(81)), [81]);
    assert_eq!(ports(Some(82)), [0; 0]);
}

#[test]
fn an_address_is_in_blocks_of_its_family_and_outside_of_all_others() {
    let block = |more: &str| format!("[{{sourceCIDR: {{value: 10.0.0.0/8{more}}}}}]");
    let of = |address: &str| Request {
        address: Some(address.parse().unwrap()),
        ..get("/")
    };
    counted(
        &block(""),
        &of("10.9.9.9"),
        Some("masked_remote_address=10.0.0.0/8"),
    );
    counted(&block(""), &of("11.0.0.1"), None);
    counted(&block(""), &of("::1"), None);
    counted(&block(", invert: true"), &of("10.9.9.9"), None);
    counted(
        &block(", invert: true"),
        &of("::1"),
        Some("masked_remote_address=invert:10.0.0.0/8"),
    );
    let each = "masked_remote_address=10.0.0.0/8 remote_address=10.9.9.9";
    counted(&block(", type: Distinct"), &of("10.9.9.9"), Some(each));
    counted(&block(""), &get("/"), None);
}

#[test]
fn an_inverted_selector_counts_what_is_absent_too() {
    let header = "[{headers: [{name: x-a, value: b, invert: true}]}]";
    let with = |value: &str| Request {
        headers: vec![("x-a".to_owned(), value.to_owned())],
        ..get("/")
    };
    let entry = Some("rule-0-match-0=rule-0-match-0");
    counted(header, &get("/"), entry);
    counted(header, &with("c"), entry);
    counted(header, &with("b"), None);
    let param = "[{queryParams: [{name: q, type: Distinct}]}]";
    counted(param, &get("/?q=a%20b&q=c"), Some("rule-0-match-0=a b"));
    counted(param, &get("/"), None);
    let path = "[{path: {type: Exact, value: /x, invert: true}}]";
    counted(path, &get("/x"), None);
    counted(path, &get("/x?y"), Some("rule-0-path=rule-0-path"));
}

#[test]
fn each_method_that_fits_makes_a_descriptor() {
    let methods = "[{methods: [{value: GET, invert: true}, {value: PUT, invert: true}]}]";
    let answers = answers(
        &with_limit(methods, ""),
        &Request {
            method: "POST".to_owned(),
            ..get("/")
        },
    );
    let call = &answers[0].met.as_ref().unwrap().calls[0];
    assert_eq!(call.descriptors.len(), 2);
    counted(methods, &get("/"), Some("rule-0-method=rule-0-method"));
}

#[test]
fn the_cost_of_a_response_is_reported_after_it() {
    let metadata = "{from: Metadata, metadata: {namespace: a, key: b}}";
    let cost = format!("cost: {{request: {{from: Number, number: 0}}, response: {metadata}}}, ");
    let answers = answers(&with_limit("[]", &cost), &get("/"));
    let met = answers[0].met.as_ref().unwrap();
    let [before, after] = met.calls.as_slice() else {
        panic!("{met:?}");
    };
    assert!(!before.after_response && after.after_response);
    assert_eq!(before.descriptors[0].hits, Hits::Number(0));
    assert_eq!(after.descriptors[0].hits, Hits::Metadata("a:b".to_owned()));
    assert_eq!(before.descriptors[0].entries, after.descriptors[0].entries);
    let header = |value: &str| ("x-ratelimit-remaining".to_owned(), value.to_owned());
    assert_eq!(met.headers[1], header("5"));
}

#[test]
fn headers_can_be_switched_off_for_a_limit() {
    let off = answers(&with_limit("[]", "xRateLimitHeaders: 'Off', "), &get("/"));
    assert_eq!(off[0].met.as_ref().unwrap().headers, []);
}

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw}\n\
                       spec: {gatewayClassName: eg, listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, port: 81, protocol: HTTPS}]}\n";

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: rt}\n\
                     spec: {parentRefs: [{name: gw}], rules: RULES}\n";

fn with_rules(rules: &str) -> String {
    format!("{GATEWAY}---\n{}", ROUTE.replace("RULES", rules))
}

/// A route with one limit for what these select.
fn with_limit(selectors: &str, more: &str) -> String {
    format!(
        "{}---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: p}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: rt}}], rateLimit: {{global: {{\
         rules: [{{clientSelectors: {selectors}, {more}limit: {{requests: 5, unit: Hour}}}}]}}}}}}\n",
        with_rules("[{}]")
    )
}

fn get(path: &str) -> Request {
    Request {
        method: "GET".to_owned(),
        host: "any.test".to_owned(),
        port: None,
        path: path.to_owned(),
        headers: Vec::new(),
        auth_headers: Vec::new(),
        address: None,
    }
}

fn answers(text: &str, request: &Request) -> Vec<Answer> {
    let manifests = read::read(&Arc::from("t.yaml"), text).unwrap();
    let rules = RuleSet::new(rules::domains(&manifests).unwrap());
    explain(&manifests, &rules, request).unwrap()
}

/// Checks which rule and match is met.
#[track_caller]
fn met(
    rules: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    expected: Option<(usize, usize)>,
) {
    let headers = headers.iter();
    let request = Request {
        method: method.to_owned(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..get(path)
    };
    let answers = answers(&with_rules(rules), &request);
    let met = answers[0].met.as_ref();
    assert_eq!(met.map(|it| (it.rule, it.match_index)), expected);
}

/// Checks what the descriptor has below its bucket, and that a limit is found for it.
#[track_caller]
fn counted(selectors: &str, request: &Request, expected: Option<&str>) {
    let answers = answers(&with_limit(selectors, ""), request);
    let met = answers[0].met.as_ref().unwrap();
    let sent = met.calls.first().map(|call| &call.descriptors[0]);
    let entries = sent.map(|sent| {
        let pairs = sent.entries[1..].iter();
        let pairs: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(" ")
    });
    assert_eq!(entries.as_deref(), expected, "{:?}", met.passed_over);
    let limit = sent.map(|sent| sent.limit.as_ref().map(|limit| limit.requests));
    assert_eq!(limit, expected.map(|_| Some(5)));
    assert_eq!(met.passed_over.len(), usize::from(expected.is_none()));
}
