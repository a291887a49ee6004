//! Section 8, traces.
//!
//! Elsewhere: protocols, certificates, collectors that are away, spans of the wait for Redis (`tracing`).

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tokio::runtime::Builder;

use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::collector::Collector;
use crate::support::collector::Protocol;
use crate::support::collector::Span;
use crate::support::rls::channel;
use crate::support::rls::request;

#[test]
fn requests_have_spans() {
    let spans = spans();
    row::check(TRACES, |ask| ask(&spans));
}

pub(crate) fn reasons() -> Vec<&'static str> {
    row::reasons(TRACES)
}

/// The spans of a request to each of three domains: without a word of its trace, with `traceparent`,
/// and with `b3`.
struct Spans(Vec<Span>);

impl Spans {
    #[track_caller]
    fn decision(&self, domain: &str) -> &Span {
        let is_it = |it: &&Span| it.attributes.get("domain").is_some_and(|it| it == domain);
        self.0.iter().find(is_it).unwrap()
    }

    #[track_caller]
    fn request(&self, domain: &str) -> &Span {
        let decision = self.decision(domain);
        self.0.iter().find(|it| it.id == decision.parent).unwrap()
    }
}

const TRACES: &[Row<Ask<Spans>>] = &[
    same(
        "a request over gRPC is a server's span, with its method and its code",
        |it| {
            let span = it.request("plain");
            let code = &span.attributes["rpc.grpc.status_code"];
            format!("{} {} {code}", span.kind, span.name)
        },
        "2 envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit 0",
    ),
    same(
        "of a trace of its own where the caller has none",
        |it| it.request("plain").parent.clone(),
        "",
    ),
    same(
        "and of the caller's where `traceparent` names one",
        |it| {
            let span = it.request("w3c");
            format!("{} {}", span.trace, span.parent)
        },
        "4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7",
    ),
    differs(
        "or `b3`",
        |it| (it.request("b3").trace == TRACE).to_string(),
        "false",
        "drop-in 15: Envoy's OpenTelemetry tracer does not send it",
    ),
    same(
        "below it is a span of the decision, with the domain",
        |it| it.decision("plain").name.clone(),
        "ShouldRateLimit Execution",
    ),
    differs(
        "and with the request as text",
        |it| format!("{:?}", it.0).contains("secret").to_string(),
        "false",
        "drop-in 15: values may be keys of clients",
    ),
    same(
        "the service goes by the names of the variables",
        |it| {
            let names = ["service.name", "service.namespace", "service.instance.id"];
            names.map(|name| it.0[0].resource[name].as_str()).join(" ")
        },
        "RateLimit limits seven",
    ),
];

fn spans() -> Spans {
    let collector = Collector::start(Protocol::Http);
    let url = collector.url();
    let variables = [
        ("TRACING_ENABLED", "true"),
        ("TRACING_SERVICE_NAMESPACE", "limits"),
        ("TRACING_SERVICE_INSTANCE_ID", "seven"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
    ];
    let mut world = World::start("domain: d\n", &[&memory()[..], &variables].concat());
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut rls = RateLimitServiceClient::new(channel(world.service.grpc()).await);
        let w3c = format!("00-{TRACE}-{CALLER}-01");
        let b3 = format!("{TRACE}-{CALLER}-1");
        for (domain, header) in [
            ("plain", None),
            ("w3c", Some(("traceparent", w3c))),
            ("b3", Some(("b3", b3))),
        ] {
            let asked = request(domain, &[&[("user", "secret")]]);
            let mut asked = tonic::Request::new(asked);
            if let Some((name, value)) = header {
                asked.metadata_mut().insert(name, value.parse().unwrap());
            }
            rls.should_rate_limit(asked).await.unwrap();
        }
    });
    assert!(world.service.terminate().success());
    Spans(collector.wait_for(6))
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
