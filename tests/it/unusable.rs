//! What is said of a Redis that cannot be used, and what is not said.

use std::fs;

use tempfile::NamedTempFile;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::certificates::Authority;
use crate::support::certificates::Pair;
use crate::support::certificates::Secret;
use crate::support::http::Call;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn a_host_that_nobody_knows_is_named_once_while_the_choice_holds() {
    let service = start(&["redis://nobody.invalid:7000"]);
    let line = service.wait_for_log("no connection to redis");
    assert!(line.contains("server=nobody.invalid:7000"), "{line}");
    assert!(line.contains("cannot be reached: "), "{line}");
    service.wait_for_log("the store does not answer");
    assert_eq!(admitted(&service, 5).await, 3, "three a minute, alone");
    let log = service.log();
    assert_eq!(log.matches("no connection to redis").count(), 1, "{log}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_named() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    redis.kill();
    let service = start(&[&redis.url()]);
    let line = service.wait_for_log("no connection to redis");
    assert!(line.contains("Connection refused"), "{line}");
    assert!(line.contains(&redis.address().to_string()), "{line}");
}

#[tokio::test]
async fn a_certificate_of_redis_that_has_expired_is_named() {
    let authority = Authority::new();
    let pair = authority.issue_until(&["localhost"], 2020);
    let server = Secret::new(&authority, &pair);
    let client = Secret::new(&authority, &authority.issue(&["slidegate"]));
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let service = start(&tls(&redis, &client).each_ref().map(String::as_str));
    let line = service.wait_for_log("no connection to redis");
    assert!(line.contains("certificate expired"), "{line}");
    assert_eq!(admitted(&service, 5).await, 3, "three a minute, alone");
}

#[tokio::test]
async fn a_certificate_of_our_own_that_has_expired_is_named() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let client = Secret::new(&authority, &authority.issue_until(&["slidegate"], 2020));
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let service = start(&tls(&redis, &client).each_ref().map(String::as_str));
    service.wait_for_log("CertificateExpired");
    assert_eq!(admitted(&service, 5).await, 3, "three a minute, alone");
}

#[tokio::test]
async fn certificates_are_used_anew_when_their_files_change() {
    let authority = Authority::new();
    let server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let stranger = Authority::new().issue(&["slidegate"]);
    let mut client = Secret::new(&authority, &stranger);
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let service = start(&tls(&redis, &client).each_ref().map(String::as_str));
    service.wait_for_log("no connection to redis");
    let own: Pair = authority.issue(&["slidegate"]);
    client.swap(&authority, &own);
    service.serves().await;
}

#[tokio::test]
async fn a_cluster_of_which_nobody_has_the_slots_is_named() {
    let Some(redis) = Redis::start_with(&["--cluster-enabled", "yes"]) else {
        return;
    };
    let service = start(&[&format!("redis+cluster://{}", redis.address())]);
    let line = service.wait_for_log("redis not found");
    assert!(line.contains("no slot has a node"), "{line}");
    assert!(line.contains(&redis.address().to_string()), "{line}");
    assert_eq!(admitted(&service, 5).await, 3, "three a minute, alone");
}

#[tokio::test]
async fn slots_of_a_cluster_that_have_no_node_are_counted() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for node in &cluster.nodes {
        node.command::<()>("CONFIG SET cluster-require-full-coverage no");
        node.command::<()>("CLUSTER DELSLOTS 0 1 2");
    }
    let service = start(&[&cluster.url()]);
    let line = service.wait_for_log("have no node");
    assert!(line.contains("uncovered=3"), "{line}");
    service.reports(ServingStatus::NotServing).await;
}

#[test]
fn a_url_with_a_typo_is_named_without_its_password() {
    for (url, expected) in [
        (
            "redsi://user:hunter22@h:1",
            "expected memory or redis://host:port/db",
        ),
        ("redis://user:hunter22@h:port", "`redis://***@h:port`"),
        ("redis+sentinel://:hunter22@a:1,b:2", "host:port/master/db"),
        ("redis+cluster://:hunter22@a:1,b:x", "host:port,host:port"),
        ("redis://:hunter22@h/zero", "the number of a database"),
    ] {
        let output = slidegate(&["serve", "--store", url]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("hunter22"), "{message}");
    }
}

#[tokio::test]
async fn a_password_stands_nowhere() {
    let Some(redis) = Redis::start_with(&["--requirepass", "right"]) else {
        return;
    };
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), "hunter22\n").unwrap();
    let path = file.path().to_str().unwrap();
    let in_url = format!("redis://:hunter22@{}", redis.address());
    let in_file = format!("redis://{}", redis.address());
    let sentinel = format!("redis+sentinel://:hunter22@{}/main", redis.address());
    for store in [
        vec![in_url.as_str()],
        vec![in_file.as_str(), "--redis-password-file", path],
        vec![sentinel.as_str(), "--redis-sentinel-auth", "user:hunter22"],
    ] {
        let noisy = ["--log-level", "trace", "--on-store-failure", "error"];
        let service = start(&[store.as_slice(), &noisy].concat());
        service.wait_for_log("trying on");
        let mut rls = service.rls().await;
        let answer = rls.ask(request("unusable", &[&[("key", "v")]])).await;
        let pages = [
            Call::get("/metrics").send(service.metrics()).body,
            Call::get("/rlconfig").send(service.debug()).body,
            Call::get("/healthcheck").send(service.http()).body,
            answer.unwrap_err().to_string(),
            service.log(),
        ];
        for page in pages {
            assert!(!page.contains("hunter22"), "{store:?}: {page}");
        }
    }
}

/// The flags of a link over TLS.
fn tls(redis: &Redis, client: &Secret) -> [String; 7] {
    let (ca, cert, key) = paths(client);
    let url = format!("rediss://localhost:{}", redis.tls_port());
    let [of_ca, of_cert, of_key] = ["--redis-ca", "--redis-cert", "--redis-key"].map(str::to_owned);
    [url, of_ca, ca, of_cert, cert, of_key, key]
}

fn paths(client: &Secret) -> (String, String, String) {
    let [ca, cert, key] = ["ca.crt", "tls.crt", "tls.key"].map(|name| client.path(name));
    (ca, cert, key)
}

/// Starts the service with a limit of three a minute.
fn start(store: &[&str]) -> Service {
    let rules = NamedTempFile::with_suffix(".yaml").unwrap();
    let rule = "- {key: key, rate_limit: {unit: minute, requests_per_unit: 3}}";
    fs::write(
        rules.path(),
        format!("domain: unusable\ndescriptors:\n{rule}\n"),
    )
    .unwrap();
    let path = rules.into_temp_path();
    // Rules that vanish are a change with a fault, which changes nothing.
    Service::start(&[&["--rules", path.to_str().unwrap(), "--store"], store].concat())
}

async fn admitted(service: &Service, n: usize) -> usize {
    let mut rls = service.rls().await;
    let mut admitted = 0;
    for _ in 0..n {
        admitted += usize::from(rls.admits(request("unusable", &[&[("key", "v")]])).await);
    }
    admitted
}
