//! TLS of the gRPC port: certificates of either side, and files that change.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

use tonic::Status;
use tonic::transport::Certificate;
use tonic::transport::Channel;
use tonic::transport::ClientTlsConfig;
use tonic::transport::Endpoint;
use tonic::transport::Identity;

use crate::support::PATIENCE;
use crate::support::certificates::Authority;
use crate::support::certificates::Pair;
use crate::support::certificates::Secret;
use crate::support::process::Process;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served() {
    let authority = Authority::new();
    let secret = Secret::new(&authority, &authority.issue(&[NAME]));
    let service = start(&secret, &[]);
    asks(&service, &authority, None).await.unwrap();
    assert!(service.log().contains("clients need no certificate"));

    let stranger = Authority::new();
    asks(&service, &stranger, None).await.unwrap_err();
    let plain = Endpoint::from_shared(format!("http://{}", service.grpc())).unwrap();
    ask(plain.connect().await).await.unwrap_err();
    service.wait_for_log("TLS handshake failed");
    assert!(service.metric("slidegate_tls_handshakes_failed_total") >= 2.0);
}

#[tokio::test]
async fn a_peer_that_does_not_shake_hands_holds_up_nobody() {
    let authority = Authority::new();
    let secret = Secret::new(&authority, &authority.issue(&[NAME]));
    let service = start(&secret, &["--threads", "1"]);
    let mut silent = TcpStream::connect(service.grpc()).unwrap();
    silent.write_all(&[22]).unwrap();
    asks(&service, &authority, None).await.unwrap();
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_authority_that_is_named() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let secret = Secret::new(&authority, &authority.issue(&[NAME]));
    let mut asked = Secret::new(&clients, &clients.issue(&[NAME]));
    let ca = asked.path("ca.crt");
    let service = start(&secret, &["--tls-client-ca", &ca]);
    let welcome = clients.issue(&["anyone"]);
    asks(&service, &authority, Some(&welcome)).await.unwrap();
    asks(&service, &authority, None).await.unwrap_err();
    let stranger = authority.issue(&["anyone"]);
    asks(&service, &authority, Some(&stranger))
        .await
        .unwrap_err();
    let late = clients.issue_until(&["anyone"], 2_000);
    asks(&service, &authority, Some(&late)).await.unwrap_err();

    // The authority is read again too.
    asked.swap(&authority, &stranger);
    service.wait_for_log("certificates reloaded");
    asks(&service, &authority, Some(&stranger)).await.unwrap();
    asks(&service, &authority, Some(&welcome))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn clients_need_the_name_that_is_asked_for() {
    let authority = Authority::new();
    let secret = Secret::new(&authority, &authority.issue(&[NAME]));
    let ca = secret.path("ca.crt");
    let service = start(
        &secret,
        &[
            "--tls-client-ca",
            &ca,
            "--tls-client-name",
            "envoy.envoy-gateway-system",
        ],
    );
    for (names, is_welcome) in [
        (["*.envoy-gateway-system"].as_slice(), true),
        (&["other", "envoy.envoy-gateway-system"], true),
        (&["envoy.default"], false),
        (&[], false),
    ] {
        let pair = authority.issue(names);
        let answer = asks(&service, &authority, Some(&pair)).await;
        assert_eq!(answer.is_ok(), is_welcome, "{names:?}: {answer:?}");
    }
}

#[tokio::test]
async fn certificates_are_reloaded_when_a_secret_is_swapped() {
    let (before, after) = (Authority::new(), Authority::new());
    let mut secret = Secret::new(&before, &before.issue(&[NAME]));
    let service = start(&secret, &[]);
    let mut open = Rls::over(connect(&service, &before, None).await.unwrap());
    secret.swap(&after, &after.issue(&[NAME]));
    service.wait_for_log("certificates reloaded");
    asks(&service, &after, None).await.unwrap();
    asks(&service, &before, None).await.unwrap_err();
    // What is open stays open.
    open.ask(hit()).await.unwrap();
}

#[tokio::test]
async fn a_bad_new_pair_leaves_the_old_one_in_use() {
    let authority = Authority::new();
    let good = authority.issue(&[NAME]);
    let mut secret = Secret::new(&authority, &good);
    let service = start(&secret, &[]);
    let mismatched = Pair {
        key: authority.issue(&[NAME]).key,
        ..good.clone()
    };
    let no_pem = Pair {
        certificate: "not PEM\n".to_owned(),
        ..good
    };
    for (pair, reason) in [
        (mismatched, "does not go with the certificate"),
        (no_pem, "no certificate in"),
        (
            authority.issue_until(&[NAME], 2_000),
            "expired at 2000-01-01",
        ),
    ] {
        secret.swap(&authority, &pair);
        let line = service.wait_for_log(reason);
        assert!(line.contains("certificates refused"), "{line}");
        asks(&service, &authority, None).await.unwrap();
    }
    fs::remove_file(secret.file("..data")).unwrap();
    service.wait_for_log("cannot be read");
    asks(&service, &authority, None).await.unwrap();
}

#[test]
fn it_does_not_start_on_files_that_cannot_be_used() {
    let authority = Authority::new();
    let pair = authority.issue(&[NAME]);
    let mut secret = Secret::new(&authority, &pair);
    let (absent, ca) = (secret.path("absent"), secret.path("ca.crt"));
    let (certificate, key) = (secret.path("tls.crt"), secret.path("tls.key"));
    check_refusal(&[&certificate, &absent], "absent cannot be read");
    check_refusal(&[&certificate, &ca], "no private key in");
    check_refusal(&[&key, &key], "no certificate in");
    check_refusal(&[&ca, &key], "does not go with the certificate");
    check_refusal(&[&certificate, &key, &key], "no certificate in");
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let certificate_only = Pair {
        certificate: text.to_owned(),
        ..pair
    };
    secret.swap(&authority, &certificate_only);
    check_refusal(&[&certificate, &key], "cannot be used");
}

#[test]
fn a_certificate_that_has_expired_is_said_to_be_so() {
    let authority = Authority::new();
    let secret = Secret::new(&authority, &authority.issue_until(&[NAME], 2_000));
    let service = start(&secret, &[]);
    let line = service.wait_for_log("expired at 2000-01-01");
    assert!(line.contains("peers may refuse it"), "{line}");
}

#[tokio::test]
async fn an_old_connection_gets_a_goaway_and_its_peer_another_one() {
    let service = Service::start(&["--max-connection-age", "50ms"]);
    let stream = tokio::net::TcpStream::connect(service.grpc()).await;
    let io = hyper_util::rt::TokioIo::new(stream.unwrap());
    let executor = hyper_util::rt::TokioExecutor::new();
    let opened = hyper::client::conn::http2::handshake::<_, _, String>(executor, io);
    let (_requests, connection) = opened.await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, connection).await;
    ended.unwrap().unwrap();
    service.rls().await.ask(hit()).await.unwrap();
}

#[tokio::test]
async fn after_the_signal_it_goes_on_for_a_while_with_health_failing() {
    let mut service = Service::start_with(&["--drain-delay", "2s"], &[]);
    let mut rls = service.rls().await;
    service.signal("TERM");
    service.wait_for_log("stopping");
    // On connections old and new.
    rls.ask(hit()).await.unwrap();
    service.rls().await.ask(hit()).await.unwrap();
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());

    let mut service = Service::start_with(&["--drain-delay", "24h"], &[]);
    service.signal("INT");
    assert_eq!(service.wait().code(), Some(0), "{}", service.log());
}

#[track_caller]
fn start(secret: &Secret, more: &[&str]) -> Service {
    let (certificate, key) = (secret.path("tls.crt"), secret.path("tls.key"));
    let arguments = ["--tls-cert", &certificate, "--tls-key", &key];
    Service::start(&[&arguments, more].concat())
}

/// Connects and asks once.
async fn asks(service: &Service, authority: &Authority, pair: Option<&Pair>) -> Result<(), Status> {
    ask(connect(service, authority, pair).await).await
}

async fn ask(channel: Result<Channel, tonic::transport::Error>) -> Result<(), Status> {
    let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
    Rls::over(channel).ask(hit()).await.map(drop)
}

async fn connect(
    service: &Service,
    authority: &Authority,
    pair: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .domain_name(NAME)
        .ca_certificate(Certificate::from_pem(authority.certificate()));
    if let Some(pair) = pair {
        tls = tls.identity(Identity::from_pem(&pair.certificate, &pair.key));
    }
    let address: SocketAddr = service.grpc();
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await
}

/// Files for the certificate, its key and perhaps the authorities of clients.
#[track_caller]
fn check_refusal(files: &[&str], expected: &str) {
    let mut arguments = vec!["serve"];
    for flag in ["grpc", "http", "debug", "metrics"] {
        arguments.extend([format!("--{flag}-addr").leak(), "127.0.0.1:0"]);
    }
    for (flag, file) in ["--tls-cert", "--tls-key", "--tls-client-ca"]
        .iter()
        .zip(files)
    {
        arguments.extend([flag, file]);
    }
    let mut process = Process::start(&mut slidegate(&arguments));
    let line = process.line_with(expected);
    assert!(line.is_some(), "{expected}: {:?}", process.lines());
    assert_eq!(process.wait().code(), Some(1));
}

fn hit() -> envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest {
    request("demo", &[&[("user", "vip")]])
}

const NAME: &str = "envoy-ratelimit";
