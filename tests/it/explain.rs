//! `slidegate explain`: what it names is what Envoy asked, and it says so to people and machines.

mod recorded;

use std::process::Output;

use serde_json::Value;

use crate::support::in_project;
use crate::support::service::slidegate;

#[test]
fn a_person_reads_route_policies_descriptors_and_headers() {
    let plans = in_project("tests/vectors/plans/input.yaml");
    let output = explained(&[
        plans.to_str().unwrap(),
        "--host",
        "a.example.com",
        "--header",
        "x-imprun-plan: gold",
        "--header",
        "x-imprun-consumer: c1",
    ]);
    let expected = "\
gateway default/eg, port 8888
  listener http, host a.example.com
  HTTPRoute default/a, rule 0, match 0
  in force: BackendTrafficPolicy default/a
  merged with it: BackendTrafficPolicy default/plans
  Envoy asks default/eg/http
    httproute/default/a/rule/0/match/0/a_example_com=httproute/default/a/rule/0/match/0/a_example_com, rule-0-match--1=rule-0-match--1
      1 hit of 10 per hour, from BackendTrafficPolicy default/a, spec.rateLimit.global.rules[0]
  Envoy asks default/plans
    default/plans/rule/0=default/plans/rule/0, rule-0-match-0=rule-0-match-0, rule-0-match-1=c1
      1 hit of 3 per hour for each consumer, from BackendTrafficPolicy default/plans, spec.rateLimit.global.rules[0]
    default/plans/rule/1=default/plans/rule/1, rule-1-match-0=rule-1-match-0, rule-1-match-1=c1
      1 hit of 100 per month for each consumer, from BackendTrafficPolicy default/plans, spec.rateLimit.global.rules[1]
  if nothing has been counted before, the answer has
    x-ratelimit-limit: 3, 3;w=3600, 100;w=2592000
    x-ratelimit-remaining: 2
    x-ratelimit-limit: 10, 10;w=3600
    x-ratelimit-remaining: 9
";
    assert_eq!(output, expected);
}

#[test]
fn what_does_not_hold_is_named_with_the_reason() {
    let plans = in_project("tests/vectors/plans/input.yaml");
    let plans = plans.to_str().unwrap();
    let output = explained(&[plans, "--host", "d.example.com"]);
    assert!(
        output.contains(
            "\n  overridden by BackendTrafficPolicy default/d: BackendTrafficPolicy default/plans\n"
        ),
        "{output}"
    );
    let output = explained(&[plans, "--host", "c.example.com"]);
    assert!(
        output.contains(
            "\n  Envoy asks nothing: no limit counts this request\n  not counted by \
             BackendTrafficPolicy default/plans, spec.rateLimit.global.rules[0]: header \
             `x-imprun-plan` is absent\n"
        ),
        "{output}"
    );
    let output = explained(&[plans, "--host", "nobody.test"]);
    assert_eq!(
        output,
        "gateway default/eg, port 8888\n  no route matches: the answer is 404\n"
    );
}

#[test]
fn a_platform_is_explained_by_what_it_becomes() {
    let arguments = [
        "config/imprun",
        "--host",
        "api.example.com",
        "--path",
        "/chat/x",
        "--json",
    ];
    let output = explained(&arguments);
    let answers: Value = serde_json::from_str(&output).unwrap();
    let met = &answers[0]["met"];
    assert_eq!(met["route"], "HTTPRoute default/chat", "{output}");
    let [request, response] = met["calls"].as_array().unwrap().as_slice() else {
        panic!("{output}");
    };
    assert_eq!(request["domain"], "default/api-gw/http");
    assert_eq!(request["descriptors"][0]["hits"]["number"], 0);
    assert_eq!(request["descriptors"][0]["limit"]["requests"], 21);
    assert_eq!(response["after_response"], true);
    assert_eq!(
        response["descriptors"][0]["hits"]["metadata"],
        "io.envoy.ai_gateway:llm_total_token"
    );
    assert_eq!(met["headers"][0][1], "21, 21;w=3600");
    let limit = &met["entities"]["policies"][1];
    assert_eq!(limit["type"], "rate-limit", "{output}");
    assert_eq!(limit["in_force"], "Policy/chat-tokens");
    assert_eq!(limit["overridden"][0], "Policy/default-limit");
}

#[test]
fn a_person_reads_what_is_in_force_on_a_platform_with_its_burst() {
    let of = |path: &str| {
        explained(&[
            "config/imprun",
            "--host",
            "api.example.com",
            "--port",
            "80",
            "--path",
            path,
        ])
    };
    let output = of("/payments");
    let line = "\n  rate-limit: Policy/payments-limit is in force and overrides \
                Policy/payments-limit-old, Policy/payment-api-limit, Policy/default-limit\n";
    assert!(output.contains(line), "{output}");
    assert!(
        output.contains("\n  cors: Policy/shop is in force\n"),
        "{output}"
    );
    let output = of("/search");
    assert!(
        output.contains("1 hit of 3 per hour and 2 at once, from"),
        "{output}"
    );
    assert!(
        output.contains("\n  rate-limit: Route/search-catalog is in force and overrides "),
        "{output}"
    );
}

#[test]
fn a_person_reads_which_plan_and_which_limits_of_envoy_alone_hold_by_their_entities() {
    let output = explained(&PARTNER);
    for line in [
        "plan: Plan/gold holds for the consumer",
        "each Envoy alone lets 500 per second pass, from Policy/partner-flood (BackendTrafficPolicy \
         default/partner-orders, spec.rateLimit.local.rules[0])",
        "    1 hit of 30 per minute for each consumer, from Route/partner-orders (BackendTrafficPolicy \
         default/partner-orders, spec.rateLimit.global.rules[0])",
        "    1 hit of 1000 per minute for each consumer, from Plan/gold, its rate (BackendTrafficPolicy \
         default/platform.gateways, spec.rateLimit.global.rules[1])",
        "    1 hit of 1000000 per month for each consumer, from Plan/gold, its quota (BackendTrafficPolicy \
         default/platform.gateways, spec.rateLimit.global.rules[2])",
        "not counted by Plan/trial, its rate (BackendTrafficPolicy default/platform.gateways, \
         spec.rateLimit.global.rules[3]): header `x-imprun-plan` is `gold`, which does not fit `trial`",
    ] {
        assert!(
            output.contains(&format!("\n  {line}\n")),
            "{line}\n{output}"
        );
    }
    let answers: Value =
        serde_json::from_str(&explained(&[&PARTNER[..], &["--json"]].concat())).unwrap();
    let met = &answers[1]["met"];
    assert_eq!(met["entities"]["plan"], "Plan/gold");
    let local = &met["local"][0];
    assert_eq!(
        (&local["requests"], &local["unit"]),
        (&500.into(), &"second".into())
    );
    assert_eq!(local["entity"]["name"], "Policy/partner-flood");
    let rate = &met["calls"][1]["descriptors"][0];
    assert_eq!(
        rate["entity"],
        serde_json::json!({"name": "Plan/gold", "part": "rate"})
    );
    assert_eq!(rate["limit"]["each"], serde_json::json!(["consumer"]));
}

#[test]
fn what_a_client_says_of_its_plan_is_removed_and_only_authentication_says_it() {
    let said = [
        "--header",
        "X-Imprun-Plan: gold",
        "--header",
        "x-imprun-consumer: me",
    ];
    let output = explained(&[&PARTNER[..7], &said[..]].concat());
    for header in ["X-Imprun-Plan", "x-imprun-consumer"] {
        let line = format!(
            "\n  header `{header}` is removed before anything sees it, by ClientTrafficPolicy \
             default/partner-gw\n"
        );
        assert!(output.contains(&line), "{output}");
    }
    assert!(
        output.contains("\n  Envoy asks nothing: no other limit counts this request\n"),
        "{output}"
    );
    // Nobody names consumers where there is no authentication.
    let arguments = [
        "config/imprun",
        "--port",
        "80",
        "--host",
        "api.example.com",
        "--path",
        "/models",
        "--auth-header",
        "x-imprun-plan: gold",
    ];
    let output = explained(&arguments);
    let line = "\n  header `x-imprun-plan` is not added: no authentication in force sets it\n";
    assert!(output.contains(line), "{output}");
    assert!(!output.contains("plan: "), "{output}");
}

/// A request of a partner with the plan `gold`.
const PARTNER: [&str; 11] = [
    "config/imprun",
    "--port",
    "443",
    "--host",
    "orders.partners.example.com",
    "--path",
    "/x",
    "--auth-header",
    "x-imprun-consumer: c1",
    "--auth-header",
    "x-imprun-plan: gold",
];

#[test]
fn what_cannot_be_explained_is_an_error() {
    let check = |arguments: &[&str], status: i32, complaint: &str| {
        let output = explain(arguments);
        let complaints = String::from_utf8(output.stderr).unwrap();
        assert!(complaints.contains(complaint), "{complaints}");
        assert_eq!(output.status.code(), Some(status));
        assert_eq!(output.stdout, b"");
    };
    let host = ["--host", "a.example.com"];
    check(
        &[&["config/imprun", "--port", "1"][..], &host].concat(),
        1,
        "slidegate: no gateway speaks HTTP on port 1\n",
    );
    let both = ["config/imprun", "tests/vectors/plans/input.yaml"];
    check(
        &[&both[..], &host].concat(),
        1,
        "input.yaml:2: apiVersion: a manifest beside platform documents: expected one or the other\n",
    );
    check(
        &[&["config/imprun", "--header", "x"][..], &host].concat(),
        2,
        "expected a header such as `x-user: alice`",
    );
    check(&["config/imprun"], 2, "--host <HOST>");
}

#[track_caller]
fn explained(arguments: &[&str]) -> String {
    let output = explain(arguments);
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaints, "");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn explain(arguments: &[&str]) -> Output {
    slidegate(&["explain"]).args(arguments).output().unwrap()
}
