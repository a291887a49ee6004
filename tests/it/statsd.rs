//! Metrics as a statsd server gets them.

use std::io::Read;
use std::net::TcpListener;
use std::net::UdpSocket;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use tempfile::TempDir;

use crate::support::PATIENCE;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn over_tcp_as_envoyproxy_ratelimit_does_unless_told_otherwise() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = rules();
    let mut service = drop_in(
        &folder,
        &[
            ("STATSD_HOST", "127.0.0.1"),
            ("STATSD_PORT", &port(server.local_addr().unwrap())),
            ("STATS_FLUSH_INTERVAL", "1h"),
            ("EXTRA_TAGS", "zone:a.b,env:test"),
        ],
    );
    let mut rls = service.rls().await;
    for _ in 0..3 {
        rls.ask(hit()).await.unwrap();
    }
    // The last counts are sent at the end.
    assert!(service.terminate().success(), "{}", service.log());
    let mut text = String::new();
    let (mut stream, _) = server.accept().unwrap();
    stream.read_to_string(&mut text).unwrap();
    let tags = ".__env=test.__zone=a_b";
    let rule = "ratelimit.service.rate_limit.shop.user";
    for expected in [
        format!("{rule}.total_hits{tags}:3|c"),
        format!("{rule}.within_limit{tags}:2|c"),
        format!("{rule}.near_limit{tags}:1|c"),
        format!("{rule}.over_limit{tags}:1|c"),
        format!("ratelimit_server.ShouldRateLimit.total_requests{tags}:3|c"),
        format!("ratelimit.service.config_load_success{tags}:1|c"),
    ] {
        assert!(text.lines().any(|it| it == expected), "{expected}:\n{text}");
    }
    assert!(
        !text.contains("shadow_mode"),
        "nothing is sent of what did not change"
    );
    let name = format!("ratelimit_server.ShouldRateLimit.response_time{tags}:");
    let times = text.lines().filter_map(|line| line.strip_prefix(&name));
    let times = times.map(|it| match it.split_once("|ms|@") {
        None => 1.0,
        Some((_, rate)) => 1.0 / rate.parse::<f64>().unwrap(),
    });
    assert_eq!(times.sum::<f64>(), 3.0, "{text}");
}

#[tokio::test]
async fn over_udp_again_and_again_what_has_changed() {
    let (server, address) = udp();
    let folder = rules();
    let service = drop_in(
        &folder,
        &[
            ("USE_STATSD", "true"),
            ("STATSD_PROTOCOL", "udp"),
            ("STATSD_HOST", "127.0.0.1"),
            ("STATSD_PORT", &address),
            ("STATS_FLUSH_INTERVAL", "50ms"),
            // Both can be had at once.
            ("USE_PROMETHEUS", "true"),
            ("PROMETHEUS_ADDR", "127.0.0.1:0"),
        ],
    );
    let mut rls = service.rls().await;
    let total = "ratelimit.service.rate_limit.shop.user.total_hits:1|c";
    for _ in 0..2 {
        rls.ask(hit()).await.unwrap();
        received(&server, total);
    }
    assert_eq!(Call::get("/metrics").send(service.metrics()).status, 200);
}

#[tokio::test]
async fn dogstatsd_gets_tags_of_its_own_form() {
    let (server, address) = udp();
    let folder = rules();
    let service = drop_in(
        &folder,
        &[
            ("USE_DOG_STATSD", "true"),
            ("STATSD_HOST", "127.0.0.1"),
            ("STATSD_PORT", &address),
            ("STATS_FLUSH_INTERVAL", "50ms"),
            ("EXTRA_TAGS", "env:test"),
            ("USE_DOG_STATSD_MOGRIFIERS", "hits"),
            (
                "DOG_STATSD_MOGRIFIER_HITS_PATTERN",
                r"rate_limit\.(.+)\.(.+)\.within_limit$",
            ),
            ("DOG_STATSD_MOGRIFIER_HITS_NAME", "passed"),
            ("DOG_STATSD_MOGRIFIER_HITS_TAGS", "domain:$1,key:$2"),
        ],
    );
    let mut rls = service.rls().await;
    for line in [
        "ratelimit.service.rate_limit.shop.user.total_hits:1|c|#env:test",
        "passed:1|c|#env:test,domain:shop,key:user",
    ] {
        rls.ask(hit()).await.unwrap();
        received(&server, line);
    }
}

#[tokio::test]
async fn a_server_that_is_away_costs_nothing_and_gets_all_counts_when_it_comes() {
    let address = free_address();
    let server = address.to_string();
    let service = Service::start(&["--statsd-addr", &server, "--statsd-interval", "50ms"]);
    let mut rls = service.rls().await;
    for _ in 0..5 {
        rls.ask(hit()).await.unwrap();
    }
    service.wait_for_log("no statsd server, counts are kept for it");
    let listener = TcpListener::bind(address).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let total = "ratelimit_server.ShouldRateLimit.total_requests:5|c\n";
    assert!(text.contains(total), "{text}");
    service.wait_for_log("the statsd server takes counts again");
    let said = service.log().matches("no statsd server").count();
    assert_eq!(said, 1, "{}", service.log());
}

#[test]
fn what_is_no_server_ends_the_start() {
    for (environment, expected) in [
        (
            &[("STATSD_PORT", "70000")][..],
            "STATSD_PORT=70000: expected a port",
        ),
        (
            &[("STATSD_PROTOCOL", "sctp")],
            "STATSD_PROTOCOL=sctp: expected tcp or udp",
        ),
        (
            &[("EXTRA_TAGS", "a=b")],
            "EXTRA_TAGS=a=b: expected pairs such as key:value",
        ),
        (
            &[("STATS_FLUSH_INTERVAL", "0")],
            "STATS_FLUSH_INTERVAL=0: expected more than nothing",
        ),
        (&[("SLIDEGATE_STATSD_ADDR", "a")], "expected host:port"),
    ] {
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(environment.iter().copied());
        let mut process = Process::start(&mut command);
        let line = process.line_with(expected);
        assert!(line.is_some(), "{expected}: {:?}", process.lines());
        assert_eq!(process.wait().code(), Some(2));
    }
}

fn hit() -> RateLimitRequest {
    request("shop", &[&[("user", "anna")]])
}

/// A limit of two a day.
fn rules() -> TempDir {
    let folder = TempDir::new().unwrap();
    let rules = "domain: shop\ndescriptors:\n\
                 - {key: user, rate_limit: {unit: day, requests_per_unit: 2}}\n\
                 - {key: shadow, shadow_mode: true, rate_limit: {unit: day, requests_per_unit: 2}}\n";
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/shop.yaml"), rules).unwrap();
    folder
}

#[track_caller]
fn drop_in(folder: &TempDir, environment: &[(&str, &str)]) -> Service {
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs([
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("GRPC_HOST", "127.0.0.1"),
        ("GRPC_PORT", "0"),
        ("DEBUG_PORT", "0"),
        ("RUNTIME_ROOT", folder.path().to_str().unwrap()),
        ("RUNTIME_SUBDIRECTORY", "."),
        ("SLIDEGATE_STORE", "memory"),
        ("SLIDEGATE_DRAIN_DELAY", "0s"),
        ("LOG_LEVEL", "info"),
    ]);
    command.envs(environment.iter().copied());
    Service::of(Process::start(&mut command))
}

fn udp() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = port(socket.local_addr().unwrap());
    (socket, port)
}

fn port(address: std::net::SocketAddr) -> String {
    address.port().to_string()
}

/// Waits for a line.
#[track_caller]
fn received(server: &UdpSocket, line: &str) {
    eventually("the line arrives", || {
        let mut bytes = [0; 65_536];
        let length = server.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        text.lines().any(|it| it == line).then_some(())
    });
}
