//! The service itself: the real binary, on ports of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::process::ExitStatus;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::process::Process;
use crate::support::rls::Rls;
use crate::support::rls::channel;

/// A running `slidegate serve`; killed with the test.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    ports: Ports,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
struct Ports {
    grpc: SocketAddr,
    http: SocketAddr,
    debug: SocketAddr,
    metrics: SocketAddr,
}

impl Service {
    /// Starts `slidegate serve` with these arguments (addresses are added) from the project's
    /// root and waits until its ports answer.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// As [`Service::start`], with environment variables.
    #[track_caller]
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        // Between looking for a free port and using it, somebody else may take it.
        for _ in 0..10 {
            let ports = Ports::free();
            let mut process = Process::start(&mut serve(ports, arguments, environment));
            let is_up = eventually("/healthcheck answers", || {
                if !process.is_running() {
                    return Some(false);
                }
                let answer = Call::get("/healthcheck").try_send(ports.http).ok()?;
                (answer.status == 200).then_some(true)
            });
            if is_up {
                return Self { process, ports };
            }
            let log = process.lines().join("\n");
            assert!(log.contains("in use"), "the service did not start:\n{log}");
        }
        panic!("no free ports");
    }

    pub(crate) fn grpc(&self) -> SocketAddr {
        self.ports.grpc
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.ports.http
    }

    pub(crate) fn debug(&self) -> SocketAddr {
        self.ports.debug
    }

    pub(crate) fn metrics(&self) -> SocketAddr {
        self.ports.metrics
    }

    /// A connection to its gRPC port.
    pub(crate) async fn rls(&self) -> Rls {
        Rls::connect(self.grpc()).await
    }

    /// Waits until gRPC health says that it serves: its rules are loaded and its store answers.
    pub(crate) async fn serves(&self) {
        self.reports(ServingStatus::Serving).await;
    }

    /// Waits until gRPC health says this.
    pub(crate) async fn reports(&self, expected: ServingStatus) {
        let mut client = HealthClient::new(channel(self.grpc()).await);
        let request = HealthCheckRequest::default();
        let mut watch = client.watch(request).await.unwrap().into_inner();
        let seen = tokio::time::timeout(crate::support::PATIENCE, async {
            while watch.message().await.unwrap().unwrap().status() != expected {}
        });
        let seen = seen.await;
        assert!(seen.is_ok(), "not {expected:?}:\n{}", self.log());
    }

    /// `POST /json` with a message in protobuf's JSON form.
    #[track_caller]
    pub(crate) fn json(&self, message: &str) -> Answer {
        Call::post("/json", message).send(self.http())
    }

    /// What `/metrics` says of a series, written as it stands there; 0 when it is absent.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let page = Call::get("/metrics").send(self.metrics()).body;
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        page.lines().find_map(value).unwrap_or(0.0)
    }

    /// Waits until it has logged a line with `text`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let line = self.process.line_with(text);
        line.unwrap_or_else(|| panic!("ended without `{text}`:\n{}", self.log()))
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        self.process.lines().join("\n")
    }

    /// Sends a signal, such as `STOP`, `CONT` or `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Asks it to end (`SIGTERM`) and waits until it has.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        self.process.wait()
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

impl Ports {
    fn free() -> Self {
        Self {
            grpc: free_address(),
            http: free_address(),
            debug: free_address(),
            metrics: free_address(),
        }
    }
}

/// The binary with its arguments, without the settings of whoever runs the tests.
pub(crate) fn slidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slidegate"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SLIDEGATE_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG");
    command.current_dir(in_project("")).args(arguments);
    command
}

fn serve(ports: Ports, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = slidegate(&["serve"]);
    command
        .args(["--grpc-addr", &ports.grpc.to_string()])
        .args(["--http-addr", &ports.http.to_string()])
        .args(["--debug-addr", &ports.debug.to_string()])
        .args(["--metrics-addr", &ports.metrics.to_string()])
        .args(arguments)
        .envs(environment.iter().copied());
    command
}
