//! A whole call: client, wire, limiter, store and back, all on one machine.

use std::time::Duration;

use criterion::Criterion;
use criterion::Throughput;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tempfile::NamedTempFile;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::child::Server;
use crate::now;
use crate::served::RULES;

type Client = RateLimitServiceClient<Channel>;

/// The calls on Redis are left out where there is no `redis-server`.
pub(crate) fn bench(criterion: &mut Criterion) {
    let rules = NamedTempFile::with_suffix(".yaml").expect("there is room");
    std::fs::write(rules.path(), RULES).expect("there is room");
    bench_on(
        criterion,
        "call_on_null",
        &Server::null("null", &["2"]),
        &["vast"],
    );
    let keys = ["vast", "tiny"];
    let service = Server::slidegate("memory", rules.path(), &[]);
    bench_on(criterion, "call_on_memory", &service, &keys);
    if let Some(redis) = Server::redis() {
        let url = format!("redis://{}/0", redis.address());
        let service = Server::slidegate(&url, rules.path(), &[]);
        bench_on(criterion, "call_on_redis", &service, &keys);
    }
}

fn bench_on(criterion: &mut Criterion, group: &str, server: &Server, keys: &[&'static str]) {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs nothing");
    let connect = || runtime.block_on(connect(server.address()));
    let clients: Vec<_> = (0..CONNECTIONS).map(|_| connect()).collect();
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    for key in keys {
        for (name, streams) in [("one_at_a_time", 1), ("200_at_once", CONNECTIONS * STREAMS)] {
            group.bench_function(format!("{key}_{name}"), |bencher| {
                bencher.iter_custom(|n| runtime.block_on(call_all(&clients, key, n, streams)));
            });
        }
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

async fn connect(address: &str) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("the address is right").connect().await;
    let mut client = Client::new(channel.expect("the service listens"));
    // The service listens before its store answers.
    while client.should_rate_limit(request("tiny")).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client
}

const CONNECTIONS: usize = 4;
const STREAMS: usize = 50;
