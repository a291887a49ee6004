//! The process in the place of envoyproxy/ratelimit: its name, its environment, its files, its probes.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use slidegate::settings::drop_in::variables::VARIABLES;
use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::ads::Ads;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::service::Service;
use crate::support::service::slidegate;
use crate::xds::config;

#[test]
fn the_page_lists_every_variable_as_the_code_has_it() {
    let path = in_project("docs/drop-in.md");
    let page = fs::read_to_string(&path).unwrap();
    let rows: String = VARIABLES
        .iter()
        .map(|it| {
            let default = match it.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let row = format!(
                "| `{}` | {default} | {} | {} |",
                it.name,
                it.state.name(),
                it.note
            );
            row.replace("  ", " ") + "\n"
        })
        .collect();
    let (head, listed) = page.split_once(TABLE).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|it| it == "1") {
        fs::write(&path, format!("{head}{TABLE}{rows}")).unwrap();
        return;
    }
    assert_eq!(listed, rows, "UPDATE_GOLDEN=1 writes it");
}

#[test]
fn under_the_name_of_the_other_it_reads_the_environment_of_the_other() {
    let dir = TempDir::new().unwrap();
    let files = dir.path().join("ratelimit/config");
    fs::create_dir_all(&files).unwrap();
    fs::write(files.join("shop"), rules("shop", 1)).unwrap();
    let program = dir.path().join("bin/ratelimit");
    fs::create_dir(dir.path().join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_slidegate"), &program).unwrap();
    let mut command = Command::new(&program);
    command.env_clear().envs(local()).envs(memory());
    command.envs([
        ("RUNTIME_ROOT", dir.path().to_str().unwrap()),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("PROMETHEUS_PATH", "/prometheus"),
        ("REDIS_POOL_SIZE", "20"),
        ("NEAR_LIMIT_RATIO", ""),
    ]);
    let mut service = Service::of(Process::start(&mut command));
    assert!(page(&service).starts_with("shop.user: unit=DAY requests_per_unit=1,"));
    assert_eq!(Call::get("/prometheus").send(service.metrics()).status, 200);
    assert_eq!(Call::get("/metrics").send(service.metrics()).status, 404);
    service.wait_for_log("REDIS_POOL_SIZE has no effect: requests share one connection");
    assert_eq!(service.log().matches("has no effect").count(), 1);
    service.signal("INT");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
fn what_cannot_be_read_ends_the_start_with_the_name_of_the_variable() {
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs([("BACKEND_TYPE", "memcache"), ("GRPC_PORT", "70000")]);
    let mut process = Process::start(&mut command);
    for expected in [
        "GRPC_PORT=70000: expected a port from 0 to 65535",
        "BACKEND_TYPE=memcache: memcached cannot count sliding windows: use redis",
    ] {
        assert!(process.line_with(expected).is_some(), "{expected}");
    }
    assert_eq!(process.wait().code(), Some(2));
}

#[test]
fn without_prometheus_there_is_no_port_for_it() {
    let metrics = free_address();
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs(local()).envs(memory()).envs([
        ("USE_PROMETHEUS", "false"),
        ("PROMETHEUS_ADDR", &metrics.to_string()),
    ]);
    let process = Process::start(&mut command);
    assert!(process.line_with("no limit is in force").is_some());
    let line = process.line_where(|it| it.contains("listening") && it.contains("\"HTTP\""));
    assert!(line.is_some());
    assert!(Call::get("/metrics").try_send(metrics).is_err());
}

#[test]
fn a_link_to_the_root_that_is_swapped_is_a_change_and_domains_are_merged_when_that_is_asked_for() {
    let dir = TempDir::new().unwrap();
    let version = |n: u32| {
        let files = dir.path().join(format!("{n}/config"));
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("a.yaml"), rules("shop", n)).unwrap();
        let other = rules("shop", n).replace("user", "other");
        fs::write(files.join("b.yaml"), other).unwrap();
        symlink(n.to_string(), dir.path().join("new")).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("current")).unwrap();
    };
    version(1);
    let root = dir.path().join("current");
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs(local()).envs(memory()).envs([
        ("RUNTIME_ROOT", root.to_str().unwrap()),
        ("RUNTIME_SUBDIRECTORY", "."),
        ("MERGE_DOMAIN_CONFIG", "true"),
    ]);
    let service = Service::of(Process::start(&mut command));
    let limits = |n: u32| {
        let line = |key: &str| {
            format!(
                "shop.{key}: unit=DAY requests_per_unit={n}, shadow_mode: false, quota_mode: false\n"
            )
        };
        line("other") + &line("user")
    };
    assert_eq!(page(&service), limits(1));
    version(2);
    eventually("the new limits are in force", || {
        (page(&service) == limits(2)).then_some(())
    });

    command.env("MERGE_DOMAIN_CONFIG", "false");
    let mut process = Process::start(&mut command);
    assert!(process.line_with("domain `shop` stands in").is_some());
    assert_eq!(process.wait().code(), Some(1));
}

#[tokio::test]
async fn without_being_told_to_start_it_waits_for_the_first_rules() {
    let ads = Ads::start();
    let [grpc, http] = [free_address(), free_address()];
    let (grpc_port, http_port) = (grpc.port().to_string(), http.port().to_string());
    let server = ads.address().to_string();
    let xds = |force: &'static str| {
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs(memory()).envs([
            ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
            ("CONFIG_GRPC_XDS_SERVER_URL", &server),
            ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
            ("FORCE_START_WITHOUT_INITIAL_CONFIG", force),
            ("GRPC_PORT", &grpc_port),
            ("PORT", &http_port),
        ]);
        command
    };
    let process = Process::start(&mut xds("false"));
    ads.request(|_| true);
    assert!(Call::get("/healthcheck").try_send(http).is_err());
    ads.push(vec![config("shop", &[("user", 1)])]);
    let service = Service::of(process);
    assert!(page(&service).starts_with("shop.user: "));
    drop(service);

    // One that waits can be told to stop all the same.
    let silent = Ads::start();
    let mut command = xds("false");
    command.env("CONFIG_GRPC_XDS_SERVER_URL", silent.address().to_string());
    let mut process = Process::start(&mut command);
    silent.request(|_| true);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));

    let mut command = xds("true");
    command.env("CONFIG_GRPC_XDS_SERVER_URL", silent.address().to_string());
    command.env("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", "true");
    let service = Service::of_unhealthy(Process::start(&mut command));
    let healthcheck = || Call::get("/healthcheck").send(service.http()).status;
    assert_eq!(healthcheck(), 500);
    service.reports(ServingStatus::NotServing).await;
    silent.push(vec![config("shop", &[("user", 1)])]);
    silent.accepted("1");
    service.serves().await;
    assert_eq!(healthcheck(), 200);
    silent.push(Vec::new());
    silent.accepted("2");
    assert_eq!(healthcheck(), 500);
}

#[tokio::test]
async fn a_redis_that_goes_away_is_a_matter_of_health_only_when_asked_for() {
    for (follows, expected) in [("true", 500), ("false", 200)] {
        let Some(mut redis) = Redis::start() else {
            return;
        };
        let url = redis.url();
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs([
            ("REDIS_SOCKET_TYPE", "tcp"),
            ("REDIS_URL", url.as_str()),
            ("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", follows),
        ]);
        let service = Service::of_unhealthy(Process::start(&mut command));
        service.serves().await;
        assert_eq!(Call::get("/healthcheck").send(service.http()).status, 200);
        redis.kill();
        eventually("it notices", || {
            let connected = service.metric(r#"slidegate_store_connected{store="redis"}"#);
            (connected == 0.0).then_some(())
        });
        let status = if expected == 200 {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        service.reports(status).await;
        let answer = Call::get("/healthcheck").send(service.http());
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test]
async fn tls_is_that_of_the_environment() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["envoy-gateway"]));
    let own = Secret::new(&authority, &authority.issue(&["*.envoy-gateway-system"]));
    let ads = Ads::start_secured(&server);
    ads.push(vec![config("shop", &[("user", 1)])]);
    let (ca, certificate, key) = (own.path("ca.crt"), own.path("tls.crt"), own.path("tls.key"));
    let address = ads.address().to_string();
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs(local()).envs(memory()).envs([
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", address.as_str()),
        ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
        ("CONFIG_GRPC_XDS_NODE_METADATA", "zone=a,rack=7"),
        ("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true"),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", &certificate),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_KEY", &key),
        ("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", &ca),
        ("CONFIG_GRPC_XDS_SERVER_TLS_SAN", "envoy-gateway"),
        ("FORCE_START_WITHOUT_INITIAL_CONFIG", "true"),
        ("GRPC_SERVER_USE_TLS", "true"),
        ("GRPC_SERVER_TLS_CERT", &certificate),
        ("GRPC_SERVER_TLS_KEY", &key),
        ("GRPC_CLIENT_TLS_CACERT", &ca),
        ("GRPC_CLIENT_TLS_SAN", "envoy.envoy-gateway-system"),
    ]);
    let service = Service::of(Process::start(&mut command));
    ads.accepted("1");
    let node = ads.requests().remove(0).node.unwrap();
    assert_eq!(node.metadata.unwrap().fields.len(), 2);
    service.wait_for_log("clients must show a certificate");
    let line = service.wait_for_log("name=");
    assert!(line.contains("envoy.envoy-gateway-system"), "{line}");
}

/// Local addresses with ports that the system chooses, and lines that say which.
pub(crate) fn local() -> [(&'static str, &'static str); 11] {
    [
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("GRPC_HOST", "127.0.0.1"),
        ("GRPC_PORT", "0"),
        ("DEBUG_PORT", "0"),
        ("USE_PROMETHEUS", "1"),
        ("PROMETHEUS_ADDR", "127.0.0.1:0"),
        ("LOG_LEVEL", "Info"),
        ("USE_STATSD", "f"),
        ("SLIDEGATE_DRAIN_DELAY", "0s"),
        ("REDIS_SOCKET_TYPE", "tcp"),
    ]
}

/// Tests that count nothing need no Redis.
pub(crate) fn memory() -> [(&'static str, &'static str); 1] {
    [("SLIDEGATE_STORE", "memory")]
}

fn rules(domain: &str, requests: u32) -> String {
    format!(
        "domain: {domain}\ndescriptors:\n- key: user\n  rate_limit:\n    unit: day\n    \
         requests_per_unit: {requests}\n"
    )
}

/// What `/rlconfig` says.
#[track_caller]
fn page(service: &Service) -> String {
    Call::get("/rlconfig").send(service.debug()).body
}

/// Where the table of the page begins.
const TABLE: &str = "|---|---|---|---|\n";
