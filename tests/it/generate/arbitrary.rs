//! Whatever is valid becomes manifests that Kubernetes takes, and whatever is not is a fault.

mod spanning;

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;
use slidegate::manifest;
use slidegate::manifest::read;
use slidegate::rule::Domain;
use slidegate::rule::document;
use slidegate::source;
use slidegate::source::file::File;

use crate::support::crd::Judge;
use crate::support::sample;

#[test]
fn what_is_valid_becomes_manifests_that_read_back_and_are_accepted() {
    let judge = Judge::load();
    runner(96)
        .run(&documents(), |documents| {
            let stream = documents.join("\n---\n");
            let manifests = generated(&stream).map_err(|it| fail(&stream, &it))?;
            let written = manifest::write(&manifests);
            let again = read::read(&Arc::from("stream"), &written);
            prop_assert_eq!(again.unwrap(), manifests);
            if let Some(judge) = &judge {
                let faults = judge.faults_in(&written);
                prop_assert!(faults.is_empty(), "{faults:#?}\n{stream}\n{written}");
            }
            let rules = rules(&stream).map_err(|it| fail(&stream, &it))?;
            let written = document::write(&rules);
            let again = document::read(&Arc::from("rules"), &written, &mut Vec::new());
            prop_assert_eq!(again, rules, "{}\n{}", stream, written);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_key_that_nobody_knows_is_a_fault_wherever_it_stands() {
    let spoiled = (documents(), any::<Index>(), any::<Index>());
    runner(96)
        .run(&spoiled, |(mut documents, document, place)| {
            let document = document.get_mut(&mut documents);
            let places: Vec<usize> = document.match_indices("{").map(|(at, _)| at + 1).collect();
            let place = *place.get(&places);
            document.insert_str(place, "bogus: 1, ");
            let stream = documents.join("\n---\n");
            let faults = generated(&stream).expect_err(&stream);
            prop_assert!(faults.contains("unknown key `bogus`"), "{faults}\n{stream}");
            Ok(())
        })
        .unwrap();
}

/// The documents of a valid platform, each in one line.
fn documents() -> impl Strategy<Value = Vec<String>> {
    let routes = prop::collection::vec(route(), 0..6);
    let policies = prop::collection::vec(policy(), 0..6);
    let documents = (
        gateway(),
        backend(),
        routes,
        policies,
        spanning::documents(),
    );
    documents.prop_map(|(gateway, backend, routes, policies, spanning)| {
        let mut documents = vec![
            gateway,
            backend,
            "{kind: ApiService, name: api}".to_owned(),
            "{kind: Route, name: base, api_service: api, gateway: gw, path_prefix: /base, \
             backend_refs: [{backend: up}]}"
                .to_owned(),
        ];
        let named = |kind: &str, index: usize, rest: &str| {
            format!(
                "{{kind: {kind}, name: {}-{index}, {rest}}}",
                kind.to_lowercase()
            )
        };
        let routes = routes.iter().enumerate();
        documents.extend(routes.map(|(index, (path, rest))| {
            // Each has a path of its own.
            let path = path.replace("PATH", &format!("/route-{index}"));
            named(
                "Route",
                index,
                &format!("api_service: api, gateway: gw, {path}, {rest}"),
            )
        }));
        let policies = policies.iter().enumerate();
        documents.extend(policies.map(|(index, rest)| named("Policy", index, rest)));
        documents.extend(spanning);
        documents
    })
}

fn gateway() -> impl Strategy<Value = String> {
    let hostname = prop_oneof![Just(""), Just(", hostname: '*.example.com'")];
    hostname.prop_map(|hostname| {
        format!(
            "{{kind: Gateway, name: gw, listeners: [{{name: http, port: 80, protocol: HTTP{hostname}}}, \
             {{name: https, port: 443, protocol: HTTPS, tls: {{certificate_ref: cert}}}}]}}"
        )
    })
}

fn backend() -> impl Strategy<Value = String> {
    let scheme = prop::sample::select(vec!["http", "https", "grpc", "grpcs"]);
    let host = prop_oneof![
        word().prop_map(|it| format!("{it}.example.com")),
        any::<[u8; 3]>().prop_map(|[a, b, c]| format!("10.{a}.{b}.{c}")),
        any::<[u16; 7]>()
            .prop_map(|it| format!("'2001:{}'", it.map(|it| format!("{it:x}")).join(":"))),
    ];
    let endpoint = (host, 1..u16::MAX, 1..=100_u8);
    let endpoints = (prop::collection::vec(endpoint, 1..5), any::<bool>());
    let endpoints = endpoints.prop_map(|(endpoints, is_weighted)| {
        let endpoint = |(host, port, weight): (String, u16, u8)| {
            let weight = if is_weighted {
                format!(", weight: {weight}")
            } else {
                String::new()
            };
            format!("{{host: {host}, port: {port}{weight}}}")
        };
        endpoints
            .into_iter()
            .map(endpoint)
            .collect::<Vec<_>>()
            .join(", ")
    });
    let balancer = prop_oneof![
        prop::sample::select(vec!["RoundRobin", "LeastRequest", "Random"])
            .prop_map(|it| format!("lb_policy: {it}")),
        prop::sample::select(vec![
            "type: SourceIP",
            "type: Header, header_name: x-u",
            "type: Cookie, name: c",
            "type: Cookie, name: c, ttl: 0s",
        ])
        .prop_map(|it| format!("lb_policy: ConsistentHash, consistent_hash: {{{it}}}")),
    ];
    let check = prop::sample::select(vec![
        "type: TCP",
        "type: GRPC",
        "type: GRPC, grpc: {service: s}",
        "type: HTTP, http: {path: '/a?b=c'}",
        "type: HTTP, http: {path: /, expected_statuses: [100, 599]}",
    ]);
    let fields = vec![
        balancer.boxed(),
        (check, 1..99_999_u32, 1..=i32::MAX)
            .prop_map(|(it, span, threshold)| {
                format!(
                    "health_check: {{{it}, interval: {span}ms, timeout: {span}s, \
                     healthy_threshold: {threshold}, unhealthy_threshold: 1}}"
                )
            })
            .boxed(),
        circuit_breaker()
            .prop_map(|it| format!("circuit_breaker: {it}"))
            .boxed(),
        retry().prop_map(|it| format!("retry: {it}")).boxed(),
        (1..99_999_999_u32)
            .prop_map(|it| format!("connect_timeout_ms: {it}"))
            .boxed(),
        (0..99_999_999_u32)
            .prop_map(|it| format!("timeout_ms: {it}, idle_timeout_ms: {it}"))
            .boxed(),
    ];
    (scheme, endpoints, subset(fields)).prop_map(|(scheme, endpoints, fields)| {
        let tls = if scheme.ends_with('s') {
            ", tls: {sni: up.example.com}"
        } else {
            ""
        };
        format!(
            "{{kind: Backend, name: up, scheme: {scheme}, endpoints: [{endpoints}]{tls}{fields}}}"
        )
    })
}

fn circuit_breaker() -> impl Strategy<Value = String> {
    (any::<u32>(), any::<u32>())
        .prop_map(|(a, b)| format!("{{max_connections: {a}, max_retries: {b}, max_requests: {b}}}"))
}

fn retry() -> impl Strategy<Value = String> {
    let fields = vec![
        (0..=i32::MAX)
            .prop_map(|it| format!("num_retries: {it}"))
            .boxed(),
        prop::sample::subsequence(vec!["5xx", "reset", "unavailable", "503", "429"], 1..5)
            .prop_map(|it| format!("retry_on: [{}]", it.join(", ")))
            .boxed(),
        span()
            .prop_map(|it| format!("per_try_timeout: {it}s"))
            .boxed(),
        (1..9_999_u32)
            .prop_map(|it| format!("backoff: {{base_interval: {it}ms, max_interval: {it}s}}"))
            .boxed(),
    ];
    subset(fields).prop_map(|fields| format!("{{{}}}", fields.trim_start_matches(", ")))
}

/// The path of a route, and the rest of it.
fn route() -> impl Strategy<Value = (String, String)> {
    let path = prop::sample::select(vec![
        "path_prefix: PATH",
        "path_exact: PATH/x",
        "path_regex: 'PATH/[a-z]+'",
    ]);
    let fields = vec![
        field("hostnames: [a.example.com, '*.example.com']"),
        field("methods: [GET, POST]"),
        field("priority: 1"),
        field("listener: https"),
        value()
            .prop_map(|it| format!("headers: [{{name: x-a, value: {it}}}]"))
            .boxed(),
        value()
            .prop_map(|it| format!("query_params: [{{name: q, value: {it}}}]"))
            .boxed(),
        (span(), span())
            .prop_map(|(a, b)| {
                let (most, least) = (a.max(b), a.min(b));
                format!("timeouts: {{request: {most}s, backend_request: {least}s}}")
            })
            .boxed(),
    ];
    let fields = [
        fields,
        vec![
            retry().prop_map(|it| format!("retry: {it}")).boxed(),
            (0..99_999_u32)
                .prop_map(|it| format!("timeout: {{idle_timeout: {it}s}}"))
                .boxed(),
        ],
    ]
    .concat();
    let auth = prop_oneof![
        Just("auth_mode: none".to_owned()),
        Just("auth_mode: apikey, auth_config: {backend: up, header: x-api-key}".to_owned()),
        prop::sample::select(vec!["Global", "Local"]).prop_map(|it| format!(
            "auth_mode: apikey, auth_config: {{backend: up, header: x-api-key}}, \
             rate_limit: {{requests_per_unit: 1, unit: day, type: {it}, key: {{by: consumer}}}}"
        )),
        value().prop_map(|it| format!(
            "auth_mode: jwt, auth_config: {{issuer: 'https://a.example.com', audiences: [{it}], \
             claim_to_headers: [{{claim: sub, header: x-user}}]}}, \
             rate_limit: {{requests_per_unit: 1, unit: day, key: {{by: user}}}}"
        )),
        word().prop_map(|it| format!(
            "auth_mode: oidc, auth_config: {{issuer: 'https://a.example.com', client_id: {it}, \
             client_secret_ref: secret, logout_path: /out}}"
        )),
    ];
    (path, subset(fields), auth).prop_map(|(path, fields, auth)| {
        let rest = format!("{auth}, backend_refs: [{{backend: up}}]{fields}");
        (path.to_owned(), rest)
    })
}

/// A policy without its kind and name.
fn policy() -> impl Strategy<Value = String> {
    let scope = prop::sample::select(vec![
        "scope: global",
        "scope: service, api_service: api",
        "scope: route, route: base",
    ]);
    let unit = prop::sample::select(vec![
        "second", "Minute", "HOUR", "day", "week", "month", "year",
    ]);
    let key = prop::sample::select(vec![
        "",
        ", key: {by: client_ip}",
        ", key: {by: header, name: x-u}",
    ]);
    let of_limit = key
        .clone()
        .prop_map(|it| it.trim_start_matches(", ").to_owned());
    let limit =
        spanning::limit(of_limit).prop_map(|it| format!("type: rate-limit, spec: {{{it}}}"));
    let local = (1..=u32::MAX, unit, key).prop_map(|(requests, unit, key)| {
        format!("type: rate-limit, spec: {{requests_per_unit: {requests}, unit: {unit}, type: Local{key}}}")
    });
    let cors = (word(), span()).prop_map(|(host, age)| {
        format!(
            "type: cors, spec: {{allow_origins: ['https://{host}.example.com'], max_age: {age}s, \
             allow_methods: [GET, '*'], allow_credentials: true}}"
        )
    });
    let modifier = (value(), value()).prop_map(|(a, b)| {
        format!("type: header-modifier, spec: {{add: [{{name: x-a, value: {a}}}], set: [{{name: x-b, value: {b}}}], remove: [x-c]}}")
    });
    let rewrite = word().prop_map(|it| {
        format!("type: url-rewrite, spec: {{hostname: {it}.example.com, path: {{type: ReplaceFullPath, value: /{it}}}}}")
    });
    let retry = retry().prop_map(|it| format!("type: retry, spec: {it}"));
    let timeout = (0..99_999_u32, 1..99_999_u32).prop_map(|(request, connect)| {
        format!(
            "type: timeout, spec: {{request_timeout: {request}h, connect_timeout: {connect}ms}}"
        )
    });
    let breaker = circuit_breaker().prop_map(|it| format!("type: circuit-breaker, spec: {it}"));
    let spec = prop_oneof![
        limit, local, cors, modifier, rewrite, retry, timeout, breaker
    ];
    let policy = (scope, spec).prop_map(|(scope, spec)| format!("{scope}, {spec}"));
    (policy, 0..3_u32, any::<bool>()).prop_map(|(policy, priority, is_enabled)| {
        format!("{policy}, priority: {priority}, enabled: {is_enabled}")
    })
}

/// Any of some fields, each with a comma before it.
fn subset(fields: Vec<BoxedStrategy<String>>) -> impl Strategy<Value = String> {
    let maybe = |field: BoxedStrategy<String>| {
        prop_oneof![
            Just(String::new()),
            field.prop_map(|field| format!(", {field}"))
        ]
    };
    let fields: Vec<_> = fields.into_iter().map(maybe).collect();
    fields.prop_map(|fields| fields.concat())
}

fn field(text: &'static str) -> BoxedStrategy<String> {
    Just(text.to_owned()).boxed()
}

/// A value of any sort, in quotes, without what would look like a mapping here.
fn value() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        "on", "~", "0123", "1e3", "=", "- a", "a: b", "::", "#", "%",
    ]);
    prop_oneof![
        nasty.prop_map(str::to_owned),
        "[ -&(-z|~]{1,40}",
        "[à-ÿ]{1,9}"
    ]
    .prop_map(|value| format!("'{value}'"))
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,20}"
}

/// How many seconds.
fn span() -> impl Strategy<Value = u32> {
    0..99_999_u32
}

/// The manifests of a platform, or its faults as text.
pub(super) fn generated(stream: &str) -> Result<Vec<manifest::Manifest>, String> {
    let file = File {
        name: Arc::from("t.yaml"),
        text: stream.to_owned(),
    };
    sample::manifests(vec![file]).map_err(|faults| faults.to_string())
}

/// The rules that follow from a platform, or its faults as text.
fn rules(stream: &str) -> Result<Vec<Domain>, String> {
    let file = File {
        name: Arc::from("t.yaml"),
        text: stream.to_owned(),
    };
    let deployed = source::deployed(&[file], "default");
    Ok(deployed.map_err(|faults| faults.to_string())?.domains)
}

fn fail(stream: &str, faults: &str) -> TestCaseError {
    TestCaseError::fail(format!("{faults}\n{stream}"))
}

/// The same cases each time.
pub(super) fn runner(n_cases: u32) -> TestRunner {
    let config = Config {
        cases: n_cases,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, random)
}
