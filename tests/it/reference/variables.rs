//! Section 5: the environment, every variable with its default, and how values are read.
//!
//! Elsewhere: what the variables do (`dropin`, `variables`, the other files here).

use slidegate::settings::drop_in::variables::VARIABLES;

use crate::dropin::local;
use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::support::process::Process;
use crate::support::service::slidegate;

#[test]
fn every_variable_has_the_default_of_the_reference() {
    for line in DEFAULTS.lines() {
        let (name, default) = line.split_once(" =").unwrap();
        let known = VARIABLES.iter().find(|it| it.name == name);
        assert_eq!(known.map(|it| it.default), Some(default.trim()), "{name}");
    }
}

#[test]
fn values_are_read_as_go_reads_them() {
    row::check(VALUES, |variables| {
        let mut command = slidegate(&["serve", "--drop-in"]);
        command
            .envs(local())
            .envs(memory())
            .envs(variables.iter().copied());
        let mut process = Process::start(&mut command);
        if process.line_with("listening").is_some() {
            process.kill();
            return "starts".to_owned();
        }
        let code = process.wait().code();
        format!("{code:?} {}", process.lines().join(" / "))
    });
}

pub(crate) fn reasons() -> Vec<&'static str> {
    row::reasons(VALUES)
}

type Variable = (&'static str, &'static str);

const NAMED: &str = "drop-in 11: the variable is named, and what was expected";

const VALUES: &[Row<&[Variable]>] = &[
    same("1 is true", &[("SHADOW_MODE", "1")], "starts"),
    same("t is true", &[("SHADOW_MODE", "t")], "starts"),
    same("TRUE is true", &[("SHADOW_MODE", "TRUE")], "starts"),
    same("F is false", &[("SHADOW_MODE", "F")], "starts"),
    differs(
        "yes is an error",
        &[("SHADOW_MODE", "yes")],
        "Some(2) error: SHADOW_MODE=yes: expected true or false",
        NAMED,
    ),
    same(
        "lengths of time are those of Go",
        &[("GRPC_MAX_CONNECTION_AGE", "1h30m5.5s")],
        "starts",
    ),
    differs(
        "they need a unit",
        &[("GRPC_MAX_CONNECTION_AGE", "10")],
        "Some(2) error: GRPC_MAX_CONNECTION_AGE=10: expected a length of time such as 90s, 1h30m or 1.5s",
        NAMED,
    ),
    same(
        "numbers may have a base",
        &[("EXPIRATION_JITTER_MAX_SECONDS", "0x1F")],
        "starts",
    ),
    differs(
        "they are whole",
        &[("EXPIRATION_JITTER_MAX_SECONDS", "1.5")],
        "Some(2) error: EXPIRATION_JITTER_MAX_SECONDS=1.5: expected a whole number",
        NAMED,
    ),
    differs(
        "a ratio is a number",
        &[("NEAR_LIMIT_RATIO", "much")],
        "Some(2) error: NEAR_LIMIT_RATIO=much: expected a number",
        NAMED,
    ),
    differs(
        "an empty value of no text ends the start",
        &[("NEAR_LIMIT_RATIO", "")],
        "starts",
        "drop-in 11: it is as good as none",
    ),
    same(
        "levels of the log are read in any case",
        &[("LOG_LEVEL", "Info")],
        "starts",
    ),
    differs(
        "an unknown one ends the start",
        &[("LOG_LEVEL", "loud")],
        "Some(2) error: LOG_LEVEL=loud: expected panic, fatal, error, warn, info, debug or trace",
        NAMED,
    ),
    differs(
        "so does an unknown source of rules",
        &[("CONFIG_TYPE", "ETCD")],
        "Some(2) error: CONFIG_TYPE=ETCD: expected FILE or GRPC_XDS_SOTW",
        NAMED,
    ),
    differs(
        "USE_STATSD beside USE_PROMETHEUS ends the start",
        &[("USE_STATSD", "true"), ("STATS_FLUSH_INTERVAL", "1h")],
        "starts",
        "drop-in 14: one does not exclude the other",
    ),
    same(
        "what is not known is ignored",
        &[("RATELIMIT_SOMETHING", "x")],
        "starts",
    ),
];

/// Each with its default, which is nothing where nothing stands.
const DEFAULTS: &str = "\
HOST = 0.0.0.0
PORT = 8080
DEBUG_HOST = 0.0.0.0
DEBUG_PORT = 6070
GRPC_HOST = 0.0.0.0
GRPC_PORT = 8081
GRPC_UDS =
GRPC_MAX_CONNECTION_AGE = 24h
GRPC_MAX_CONNECTION_AGE_GRACE = 1h
GRPC_SERVER_USE_TLS = false
GRPC_SERVER_TLS_CERT =
GRPC_SERVER_TLS_KEY =
GRPC_CLIENT_TLS_CACERT =
GRPC_CLIENT_TLS_SAN =
LOG_LEVEL = WARN
LOG_FORMAT = text
CONFIG_TYPE = FILE
FORCE_START_WITHOUT_INITIAL_CONFIG = false
CONFIG_GRPC_XDS_NODE_ID = default
CONFIG_GRPC_XDS_NODE_METADATA =
CONFIG_GRPC_XDS_SERVER_URL = localhost:18000
CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL = 3s
CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS =
CONFIG_GRPC_XDS_SERVER_USE_TLS = false
CONFIG_GRPC_XDS_CLIENT_TLS_CERT =
CONFIG_GRPC_XDS_CLIENT_TLS_KEY =
CONFIG_GRPC_XDS_SERVER_TLS_CACERT =
CONFIG_GRPC_XDS_SERVER_TLS_SAN =
XDS_CLIENT_BACKOFF_INITIAL_INTERVAL = 10s
XDS_CLIENT_BACKOFF_MAX_INTERVAL = 60s
XDS_CLIENT_BACKOFF_RANDOM_FACTOR = 0.5
XDS_CLIENT_BACKOFF_JITTER = true
XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES = 0
USE_STATSD = true
USE_DOG_STATSD = false
USE_DOG_STATSD_MOGRIFIERS =
STATSD_HOST = localhost
STATSD_PORT = 8125
STATSD_PROTOCOL = tcp
EXTRA_TAGS =
STATS_FLUSH_INTERVAL = 10s
DISABLE_STATS = false
USE_PROMETHEUS = false
PROMETHEUS_ADDR = :9090
PROMETHEUS_PATH = /metrics
PROMETHEUS_MAPPER_YAML =
PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS = false
RUNTIME_ROOT = /srv/runtime_data/current
RUNTIME_SUBDIRECTORY =
RUNTIME_APPDIRECTORY = config
RUNTIME_IGNOREDOTFILES = false
RUNTIME_WATCH_ROOT = true
MERGE_DOMAIN_CONFIG = false
EXPIRATION_JITTER_MAX_SECONDS = 300
LOCAL_CACHE_SIZE_IN_BYTES = 0
NEAR_LIMIT_RATIO = 0.8
CACHE_KEY_PREFIX =
BACKEND_TYPE = redis
STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT = false
LIMIT_RESPONSE_HEADERS_ENABLED = false
LIMIT_LIMIT_HEADER = RateLimit-Limit
LIMIT_REMAINING_HEADER = RateLimit-Remaining
LIMIT_RESET_HEADER = RateLimit-Reset
HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED = false
REDIS_SOCKET_TYPE = unix
REDIS_TYPE = SINGLE
REDIS_URL = /var/run/nutcracker/ratelimit.sock
REDIS_POOL_SIZE = 10
REDIS_AUTH =
REDIS_SENTINEL_AUTH =
REDIS_TLS = false
REDIS_TLS_CLIENT_CERT =
REDIS_TLS_CLIENT_KEY =
REDIS_TLS_CACERT =
REDIS_TLS_SKIP_HOSTNAME_VERIFICATION = false
REDIS_PIPELINE_WINDOW = 0
REDIS_PIPELINE_LIMIT = 0
REDIS_CLUSTER_PIPELINE_PARALLELISM = 1
REDIS_TIMEOUT = 10s
REDIS_POOL_ON_EMPTY_BEHAVIOR = WAIT
REDIS_HEALTH_CHECK_ACTIVE_CONNECTION = false
REDIS_STARTUP_INITIAL_INTERVAL = 1s
REDIS_STARTUP_MAX_INTERVAL = 30s
REDIS_STARTUP_MAX_ELAPSED_TIME = 0
REDIS_PERSECOND = false
REDIS_PERSECOND_SOCKET_TYPE = unix
REDIS_PERSECOND_TYPE = SINGLE
REDIS_PERSECOND_URL = /var/run/nutcracker/ratelimitpersecond.sock
REDIS_PERSECOND_POOL_SIZE = 10
REDIS_PERSECOND_AUTH =
REDIS_PERSECOND_TLS = false
REDIS_PERSECOND_SENTINEL_AUTH =
REDIS_PERSECOND_PIPELINE_WINDOW = 0
REDIS_PERSECOND_PIPELINE_LIMIT = 0
REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM = 1
REDIS_PERSECOND_TIMEOUT = 10s
REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR = WAIT
MEMCACHE_HOST_PORT =
MEMCACHE_SRV =
MEMCACHE_SRV_REFRESH = 0
MEMCACHE_MAX_IDLE_CONNS = 2
MEMCACHE_TLS = false
MEMCACHE_TLS_CLIENT_CERT =
MEMCACHE_TLS_CLIENT_KEY =
MEMCACHE_TLS_CACERT =
MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION = false
SHADOW_MODE = false
QUOTA_MODE = false
RESPONSE_DYNAMIC_METADATA = false
TRACING_ENABLED = false
TRACING_SERVICE_NAME = RateLimit
TRACING_SERVICE_NAMESPACE =
TRACING_SERVICE_INSTANCE_ID =
TRACING_EXPORTER_PROTOCOL = http
TRACING_SAMPLING_RATE = 1
SANITIZE_DESCRIPTOR_METRIC_DOTS = false
USE_CALENDAR_MONTH_RATE_LIMIT = false
LIMIT_REQUEST_HEADERS_ENABLED = false
LIMIT_REQUEST_LIMIT_HEADER = RateLimit-Limit
LIMIT_REQUEST_REMAINING_HEADER = RateLimit-Remaining
LIMIT_REQUEST_RESET_HEADER = RateLimit-Reset
REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR = false
";
