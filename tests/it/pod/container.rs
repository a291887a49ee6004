//! The container that Envoy Gateway 1.9 has its rate-limit service in: files, environment, user.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::certificates::Secret;
use crate::support::in_project;
use crate::support::process::Process;

/// A running container; it ends with the test.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) process: Process,
    _files: TempDir,
}

impl Container {
    /// Starts it, with the one part of its environment that users choose.
    #[track_caller]
    pub(crate) fn start(hosts: &Path, certificates: &Secret, redis: &str) -> Self {
        let files = TempDir::new().unwrap();
        let (root, mounts) = (files.path().join("root"), files.path().join("mounts"));
        fs::create_dir(&root).unwrap();
        fs::create_dir_all(mounts.join("statsd-exporter")).unwrap();
        fs::write(mounts.join("statsd-exporter/conf.yaml"), MAPPING).unwrap();
        fs::copy(hosts, mounts.join("hosts")).unwrap();
        let secret = certificates.file("ca.crt");
        symlink(secret.parent().unwrap(), mounts.join("certs")).unwrap();
        let mut command = Command::new("sh");
        command
            .arg(in_project("tests/pod/start.sh"))
            .arg(program())
            .args([&root, &mounts])
            .args(ENVIRONMENT)
            .arg(format!("REDIS_URL={redis}"));
        Self {
            process: Process::start(&mut command),
            _files: files,
        }
    }

    /// What `/proc` says of it, which may count processes otherwise than it is done in here.
    #[track_caller]
    pub(crate) fn of_the_process(&self, file: &str) -> String {
        let own_network = fs::read_link("/proc/self/ns/net").unwrap();
        let of = fs::read_dir("/proc").unwrap().find_map(|entry| {
            let process = entry.unwrap().path();
            let is_here = fs::read_link(process.join("ns/net")).ok()? == own_network;
            let line = fs::read_to_string(process.join("cmdline")).ok()?;
            (is_here && line.starts_with("/bin/ratelimit")).then_some(process)
        });
        fs::read_to_string(of.unwrap().join(file)).unwrap()
    }
}

/// The program as it is released under `REQUIRE_RELEASE=1`, for which it has to be built; else as these
/// tests have it.
#[track_caller]
fn program() -> PathBuf {
    if std::env::var_os("REQUIRE_RELEASE").is_none_or(|value| value != "1") {
        return env!("CARGO_BIN_EXE_slidegate").into();
    }
    let released = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release/slidegate");
    assert!(released.is_file(), "{} is not built", released.display());
    released
}

/// What Envoy Gateway sets, whole, with metrics on, without TLS to Redis, which is its default, and with
/// traces.
const ENVIRONMENT: [&str; 30] = [
    "RUNTIME_ROOT=/data",
    "RUNTIME_SUBDIRECTORY=ratelimit",
    "RUNTIME_IGNOREDOTFILES=true",
    "RUNTIME_WATCH_ROOT=false",
    "LOG_LEVEL=info",
    "USE_STATSD=false",
    "CONFIG_TYPE=GRPC_XDS_SOTW",
    "CONFIG_GRPC_XDS_SERVER_URL=envoy-gateway:18001",
    "CONFIG_GRPC_XDS_NODE_ID=envoy-ratelimit",
    "GRPC_SERVER_USE_TLS=true",
    "GRPC_SERVER_TLS_CERT=/certs/tls.crt",
    "GRPC_SERVER_TLS_KEY=/certs/tls.key",
    "GRPC_SERVER_TLS_CA_CERT=/certs/ca.crt",
    "CONFIG_GRPC_XDS_SERVER_USE_TLS=true",
    "CONFIG_GRPC_XDS_CLIENT_TLS_CERT=/certs/tls.crt",
    "CONFIG_GRPC_XDS_CLIENT_TLS_KEY=/certs/tls.key",
    "CONFIG_GRPC_XDS_SERVER_TLS_CACERT=/certs/ca.crt",
    "FORCE_START_WITHOUT_INITIAL_CONFIG=true",
    "REDIS_SOCKET_TYPE=tcp",
    "USE_PROMETHEUS=true",
    "PROMETHEUS_ADDR=:19001",
    "PROMETHEUS_MAPPER_YAML=/etc/statsd-exporter/conf.yaml",
    "TRACING_ENABLED=true",
    "TRACING_SERVICE_NAME=envoy-ratelimit",
    "TRACING_SERVICE_NAMESPACE=envoy-gateway-system",
    "TRACING_SERVICE_INSTANCE_ID=envoy-ratelimit-5d8f7c9b6d-abcde",
    "TRACING_SAMPLING_RATE=1.0",
    "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector.monitoring:4318",
    // Of the image, and of every pod.
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOSTNAME=envoy-ratelimit-5d8f7c9b6d-abcde",
];

/// A mapping of statsd_exporter's form that gives what Envoy Gateway's gives.
const MAPPING: &str = r#"mappings:
- match: "ratelimit.service.rate_limit.*.*.over_limit"
  name: ratelimit_service_rate_limit_over_limit
  timer_type: histogram
  labels: {domain: "$1", key1: "$2"}
- match: 'ratelimit\.service\.rate_limit\.([^.]+)\.([^.]+)\.([^.]+)\.over_limit'
  match_type: regex
  name: ratelimit_service_rate_limit_over_limit
  timer_type: histogram
  labels: {domain: "$1", key1: "$2", key2: "$3"}
"#;
