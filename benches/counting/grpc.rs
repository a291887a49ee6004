//! A whole call: client, wire, limiter, store and back, all on one machine.

use std::process::Command;
use std::time::Duration;

use criterion::Criterion;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tempfile::NamedTempFile;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::child::Server;
use crate::child::free_port;
use crate::memory::RULES;
use crate::now;

type Client = RateLimitServiceClient<Channel>;

/// The calls on Redis are left out where there is no `redis-server`.
pub(crate) fn bench(criterion: &mut Criterion) {
    let memory = "memory".to_owned();
    bench_on(criterion, "call_on_memory", &memory);
    if let Some((_redis, port)) = Server::redis() {
        bench_on(
            criterion,
            "call_on_redis",
            &format!("redis://127.0.0.1:{port}/0"),
        );
    }
}

fn bench_on(criterion: &mut Criterion, group: &str, store: &str) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let (_service, _rules, port) = service(store);
    let connect = || runtime.block_on(connect(port));
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
    let mut group = criterion.benchmark_group(group);
    for (name, key, streams) in [
        ("admitted_hot_key_one_at_a_time", "vast", 1),
        ("refused_hot_key_one_at_a_time", "tiny", 1),
        (
            "admitted_hot_key_200_at_once",
            "vast",
            CONNECTIONS * STREAMS,
        ),
        ("refused_hot_key_200_at_once", "tiny", CONNECTIONS * STREAMS),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|n| runtime.block_on(call_all(&clients, key, n, streams)));
        });
    }
    group.finish();
}

/// Makes `n` calls, always `streams` at once, over all connections.
async fn call_all(clients: &[Client], key: &'static str, n: u64, streams: usize) -> Duration {
    let begin = now();
    let mut callers = JoinSet::new();
    for (stream, client) in clients.iter().cycle().take(streams).enumerate() {
        let mut client = client.clone();
        let n_calls = (stream..usize::try_from(n).expect("64 bits")).step_by(streams);
        callers.spawn(async move {
            for _ in n_calls {
                let mut call = tonic::Request::new(request(key));
                call.set_timeout(Duration::from_secs(10));
                let answered = client.should_rate_limit(call).await;
                answered.expect("the service answers");
            }
        });
    }
    callers.join_all().await;
    begin.elapsed()
}

fn request(key: &str) -> RateLimitRequest {
    let entry = Entry {
        key: key.to_owned(),
        value: "user".to_owned(),
    };
    RateLimitRequest {
        domain: "bench".to_owned(),
        descriptors: vec![RateLimitDescriptor {
            entries: vec![entry],
            ..RateLimitDescriptor::default()
        }],
        hits_addend: 0,
    }
}

async fn connect(port: u16) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"));
    let channel = endpoint.expect("the address is right").connect().await;
    let channel = channel.expect("the service listens");
    wait_until_it_serves(channel.clone()).await;
    RateLimitServiceClient::new(channel)
}

async fn wait_until_it_serves(channel: Channel) {
    let all = HealthCheckRequest::default();
    let watch = HealthClient::new(channel).watch(all).await;
    let mut watch = watch.expect("the service answers").into_inner();
    while let Ok(Some(health)) = watch.message().await {
        if health.status() == ServingStatus::Serving {
            return;
        }
    }
    panic!("the service ended");
}

/// The service with its rule file and its gRPC port.
fn service(store: &str) -> (Server, NamedTempFile, u16) {
    let rules = NamedTempFile::with_suffix(".yaml").expect("there is room");
    std::fs::write(rules.path(), RULES).expect("there is room");
    let port = free_port();
    let server = Server::start(
        Command::new(env!("CARGO_BIN_EXE_slidegate"))
            .args(["serve", "--store", store])
            .arg("--rules")
            .arg(rules.path())
            .args(["--grpc-addr", &format!("127.0.0.1:{port}")])
            .args(["--http-addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0"])
            .args(["--metrics-addr", "127.0.0.1:0"]),
        "listening",
    );
    (server.expect("the binary is built"), rules, port)
}

const CONNECTIONS: usize = 4;
const STREAMS: usize = 50;
