//! What the log says of a Redis that cannot be used, and how often; and what it never says.

use std::io::Write;

use tempfile::NamedTempFile;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::redis::permissions;
use crate::support::redis::sentinel;
use crate::support::redis::sentinel::Watched;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn a_wrong_password_is_named_once_and_the_choice_holds() {
    let Some(redis) = Redis::start_with(&["--requirepass", "right"]) else {
        return;
    };
    let proxy = Proxy::before(redis.address());
    let url = format!("redis://:{SECRET}@{}", proxy.address());
    let service = start(&["--store", &url]);
    let server = proxy.address().to_string();
    says(&service, &[&server, "authentication failed"]);
    tries(&proxy, 6);
    assert_eq!(n_complaints(&service), 1, "{}", service.log());
    counts_alone(&service).await;
    shows_no_secret(&service);
}

#[tokio::test]
async fn a_wrong_password_of_the_sentinels_is_named_once() {
    let Some(watched) = Watched::start() else {
        return;
    };
    let sentinel = watched.sentinels()[0];
    let proxy = Proxy::before(sentinel);
    let url = format!("redis+sentinel://:{SECRET}@{}/main", proxy.address());
    let service = start(&["--store", &url, "--redis-sentinel-auth", SECRET]);
    let server = proxy.address().to_string();
    says(&service, &[&server, "authentication failed"]);
    tries(&proxy, 6);
    assert_eq!(n_complaints(&service), 1, "{}", service.log());
    counts_alone(&service).await;
    shows_no_secret(&service);

    let url = format!("redis+sentinel://{}/absent", proxy.address());
    let service = start(&["--store", &url, "--redis-sentinel-auth", sentinel::PASSWORD]);
    says(&service, &[&server, "no master `absent`"]);
    counts_alone(&service).await;
}

#[tokio::test]
async fn hosts_that_are_not_there_are_named() {
    let absent = free_address().to_string();
    for (url, expected) in [
        ("redis://:s3cretpw@nowhere.invalid:7", "nowhere.invalid:7"),
        (
            "redis+cluster://:s3cretpw@nowhere.invalid:7",
            "nowhere.invalid:7",
        ),
        (
            "unix://:s3cretpw@/nowhere/redis.sock",
            "/nowhere/redis.sock",
        ),
        (&format!("redis://:s3cretpw@{absent}"), "Connection refused"),
        (
            &format!("redis+sentinel://{absent},{absent}/main"),
            &format!("{absent}: cannot be reached"),
        ),
    ] {
        let service = start(&["--store", url]);
        says(&service, &[expected]);
        counts_alone(&service).await;
        shows_no_secret(&service);
    }
}

#[tokio::test]
async fn certificates_that_have_expired_are_named_and_new_ones_are_used_when_the_files_change() {
    let authority = Authority::new();
    let expired = authority.issue_until(&["localhost"], 2_000);
    let mut server = Secret::new(&authority, &expired);
    let mut client = Secret::new(&authority, &authority.issue(&["slidegate"]));
    let Some(mut redis) = Redis::start_tls(&server) else {
        return;
    };
    let url = format!("rediss://localhost:{}", redis.tls_port());
    let service = start_tls(&url, &client);
    says(&service, &["localhost", "certificate expired"]);
    counts_alone(&service).await;

    // Another authority: the server is not trusted until the file with whom to trust changes, nor is
    // it satisfied with the certificate that it is shown until that changes.
    let other = Authority::new();
    server.swap(&other, &other.issue(&["localhost"]));
    redis.start_again();
    says(&service, &["localhost", "BadSignature"]);
    client.swap(&other, &other.issue_until(&["slidegate"], 2_000));
    service.wait_for_log("certificates refused");
    client.swap(&other, &other.issue(&["slidegate"]));
    service.serves().await;
    let reloaded = service.log().matches("certificates reloaded").count();
    assert_eq!(reloaded, 1, "{}", service.log());
}

#[tokio::test]
async fn a_certificate_of_our_own_that_has_expired_is_named() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let client = Secret::new(&authority, &authority.issue_until(&["slidegate"], 2_000));
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let url = format!("rediss://localhost:{}", redis.tls_port());
    let service = start_tls(&url, &client);
    says(&service, &["localhost", "CertificateExpired"]);
    counts_alone(&service).await;
}

#[tokio::test]
async fn a_password_in_a_file_stands_nowhere_else() {
    let Some(redis) = Redis::start_with(&["--requirepass", "right"]) else {
        return;
    };
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{SECRET}").unwrap();
    let (url, path) = (redis.url(), file.path().to_str().unwrap());
    let service = start(&["--store", &url, "--redis-password-file", path]);
    says(&service, &["authentication failed"]);
    shows_no_secret(&service);
}

#[tokio::test]
async fn slots_without_a_node_are_named() {
    let arguments = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &free_address().port().to_string(),
    ];
    let Some(redis) = Redis::start_with(&arguments) else {
        return;
    };
    let url = format!("redis+cluster://{}", redis.address());
    let service = start(&["--store", &url]);
    says(
        &service,
        &[&redis.address().to_string(), "no slot has a node"],
    );
    redis.command::<()>("CLUSTER ADDSLOTSRANGE 0 16000");
    says(&service, &["383 of 16384 slots have no node"]);
    counts_alone(&service).await;
    redis.command::<()>("CLUSTER ADDSLOTSRANGE 16001 16383");
    service.serves().await;
}

#[tokio::test]
async fn a_server_that_comes_and_goes_is_not_told_of_each_time() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let proxy = Proxy::before(redis.address());
    let service = start(&["--store", &format!("redis://{}", proxy.address())]);
    service.serves().await;
    redis.command::<()>("REPLICAOF 127.0.0.1 1");
    says(&service, &["READONLY"]);
    tries(&proxy, 12);
    let log = service.log();
    assert!(log.matches("redis connected").count() <= 2, "{log}");
    assert!(n_complaints(&service) <= 2, "{log}");
    // Half of each answer: the greeting as well.
    proxy.set(Mode::Cut);
    tries(&proxy, 12);
    assert!(n_complaints(&service) <= 5, "{log}");
}

#[tokio::test]
async fn keys_that_the_user_may_not_write_are_named_a_few_times_and_booked_when_it_may() {
    let Some(redis) = Redis::start() else {
        return;
    };
    permissions::grant(&redis, &[]);
    let url = format!(
        "redis://{}:{}@{}",
        permissions::USER,
        permissions::PASSWORD,
        redis.address()
    );
    let service = start(&["--store", &url]);
    service.serves().await;
    let message =
        r#"{"domain": "bad", "descriptors": [{"entries": [{"key": "fixed", "value": "x"}]}]}"#;
    // What passes alone cannot be booked, again and again.
    let n_refused = || {
        let log: Vec<redis::Value> = redis.command("ACL LOG");
        log.len()
    };
    let mut n_asked = 0;
    eventually("it is refused often", || {
        assert_eq!(service.json(message).status, 200);
        n_asked += 1;
        (n_asked >= 200 && n_refused() > 0).then_some(())
    });
    service.reports(ServingStatus::NotServing).await;
    says(&service, &["WARN", "no permissions"]);
    let log = service.log();
    let n_warnings = log.lines().filter(|it| it.contains("WARN")).count();
    assert!(n_warnings <= 12, "{log}");
    let hits = |fate: &str| {
        service.metric(&format!(
            r#"slidegate_fallback_hits_total{{fate="{fate}"}}"#
        ))
    };
    assert_eq!([hits("booked"), hits("lost")], [0.0, 0.0]);

    redis.command::<()>(&format!("ACL SETUSER {} ~bad*", permissions::USER));
    service.serves().await;
    assert_eq!([hits("booked"), hits("lost")], [f64::from(n_asked), 0.0]);
    // An hour may have ended meanwhile, and another key begun.
    let keys: Vec<String> = redis.command("KEYS bad*");
    let count = |key| redis.command::<u32>(&format!("GET {key}"));
    assert_eq!(keys.iter().map(count).sum::<u32>(), n_asked);
}

#[tokio::test]
async fn counts_ahead_of_the_clock_are_set_back_and_told_once() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = start(&["--store", &redis.url(), "--leases", "off"]);
    service.serves().await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "x", 6).await, 6);
    assert_eq!(admitted(&mut rls, "y", 10).await, 10);
    let shifted = || service.metric(r#"slidegate_store_shifted_logs_total{store="redis"}"#);
    assert_eq!(shifted(), 0.0);
    move_ahead(&redis);
    assert_eq!(admitted(&mut rls, "x", 12).await, 4);
    assert_eq!(shifted(), 1.0);
    assert_eq!(
        admitted(&mut rls, "y", 3).await,
        0,
        "a refusal mends it too"
    );
    assert_eq!(shifted(), 2.0);
    move_ahead(&redis);
    assert_eq!(admitted(&mut rls, "x", 3).await, 0);
    assert_eq!(shifted(), 3.0);
    says(&service, &["WARN", "lies ahead of its clock", "logs=1"]);
    let log = service.log();
    assert_eq!(log.matches("lies ahead of its clock").count(), 1, "{log}");
}

/// Starts the service with as much in its log as there can be.
fn start(store: &[&str]) -> Service {
    let mut rules = NamedTempFile::with_suffix(".yaml").unwrap();
    writeln!(
        rules,
        "domain: bad\ndescriptors:\n\
         - {{key: key, rate_limit: {{unit: hour, requests_per_unit: 10}}}}\n\
         - {{key: fixed, rate_limit: {{unit: hour, requests_per_unit: 1000000, algorithm: fixed_window}}}}"
    )
    .unwrap();
    let rules = rules.into_temp_path();
    let path = rules.to_str().unwrap();
    // Rules that vanish are a change with a fault, which changes nothing.
    Service::start(&[&["--rules", path, "--log-level", "trace"], store].concat())
}

/// The same on a Redis that is shown a certificate.
fn start_tls(url: &str, client: &Secret) -> Service {
    let files = ["ca.crt", "tls.crt", "tls.key"].map(|name| client.path(name));
    let [ca, certificate, key] = &files;
    let shown = ["--redis-cert", certificate, "--redis-key", key];
    start(&[&["--store", url, "--redis-ca", ca], shown.as_slice()].concat())
}

/// Waits for a line of the log with all of it.
#[track_caller]
fn says(service: &Service, expected: &[&str]) {
    eventually(&format!("a line with {expected:?}"), || {
        let log = service.log();
        let has_all = |line: &str| expected.iter().all(|it| line.contains(it));
        log.lines().any(has_all).then_some(())
    });
}

/// Waits until the service has tried to connect so many times more.
#[track_caller]
fn tries(proxy: &Proxy, times: usize) {
    let begin = proxy.n_accepted();
    eventually("it tries again", || {
        (proxy.n_accepted() >= begin + times).then_some(())
    });
}

/// How many lines there are that say that Redis cannot be reached.
fn n_complaints(service: &Service) -> usize {
    let log = service.log();
    let complains = |line: &&str| line.contains("WARN") && line.contains("trying on");
    log.lines().filter(complains).count()
}

/// Sees that the choice of a limit holds: it is counted alone.
async fn counts_alone(service: &Service) {
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "x", 12).await, 10);
}

/// How many of `n` requests pass.
async fn admitted(rls: &mut Rls, value: &str, n: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..n {
        admitted += usize::from(rls.admits(request("bad", &[&[("key", value)]])).await);
    }
    admitted
}

/// Moves all that was counted two hours ahead, as if the clock had stepped back by so much.
fn move_ahead(redis: &Redis) {
    let keys: Vec<String> = redis.command("KEYS slidegate:1;3600;*");
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        let mut eval = redis::cmd("EVAL");
        eval.arg(MOVE_AHEAD).arg(1).arg(key);
        eval.exec(&mut redis.connection()).unwrap();
    }
}

/// Sees that the password is told nowhere.
#[track_caller]
fn shows_no_secret(service: &Service) {
    let rules = Call::get("/rlconfig").send(service.debug()).body;
    let metrics = Call::get("/metrics").send(service.metrics()).body;
    let message =
        r#"{"domain": "bad", "descriptors": [{"entries": [{"key": "key", "value": "x"}]}]}"#;
    let answer = service.json(message).body;
    for text in [rules, metrics, answer, service.log()] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

const MOVE_AHEAD: &str = "
local log = redis.call('GET', KEYS[1])
local moved = { string.sub(log, 1, 16) }
for at = 17, #log, 12 do
  local last, count = struct.unpack('<I7I5', log, at)
  moved[#moved + 1] = struct.pack('<I7I5', last + 7200000000, count)
end
return redis.call('SET', KEYS[1], table.concat(moved), 'KEEPTTL')
";

const SECRET: &str = "s3cretpw";
