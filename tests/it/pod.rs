//! The pod that Envoy Gateway 1.9 deploys for rate limits, with this program in it: started as there,
//! told its rules as there, asked by a real Envoy over mTLS.

mod configuration;
mod container;
mod policies;
pub(crate) mod resources;
mod scenarios;

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;
use slidegate::source;
use slidegate::source::file::File;
use tempfile::TempDir;

use crate::envoy::backend;
use crate::envoy::bootstrap::Surroundings;
use crate::envoy::proxy::Envoy;
use crate::pod::configuration::SERVICE;
use crate::pod::configuration::configuration;
use crate::pod::container::Container;
use crate::support::ads::Ads;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::collector::Collector;
use crate::support::collector::Protocol;
use crate::support::collector::Span;
use crate::support::eventually;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::namespaces;
use crate::support::now;
use crate::support::redis::Redis;

#[test]
fn the_deployment_of_envoy_gateway_works_with_nothing_but_the_program_exchanged() {
    let this = "pod::the_deployment_of_envoy_gateway_works_with_nothing_but_the_program_exchanged";
    if !namespaces::entered(this) {
        return;
    }
    let Some(mut pod) = Pod::start() else {
        return;
    };
    pod.is_as_envoy_gateway_made_it();
    pod.push();
    let Some(envoy) = pod.envoy() else {
        return;
    };
    scenarios::pass(&pod, &envoy);
    pod.goes_on_without_redis();
    pod.drains(&envoy);
    pod.was_traced();
}

/// The pod with what it needs around it.
#[derive(Debug)]
struct Pod {
    container: Container,
    ads: Ads,
    collector: Collector,
    redis: Redis,
    envoy_certificates: Secret,
    _certificates: [Secret; 2],
    _folder: TempDir,
}

impl Pod {
    fn start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let hosts = folder.path().join("hosts");
        // What the cluster's DNS would say.
        let names = [
            "envoy-gateway",
            "otel-collector.monitoring",
            "redis.redis-system.svc",
            SERVICE,
        ];
        namespaces::name_loopback(&hosts, &names);
        let redis = Redis::start()?;
        let authority = Authority::rsa();
        let names = [
            "envoy-gateway",
            "envoy-gateway.envoy-gateway-system",
            "envoy-gateway.envoy-gateway-system.svc",
        ];
        let of_server = Secret::new(&authority, &authority.issue(&names));
        let of_both = authority.issue(&["*.envoy-gateway-system"]);
        let certificates = Secret::new(&authority, &of_both);
        let ads = Ads::start_at(([127, 0, 0, 1], 18_001).into(), Some(&of_server));
        let collector = ([127, 0, 0, 1], 4_318).into();
        let collector = Collector::start_at(collector, Protocol::Http, None);
        let url = format!("redis.redis-system.svc:{}", redis.address().port());
        Some(Self {
            container: Container::start(&hosts, &certificates, &url),
            ads,
            collector,
            redis,
            envoy_certificates: Secret::new(&authority, &of_both),
            _certificates: [of_server, certificates],
            _folder: folder,
        })
    }

    /// Ports, probes, logs, and what the process may do.
    #[track_caller]
    fn is_as_envoy_gateway_made_it(&self) {
        self.logged("listening");
        // As the kubelet probes: at the pod's address, before there are rules.
        let probe = Call::get("/healthcheck");
        eventually("the startup probe passes", || {
            (probe.try_send(pod_port(8080)).ok()?.status == 200).then_some(())
        });
        for (file, expected) in [
            ("cmdline", "/bin/ratelimit\0"),
            ("status", "CapEff:\t0000000000000000"),
            ("status", "NoNewPrivs:\t1"),
            // User 65534 is all that there is.
            ("uid_map", " 65534 "),
            ("mountinfo", " / / ro,"),
        ] {
            let text = self.container.of_the_process(file);
            assert!(text.contains(expected), "{file}: {text}");
        }
        // The Service has these; the debug port is for who is in the pod, as egctl is.
        for port in [8081, 19_001] {
            std::net::TcpStream::connect(pod_port(port)).unwrap();
        }
        std::net::TcpStream::connect(pod_port(6070)).unwrap_err();
        assert_eq!(rlconfig(), "");
        self.logged("subscribing to rules");
        self.logged("clients need no certificate");
        let node = self.ads.request(|_| true).node.unwrap();
        assert_eq!(node.id, "envoy-ratelimit");
        // Nobody has pushed anything, so that Envoy's failure mode decides.
        let (code, reason) = decide(&json!({"domain": "any", "descriptors": [{}]}));
        assert_eq!(code, 400);
        assert!(
            reason.contains("no rate limit configuration loaded"),
            "{reason}"
        );
    }

    /// Pushes the rules of the policies.
    #[track_caller]
    fn push(&self) {
        let file = File {
            name: "policies.yaml".into(),
            text: policies::stream(),
        };
        let derived = match source::derived(&[file], "default") {
            Ok(derived) => derived,
            Err(faults) => panic!("{faults}"),
        };
        self.ads.push(resources::resources(&derived.domains));
        self.ads.accepted("1");
        let lines = rlconfig();
        assert!(lines.lines().count() > 20, "{lines}");
        let line = "default/shared-cost.default/shared-cost/rule/0_default/shared-cost/rule/0.\
                    rule-0-match-0_rule-0-match-0: unit=HOUR requests_per_unit=4, \
                    shadow_mode: false, quota_mode: false\n";
        assert!(lines.contains(line), "{lines}");
        reaches_redis();
    }

    /// A real Envoy in front.
    #[track_caller]
    fn envoy(&self) -> Option<Envoy> {
        let manifests: Vec<Value> = serde_saphyr::from_multiple(&policies::stream()).unwrap();
        let authority = Authority::new();
        let around = Surroundings {
            services: &[],
            backend: backend::start(),
            authority: &authority,
            fail_closed: true,
        };
        let file = self.envoy_certificates.file("ca.crt");
        let certificates = file.parent().unwrap();
        Envoy::start(&configuration(&manifests, around, certificates))
    }

    /// The probes do not depend on Redis.
    #[track_caller]
    fn goes_on_without_redis(&mut self) {
        self.redis.kill();
        self.logged("no connection to redis");
        assert_eq!(Call::get("/healthcheck").send(pod_port(8080)).status, 200);
        self.redis.start_again();
        reaches_redis();
    }

    /// SIGTERM: unready at once, requests go on for the five seconds in which endpoints are
    /// changed, then GOAWAY and the end.
    #[track_caller]
    fn drains(&mut self, envoy: &Envoy) {
        let begin = now();
        self.container.process.signal("TERM");
        eventually("the readiness probe fails", || {
            (Call::get("/healthcheck").send(pod_port(8080)).status == 500).then_some(())
        });
        let call = Call::get("/").header("host", "query.example.com");
        let answer = call.send(envoy.address("default/eg/http"));
        assert_eq!(answer.status, 200, "{answer:?}");
        let status = self.container.process.wait();
        assert!(status.success(), "{:?}", self.container.process.lines());
        assert!(begin.elapsed().as_secs() >= 5, "GOAWAY came early");
        let goaways = envoy.stat("cluster.ratelimit_cluster.upstream_cx_close_notify");
        assert_eq!(goaways, 1);
    }

    /// What Envoy asked has spans, under the pod's name; some are lost where more come than are kept.
    #[track_caller]
    fn was_traced(&self) {
        let spans = self.collector.spans();
        let named = |it: &&Span| it.resource["service.instance.id"].starts_with("envoy-ratelimit-");
        let decisions = spans.iter().filter(named);
        for verdict in ["true", "false"] {
            let is_it = |it: &Span| {
                it.attributes
                    .get("over_limit")
                    .is_some_and(|it| it == verdict)
            };
            assert!(decisions.clone().any(is_it), "{} spans", spans.len());
        }
    }

    #[track_caller]
    fn logged(&self, text: &str) {
        let line = self.container.process.line_with(text);
        assert!(line.is_some(), "{:?}", self.container.process.lines());
    }
}

/// Waits until Redis answers the pod.
#[track_caller]
fn reaches_redis() {
    eventually("Redis answers", || {
        let page = Call::get("/metrics").send(pod_port(19_001)).body;
        page.contains("slidegate_store_connected{store=\"redis\"} 1")
            .then_some(())
    });
}

/// A port of the pod at its own address, which is not that of the loopback.
fn pod_port(port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, 7), port).into()
}

/// What `egctl config envoy-ratelimit` prints: it forwards the port to the pod's loopback.
#[track_caller]
fn rlconfig() -> String {
    Call::get("/rlconfig")
        .send((Ipv4Addr::LOCALHOST, 6070).into())
        .body
}

/// Asks the service itself.
#[track_caller]
fn decide(message: &Value) -> (u16, String) {
    let Answer { status, body, .. } = Call::post("/json", message.to_string()).send(pod_port(8080));
    (status, body)
}
