//! The service itself: the real binary, on ports of its own.

use std::net::SocketAddr;
use std::process::Command;
use std::process::ExitStatus;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

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
    grpc: SocketAddr,
    http: SocketAddr,
    debug: SocketAddr,
}

impl Service {
    /// Starts `slidegate serve` with these arguments (addresses are added) from the project's
    /// root and waits until its ports answer.
    #[track_caller]
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// As [`Service::start`], with environment variables. It has to log where it listens.
    #[track_caller]
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::of(Process::start(&mut serve(arguments, environment)))
    }

    /// A process that has just been started, on local addresses that it has to log.
    #[track_caller]
    pub(crate) fn of(process: Process) -> Self {
        let service = Self::of_unhealthy(process);
        let answer = Call::get("/healthcheck").send(service.http);
        assert_eq!(answer.status, 200, "{}", service.log());
        service
    }

    /// As [`Service::of`], for one whose health may fail.
    #[track_caller]
    pub(crate) fn of_unhealthy(process: Process) -> Self {
        let address = |port: &str| address_of(&process, port);
        Self {
            grpc: address("\"gRPC\""),
            http: address("\"HTTP\""),
            debug: address("\"debug\""),
            process,
        }
    }

    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn debug(&self) -> SocketAddr {
        self.debug
    }

    /// Of one that serves metrics.
    #[track_caller]
    pub(crate) fn metrics(&self) -> SocketAddr {
        address_of(&self.process, "\"metrics\"")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
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
        self.wait()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait()
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

/// All addresses are local, with ports that the system chooses.
fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = slidegate(&["serve"]);
    for flag in [
        "--grpc-addr",
        "--http-addr",
        "--debug-addr",
        "--metrics-addr",
    ] {
        command.args([flag, "127.0.0.1:0"]);
    }
    // Nobody looks for another replica here.
    command.env("SLIDEGATE_DRAIN_DELAY", "0s");
    command.args(arguments).envs(environment.iter().copied());
    command
}

/// Where a port is listened on, as it is logged.
#[track_caller]
fn address_of(process: &Process, port: &str) -> SocketAddr {
    let line = process.line_where(|it| it.contains("listening") && it.contains(port));
    let line = line.unwrap_or_else(|| {
        let log = process.lines().join("\n");
        panic!("the service did not start:\n{log}");
    });
    address_in(&line)
}

/// The local address in a line of the log, whatever its format.
#[track_caller]
fn address_in(line: &str) -> SocketAddr {
    let begin = line.find("127.0.0.1:").unwrap();
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c == ':';
    let end = line[begin..].find(|c| !is_part(c));
    let end = end.map_or(line.len(), |length| begin + length);
    line[begin..end].parse().unwrap()
}
