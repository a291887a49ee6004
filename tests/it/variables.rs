//! Redis as the variables of envoyproxy/ratelimit name it, in its place.

use std::fs;

use tempfile::TempDir;

use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinel::PASSWORD;
use crate::support::redis::sentinel::Watched;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn tls_with_certificates_of_either_side() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let client = Secret::new(&authority, &authority.issue(&["*.envoy-gateway-system"]));
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let (ca, cert, key) = (
        client.path("ca.crt"),
        client.path("tls.crt"),
        client.path("tls.key"),
    );
    let url = format!("localhost:{}", redis.tls_port());
    let values = [
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", &url),
        ("REDIS_TLS", "true"),
        ("REDIS_TLS_CACERT", &ca),
        ("REDIS_TLS_CLIENT_CERT", &cert),
        ("REDIS_TLS_CLIENT_KEY", &key),
    ];
    counts_exactly(&values).await;
    redis.command::<()>("FLUSHALL");
    let url = format!("127.0.0.1:{}", redis.tls_port());
    let any_name = [
        ("REDIS_URL", url.as_str()),
        ("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "true"),
    ];
    counts_exactly(&[values.as_slice(), &any_name].concat()).await;
}

#[tokio::test]
async fn a_unix_socket_is_what_there_is_unless_told_otherwise() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let arguments = ["--unixsocket", socket, "--requirepass", "p@ss:w"];
    let Some(_redis) = Redis::start_with(&arguments) else {
        return;
    };
    counts_exactly(&[("REDIS_URL", socket), ("REDIS_AUTH", "default:p@ss:w")]).await;
}

#[tokio::test]
async fn sentinels_are_asked_for_the_master_with_a_login_of_their_own() {
    let Some(watched) = Watched::start() else {
        return;
    };
    let url = watched.url();
    let (sentinels, master) = url
        .strip_prefix("redis+sentinel://")
        .and_then(|it| it.split_once('/'))
        .unwrap();
    let url = format!("{master},{sentinels}");
    counts_exactly(&[
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_TYPE", "sentinel"),
        ("REDIS_URL", &url),
        ("REDIS_SENTINEL_AUTH", PASSWORD),
    ])
    .await;
    let n_keys: u64 = watched.servers[0].command("DBSIZE");
    assert!(n_keys > 0);
}

#[tokio::test]
async fn a_cluster_counts_most_limits_and_another_server_those_per_second() {
    let (Some(cluster), Some(other)) = (Cluster::start(), Redis::start()) else {
        return;
    };
    let url = cluster.url().replace("redis+cluster://", "");
    let other_url = other.address().to_string();
    let service = counts_exactly(&[
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_TYPE", "CLUSTER"),
        ("REDIS_URL", &url),
        ("REDIS_PERSECOND", "true"),
        ("REDIS_PERSECOND_SOCKET_TYPE", "tcp"),
        ("REDIS_PERSECOND_URL", &other_url),
    ])
    .await;
    let mut rls = service.rls().await;
    assert!(rls.admits(request("shop", &[&[("second", "x")]])).await);
    let keys: Vec<String> = other.command("KEYS *");
    let is_there = |key: &String| key.contains("second");
    assert!(keys.iter().any(is_there), "{keys:?}");
    let elsewhere = |node: &Redis| node.command::<Vec<String>>("KEYS *user*").len();
    assert_eq!(cluster.nodes[..3].iter().map(elsewhere).sum::<usize>(), 1);
}

#[test]
fn what_lets_somebody_in_stands_nowhere_whether_it_is_right_or_wrong() {
    let protected = ["--requirepass", SECRETS[0]];
    let (Some(redis), Some(other)) = (Redis::start_with(&protected), Redis::start()) else {
        return;
    };
    let (url, other_url) = (redis.address().to_string(), other.address().to_string());
    let sentinels = format!("main,{other_url},{url}");
    for (of_main, url) in [("SINGLE", &url), ("SENTINEL", &sentinels)] {
        let service = start(&[
            ("LOG_LEVEL", "trace"),
            ("REDIS_SOCKET_TYPE", "tcp"),
            ("REDIS_TYPE", of_main),
            ("REDIS_URL", url),
            ("REDIS_AUTH", SECRETS[0]),
            ("REDIS_SENTINEL_AUTH", SECRETS[1]),
            ("REDIS_PERSECOND", "true"),
            ("REDIS_PERSECOND_SOCKET_TYPE", "tcp"),
            ("REDIS_PERSECOND_URL", &other_url),
            ("REDIS_PERSECOND_AUTH", &format!("nobody:{}", SECRETS[2])),
            ("REDIS_PERSECOND_SENTINEL_AUTH", SECRETS[3]),
        ]);
        match of_main {
            "SINGLE" => {
                service.wait_for_log(&format!("redis connected server={}", redis.address()))
            }
            _ => service.wait_for_log("redis not found"),
        };
        service.wait_for_log("authentication failed");
        let asked = ["user", "second"].map(|key| {
            let entries = format!(r#"[{{"entries": [{{"key": "{key}", "value": "x"}}]}}]"#);
            service.json(&format!(
                r#"{{"domain": "shop", "descriptors": {entries}}}"#
            ))
        });
        let pages = ["/rlconfig", "/stats", "/"].map(|it| Call::get(it).send(service.debug()));
        let metrics = Call::get("/metrics").send(service.metrics());
        let told = asked.into_iter().chain(pages).chain([metrics]);
        let told: Vec<String> = told.map(|it| it.body).chain([service.log()]).collect();
        for secret in SECRETS {
            assert!(!told.iter().any(|it| it.contains(secret)), "{told:#?}");
        }
    }
}

/// Starts the drop-in on a store and sees that a limit of ten is ten.
async fn counts_exactly(store: &[(&str, &str)]) -> Service {
    let service = start(store);
    service.serves().await;
    let mut rls = service.rls().await;
    let mut admitted = 0;
    for _ in 0..15 {
        let request = request("shop", &[&[("user", "anna")]]);
        admitted += usize::from(rls.admits(request).await);
    }
    assert_eq!(admitted, 10, "{}", service.log());
    service
}

/// Starts the drop-in on a store.
fn start(store: &[(&str, &str)]) -> Service {
    let folder = TempDir::new().unwrap();
    let files = folder.path().join("ratelimit/config");
    fs::create_dir_all(&files).unwrap();
    let rules = "domain: shop\ndescriptors:\n\
                 - {key: user, rate_limit: {unit: hour, requests_per_unit: 10}}\n\
                 - {key: second, rate_limit: {unit: second, requests_per_unit: 10}}\n";
    fs::write(files.join("shop.yaml"), rules).unwrap();
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs([
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("GRPC_HOST", "127.0.0.1"),
        ("GRPC_PORT", "0"),
        ("DEBUG_PORT", "0"),
        ("USE_STATSD", "false"),
        ("USE_PROMETHEUS", "true"),
        ("PROMETHEUS_ADDR", "127.0.0.1:0"),
        ("LOG_LEVEL", "info"),
        ("RUNTIME_ROOT", folder.path().to_str().unwrap()),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("SLIDEGATE_DRAIN_DELAY", "0s"),
    ]);
    command.envs(store.iter().copied());
    Service::of(Process::start(&mut command))
}

/// None is a part of anything else that is told.
const SECRETS: [&str; 4] = ["s3cret-main", "s3cret-watch", "s3cret-quick", "s3cret-late"];
