//! Spans of requests, as a collector gets them.

use std::collections::BTreeMap;
use std::net::TcpListener;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tonic::transport::Channel;

use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::collector::Collector;
use crate::support::collector::Protocol;
use crate::support::collector::Span;
use crate::support::free_address;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::rls::channel;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn a_request_has_the_spans_of_envoy_gateways_variables_whatever_the_protocol() {
    for protocol in [Protocol::Http, Protocol::Grpc] {
        let collector = Collector::start(protocol);
        let (name, compression) = match protocol {
            Protocol::Http => ("http", "none"),
            Protocol::Grpc => ("grpc", "gzip"),
        };
        let mut service = drop_in(&[
            ("TRACING_ENABLED", "true"),
            ("TRACING_SERVICE_NAME", "envoy-ratelimit"),
            ("TRACING_SERVICE_NAMESPACE", "envoy-gateway-system"),
            ("TRACING_SERVICE_INSTANCE_ID", "envoy-ratelimit-7"),
            ("TRACING_SAMPLING_RATE", "0.6"),
            ("TRACING_EXPORTER_PROTOCOL", name),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b,x-tenant=7"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression),
        ]);
        service.wait_for_log("tracing");
        let mut rls = client(&service).await;
        for _ in 0..2 {
            ask(&mut rls, Some(SAMPLED)).await;
        }
        // What has not been sent yet is sent at the end.
        assert!(service.terminate().success(), "{}", service.log());
        let spans = collector.wait_for(6);
        assert_eq!(spans.len(), 6, "{spans:?}");
        let of_requests: Vec<&Span> = named(&spans, METHOD);
        for (request, over_limit) in of_requests.into_iter().zip(["false", "true"]) {
            assert_eq!((request.kind, request.failed), (2, false));
            assert_eq!((&*request.trace, &*request.parent), (TRACE, CALLER));
            let expected = [
                ("rpc.grpc.status_code", "0"),
                ("rpc.method", "ShouldRateLimit"),
                ("rpc.service", "envoy.service.ratelimit.v3.RateLimitService"),
                ("rpc.system", "grpc"),
            ];
            assert_eq!(request.attributes, texts(&expected));
            let decision = child(&spans, request);
            assert_eq!(decision.name, "ShouldRateLimit Execution");
            let expected = [
                ("descriptors", "1"),
                ("domain", "shop"),
                ("over_limit", over_limit),
            ];
            assert_eq!(
                decision.attributes,
                texts(&expected),
                "no values of clients"
            );
            let take = child(&spans, decision);
            assert_eq!((&*take.name, take.kind), ("Take", 3));
            assert_eq!(take.attributes, texts(&[("by", "store"), ("takes", "1")]));
        }
        let span = &spans[0];
        for (name, value) in [
            ("service.name", "envoy-ratelimit"),
            ("service.namespace", "envoy-gateway-system"),
            ("service.instance.id", "envoy-ratelimit-7"),
        ] {
            assert_eq!(span.resource[name], value);
        }
        assert_eq!(
            (&*span.headers["x-token"], &*span.headers["x-tenant"]),
            ("a b", "7")
        );
        let encoding = span.headers.get("grpc-encoding").map(String::as_str);
        assert_eq!(encoding, (compression == "gzip").then_some("gzip"));
    }
}

#[tokio::test]
async fn a_caller_that_traces_decides_and_the_ratio_for_all_others() {
    for (ratio, caller, is_traced) in [
        ("0", None, false),
        ("0", Some(SAMPLED), true),
        ("1", None, true),
        ("1", Some(UNSAMPLED), false),
        ("1", Some("nonsense"), true),
    ] {
        let collector = Collector::start(Protocol::Http);
        let mut service = traced(&collector.url(), &["--trace-ratio", ratio]);
        let mut rls = client(&service).await;
        ask(&mut rls, caller).await;
        assert!(service.terminate().success());
        let spans = collector.spans();
        assert_eq!(
            !spans.is_empty(),
            is_traced,
            "{ratio} {caller:?}: {spans:?}"
        );
    }
}

#[tokio::test]
async fn a_request_that_fails_or_falls_back_says_so() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let collector = Collector::start(Protocol::Http);
    let url = redis.url();
    let arguments = ["--store", &url, "--on-store-failure", "error"];
    let mut service = traced(&collector.url(), &arguments);
    service.serves().await;
    redis.kill();
    let mut rls = client(&service).await;
    let message = request("demo", &[&[("user", "x")]]);
    let status = rls.should_rate_limit(message).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(service.terminate().success(), "{}", service.log());
    let spans = collector.wait_for(2);
    let failed = named(&spans, METHOD)[0];
    assert!(failed.failed);
    assert_eq!(failed.attributes["rpc.grpc.status_code"], "14");
    let decision = child(&spans, failed);
    assert!(decision.failed);
    assert_eq!(decision.events, ["decided without the store"]);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_requests_nothing_and_is_said_once() {
    // One that nobody listens for, and one that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [free_address(), silent.local_addr().unwrap()] {
        for protocol in ["http", "grpc"] {
            let url = format!("http://{address}");
            let mut service = traced(&url, &["--otlp-protocol", protocol]);
            let mut rls = client(&service).await;
            // More than are kept.
            for _ in 0..1_000 {
                ask(&mut rls, None).await;
            }
            assert_eq!(service.terminate().code(), Some(0), "{}", service.log());
            let said = service.log().matches("spans are lost").count();
            assert!(said <= 1, "{}", service.log());
        }
    }
}

#[tokio::test]
async fn spans_arrive_once_the_collector_does() {
    let address = free_address();
    let service = Service::start_with(
        &["--otlp-endpoint", &format!("http://{address}")],
        &[("OTEL_BSP_SCHEDULE_DELAY", "20")],
    );
    let mut rls = client(&service).await;
    ask(&mut rls, None).await;
    service.wait_for_log("spans are lost until the collector takes them");
    let collector = Collector::start_at(address, Protocol::Http, None);
    ask(&mut rls, None).await;
    collector.wait_for(2);
    service.wait_for_log("the collector takes spans again");
}

#[tokio::test]
async fn a_collector_may_ask_for_tls_and_certificates() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let own = Secret::new(&authority, &authority.issue(&["anyone"]));
    let (ca, cert, key) = (own.path("ca.crt"), own.path("tls.crt"), own.path("tls.key"));
    for (protocol, name) in [(Protocol::Http, "http"), (Protocol::Grpc, "grpc")] {
        let anywhere = ([127, 0, 0, 1], 0).into();
        let collector = Collector::start_at(anywhere, protocol, Some(&server));
        let url = format!("https://localhost:{}", collector.address().port());
        let mut service = drop_in(&[
            ("TRACING_ENABLED", "true"),
            ("TRACING_EXPORTER_PROTOCOL", name),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", &ca),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &cert),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key),
        ]);
        let mut rls = client(&service).await;
        ask(&mut rls, None).await;
        assert!(service.terminate().success(), "{}", service.log());
        assert_eq!(collector.wait_for(3).len(), 3);
    }
}

#[test]
fn it_does_not_start_where_the_collector_cannot_be_meant() {
    for (arguments, expected) in [
        (
            &["--otlp-endpoint", "collector:4318"][..],
            "unknown collector `collector:4318/v1/traces`: expected a URL",
        ),
        (
            &["--otlp-endpoint", "https://a", "--otlp-ca", "absent"],
            "absent cannot be read",
        ),
        (
            &["--otlp-endpoint", "http://a", "--trace-ratio", "1.1"],
            "expected a number from 0 to 1",
        ),
    ] {
        let arguments = [&["serve"], LOCAL, arguments].concat();
        let mut process = Process::start(&mut slidegate(&arguments));
        let line = process.line_with(expected);
        assert!(line.is_some(), "{expected}: {:?}", process.lines());
        assert!(!process.wait().success());
    }
}

/// A service with the demo's rules that sends its spans there.
#[track_caller]
fn traced(url: &str, more: &[&str]) -> Service {
    Service::start(&[&["--otlp-endpoint", url], more].concat())
}

/// The drop-in with a limit of one in the domain `shop`.
#[track_caller]
fn drop_in(environment: &[(&str, &str)]) -> Service {
    let folder = tempfile::TempDir::new().unwrap();
    let rules = "domain: shop\ndescriptors:\n\
                 - {key: user, rate_limit: {unit: day, requests_per_unit: 1}}\n";
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/shop.yaml"), rules).unwrap();
    let mut command = slidegate(&[&["serve", "--drop-in"], LOCAL].concat());
    command.envs([
        ("RUNTIME_ROOT", folder.path().to_str().unwrap()),
        ("RUNTIME_SUBDIRECTORY", "."),
        ("USE_STATSD", "false"),
        ("USE_PROMETHEUS", "true"),
        ("SLIDEGATE_STORE", "memory"),
        ("SLIDEGATE_DRAIN_DELAY", "0s"),
        ("LOG_LEVEL", "info"),
    ]);
    command.envs(environment.iter().copied());
    Service::of(Process::start(&mut command))
}

async fn client(service: &Service) -> RateLimitServiceClient<Channel> {
    RateLimitServiceClient::new(channel(service.grpc()).await)
}

async fn ask(rls: &mut RateLimitServiceClient<Channel>, caller: Option<&str>) {
    let mut message = tonic::Request::new(request("shop", &[&[("user", "secret")]]));
    if let Some(caller) = caller {
        let header = caller.parse().unwrap();
        message.metadata_mut().insert("traceparent", header);
    }
    rls.should_rate_limit(message).await.unwrap();
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|it| it.name == name).collect()
}

#[track_caller]
fn child<'s>(spans: &'s [Span], of: &Span) -> &'s Span {
    let child = spans.iter().find(|it| it.parent == of.id);
    child.unwrap_or_else(|| panic!("no child of {of:?} in {spans:?}"))
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let text = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(text).collect()
}

const METHOD: &str = "envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const LOCAL: &[&str] = &[
    "--grpc-addr",
    "127.0.0.1:0",
    "--http-addr",
    "127.0.0.1:0",
    "--debug-addr",
    "127.0.0.1:0",
    "--metrics-addr",
    "127.0.0.1:0",
];
