//! What becomes of headers before limits see them, and what limits of Envoy alone make of requests.

use crate::manifest::explain::request::Request;
use crate::manifest::explain::tests::answers;
use crate::manifest::explain::tests::get;
use crate::manifest::explain::tests::with_limit;
use crate::manifest::explain::tests::with_rules;

#[test]
fn what_a_policy_does_to_headers_is_done_before_a_route_is_looked_for() {
    let early = "add: [{name: x-a, value: added}], addIfAbsent: [{name: x-b, value: absent}, {name: x-c, value: never}], \
                 set: [{name: x-d, value: set}], remove: [X-E, x-late], removeOnMatch: [{type: Prefix, value: X-F}, \
                 {type: Suffix, value: -end}, {value: x-g}, {type: RegularExpression, value: 'x-[hi]'}]";
    let text = format!(
        "{}---\n{}",
        with_rules(
            "[{matches: [{headers: [{name: x-e, type: RegularExpression, value: '.*'}]}]}, {matches: [{}]}]"
        ),
        clients("gw}", &format!("earlyRequestHeaders: {{{early}}}"))
    );
    let sent = [
        "x-a",
        "x-c",
        "x-d",
        "x-e",
        "x-early",
        "x-foo",
        "x-the-end",
        "X-G",
        "x-h",
        "x-j",
    ];
    let headers = sent.map(|name| (name.to_owned(), "sent".to_owned()));
    let request = Request {
        headers: headers.into(),
        ..get("/")
    };
    let met = answers(&text, &request)[0].met.clone().unwrap();
    assert_eq!(met.rule, 1, "x-e is gone");
    let removed: Vec<&str> = met.removed.iter().map(|it| it.header.as_str()).collect();
    assert_eq!(removed, ["x-e", "x-foo", "x-the-end", "X-G", "x-h"]);
    assert_eq!(met.removed[0].policy, "ClientTrafficPolicy default/gw");
}

#[test]
fn what_is_left_of_headers_is_what_limits_see() {
    let early = "earlyRequestHeaders: {set: [{name: x-a, value: b}]}";
    let limit = with_limit("[{headers: [{name: x-a, value: b}]}]", "");
    let n_calls = |text: &str| {
        answers(text, &get("/"))[0]
            .met
            .as_ref()
            .unwrap()
            .calls
            .len()
    };
    assert_eq!(n_calls(&limit), 0);
    assert_eq!(
        n_calls(&format!("{limit}---\n{}", clients("gw}", early))),
        1
    );
    // The policy of a listener holds in place of that of its gateway.
    let own = clients("gw, sectionName: a}", "disableRateLimitHeaders: true");
    let both = format!(
        "{limit}---\n{}---\n{}",
        clients("gw}", early),
        own.replace("metadata: {name: gw}", "metadata: {name: of-a}")
    );
    assert_eq!(n_calls(&both), 0);
}

#[test]
fn headers_can_be_switched_off_for_clients() {
    let text = format!(
        "{}---\n{}",
        with_limit("[]", ""),
        clients("gw}", "disableRateLimitHeaders: true")
    );
    let met = answers(&text, &get("/"))[0].met.clone().unwrap();
    assert_eq!((met.calls.len(), met.headers.len()), (1, 0));
}

#[test]
fn authentication_sets_what_its_policy_lets_it() {
    let policy = |spec: &str| {
        format!(
            "{}---\napiVersion: gateway.envoyproxy.io/v1alpha1\nkind: SecurityPolicy\nmetadata: {{name: s}}\n\
             spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: rt}}], {spec}}}\n",
            with_limit("[{headers: [{name: x-a, type: Distinct}]}]", "")
        )
    };
    let request = Request {
        headers: vec![("X-A".to_owned(), "client".to_owned())],
        auth_headers: vec![("x-a".to_owned(), "service".to_owned())],
        ..get("/")
    };
    let check = |spec: &str, expected: &str, not_added: &[&str]| {
        let met = answers(&policy(spec), &request)[0].met.clone().unwrap();
        assert_eq!(met.calls[0].descriptors[0].entries[1].1, expected, "{spec}");
        assert_eq!(met.not_added, not_added, "{spec}");
    };
    check("extAuth: {grpc: {}}", "service", &[]);
    check("extAuth: {http: {headersToBackend: [X-a]}}", "service", &[]);
    check(
        "extAuth: {http: {headersToBackend: [x-b]}}",
        "client",
        &["x-a"],
    );
    check(
        "jwt: {providers: [{name: p, claimToHeaders: [{claim: sub, header: x-a}]}]}",
        "service",
        &[],
    );
    check("cors: {}", "client", &["x-a"]);
}

#[test]
fn the_local_limit_for_all_counts_what_no_other_does() {
    let text = with_limit("[]", "").replace(
        "{global:",
        "{local: {rules: [{limit: {requests: 9, unit: Minute}}, \
         {clientSelectors: [{headers: [{name: x-a, value: b}]}], limit: {requests: 7, unit: Minute}}]}, global:",
    );
    let told = |headers: &[(&str, &str)]| {
        let headers = headers.iter();
        let request = Request {
            headers: headers
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
                .collect(),
            ..get("/")
        };
        let met = answers(&text, &request)[0].met.clone().unwrap();
        let limits: Vec<u32> = met.local.iter().map(|it| it.requests).collect();
        let fields: Vec<String> = met.passed_over.into_iter().map(|it| it.at.field).collect();
        (limits, fields)
    };
    let rule = |index: usize| vec![format!("spec.rateLimit.local.rules[{index}]")];
    assert_eq!(told(&[]), (vec![9], rule(1)));
    assert_eq!(told(&[("x-a", "b")]), (vec![7], rule(0)));
}

/// A policy for the clients of a target, named as it is.
fn clients(target: &str, headers: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: gw}}\n\
         spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {target}], headers: {{{headers}}}}}\n"
    )
}
