//! Every environment variable of envoyproxy/ratelimit, and what becomes of it here.

use crate::settings::drop_in::go;

/// A variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What its value has to be.
    pub kind: Kind,
    /// What holds when it is unset or empty, as envoyproxy/ratelimit has it.
    pub default: &'static str,
    /// What becomes of it.
    pub state: State,
    /// What there is to know: why it has no effect, what to set instead, what is different.
    pub note: &'static str,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// As Go's `strconv.ParseBool` reads it.
    Bool,
    /// As Go's `time.ParseDuration` reads it.
    Duration,
    /// A number with a fraction.
    Fraction,
    /// A whole number.
    Number,
    /// Anything.
    Text,
}

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It means what it means there.
    Honoured,
    /// It is accepted, and logged at the start when it is set.
    NoEffect,
    /// It is an error at the start when it is set to anything but its default.
    Refused,
}

impl State {
    /// The word for documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::NoEffect => "no effect",
            Self::Refused => "refused",
        }
    }
}

impl Variable {
    /// The variable of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|it| it.name == name)
    }

    /// What was expected in place of this value, if it is a wrong one.
    pub(super) fn fault(&self, value: &str) -> Option<String> {
        match self.kind {
            Kind::Bool => go::boolean(value).err(),
            Kind::Duration => go::duration(value).err(),
            Kind::Fraction => go::fraction(value).err(),
            Kind::Number => go::number(value).err(),
            Kind::Text => None,
        }
    }

    /// Whether the value says what holds without it, too.
    pub(super) fn is_default(&self, value: &str) -> bool {
        match self.kind {
            Kind::Bool => go::boolean(value) == go::boolean(self.default),
            Kind::Duration => go::duration(value) == go::duration(self.default),
            Kind::Fraction => go::fraction(value) == go::fraction(self.default),
            Kind::Number => go::number(value) == go::number(self.default),
            Kind::Text => value.eq_ignore_ascii_case(self.default),
        }
    }
}

macro_rules! variables {
    ($($name:ident $kind:ident $default:literal $state:ident $note:literal;)*) => {
        &[$(Variable {
            name: stringify!($name),
            kind: Kind::$kind,
            default: $default,
            state: State::$state,
            note: $note,
        }),*]
    };
}

/// All of them, in the order of their subjects.
pub const VARIABLES: &[Variable] = variables! {
    HOST Text "0.0.0.0" Honoured "an IP address, or `localhost`";
    PORT Number "8080" Honoured "";
    GRPC_HOST Text "0.0.0.0" Honoured "an IP address, or `localhost`";
    GRPC_PORT Number "8081" Honoured "";
    GRPC_UDS Text "" Honoured "a socket that nobody listens on any more is replaced";
    DEBUG_HOST Text "0.0.0.0" Honoured "without it 127.0.0.1: the debug port is for this machine unless told otherwise";
    DEBUG_PORT Number "6070" Honoured "";
    GRPC_MAX_CONNECTION_AGE Duration "24h" Honoured "";
    GRPC_MAX_CONNECTION_AGE_GRACE Duration "1h" Honoured "";
    GRPC_SERVER_USE_TLS Bool "false" Honoured "";
    GRPC_SERVER_TLS_CERT Text "" Honoured "in any directory; reloaded";
    GRPC_SERVER_TLS_KEY Text "" Honoured "in any directory; reloaded";
    GRPC_CLIENT_TLS_CACERT Text "" Honoured "that file alone is trusted, not the system's authorities; reloaded";
    GRPC_CLIENT_TLS_SAN Text "" Honoured "";
    GRPC_SERVER_TLS_CA_CERT Text "" NoEffect "nor has it any in envoyproxy/ratelimit; GRPC_CLIENT_TLS_CACERT asks clients for certificates";
    LOG_LEVEL Text "WARN" Honoured "";
    LOG_FORMAT Text "text" Honoured "";

    CONFIG_TYPE Text "FILE" Honoured "";
    FORCE_START_WITHOUT_INITIAL_CONFIG Bool "false" Honoured "files are always read before the start";
    HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED Bool "false" Honoured "";
    RUNTIME_ROOT Text "/srv/runtime_data/current" Honoured "";
    RUNTIME_SUBDIRECTORY Text "" Honoured "";
    RUNTIME_APPDIRECTORY Text "config" Honoured "";
    RUNTIME_IGNOREDOTFILES Bool "false" Honoured "";
    RUNTIME_WATCH_ROOT Bool "true" Honoured "any change below the directory is seen, however it is made";
    MERGE_DOMAIN_CONFIG Bool "false" Honoured "domains that are pushed are always merged";
    CONFIG_GRPC_XDS_NODE_ID Text "default" Honoured "";
    CONFIG_GRPC_XDS_NODE_METADATA Text "" Honoured "";
    CONFIG_GRPC_XDS_SERVER_URL Text "localhost:18000" Honoured "";
    CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL Duration "3s" NoEffect "nor has it any in envoyproxy/ratelimit; XDS_CLIENT_BACKOFF_INITIAL_INTERVAL sets the first wait";
    CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS Text "" Honoured "";
    CONFIG_GRPC_XDS_SERVER_USE_TLS Bool "false" Honoured "";
    CONFIG_GRPC_XDS_CLIENT_TLS_CERT Text "" Honoured "reloaded";
    CONFIG_GRPC_XDS_CLIENT_TLS_KEY Text "" Honoured "reloaded";
    CONFIG_GRPC_XDS_SERVER_TLS_CACERT Text "" Honoured "that file alone is trusted, not the system's authorities; reloaded";
    CONFIG_GRPC_XDS_SERVER_TLS_SAN Text "" Honoured "";
    XDS_CLIENT_BACKOFF_INITIAL_INTERVAL Duration "10s" Honoured "without it 1 s; each further wait is twice as long";
    XDS_CLIENT_BACKOFF_MAX_INTERVAL Duration "60s" Honoured "";
    XDS_CLIENT_BACKOFF_RANDOM_FACTOR Fraction "0.5" NoEffect "waits double, and jitter takes up to half of each away";
    XDS_CLIENT_BACKOFF_JITTER Bool "true" Honoured "";
    XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES Number "0" Honoured "without it 256 MiB instead of 4";

    BACKEND_TYPE Text "redis" Honoured "memcache is an error";
    REDIS_SOCKET_TYPE Text "unix" Honoured "of a single server: `tcp` or `unix`";
    REDIS_TYPE Text "SINGLE" Honoured "";
    REDIS_URL Text "/var/run/nutcracker/ratelimit.sock" Honoured "as there: `host:port`, `redis://user:password@host:port/db`, `/path/of/socket`, `master,host:port,host:port`, `host:port,host:port`";
    REDIS_AUTH Text "" Honoured "";
    REDIS_SENTINEL_AUTH Text "" Honoured "";
    REDIS_TLS Bool "false" Honoured "not over a unix socket";
    REDIS_TLS_CLIENT_CERT Text "" Honoured "reloaded";
    REDIS_TLS_CLIENT_KEY Text "" Honoured "reloaded";
    REDIS_TLS_CACERT Text "" Honoured "that file alone is trusted, not the system's authorities; reloaded";
    REDIS_TLS_SKIP_HOSTNAME_VERIFICATION Bool "false" Honoured "";
    REDIS_POOL_SIZE Number "10" NoEffect "requests share one connection to a server";
    REDIS_POOL_ON_EMPTY_BEHAVIOR Text "WAIT" NoEffect "requests share one connection to a server";
    REDIS_PIPELINE_WINDOW Duration "0" NoEffect "requests are put together as they come";
    REDIS_PIPELINE_LIMIT Number "0" NoEffect "requests are put together as they come";
    REDIS_CLUSTER_PIPELINE_PARALLELISM Number "1" NoEffect "all nodes are asked at once";
    REDIS_TIMEOUT Duration "10s" NoEffect "requests wait until their own deadline, and SLIDEGATE_STORE_TIMEOUT at most";
    REDIS_HEALTH_CHECK_ACTIVE_CONNECTION Bool "false" Honoured "";
    REDIS_STARTUP_INITIAL_INTERVAL Duration "1s" NoEffect "the start does not wait for Redis";
    REDIS_STARTUP_MAX_INTERVAL Duration "30s" NoEffect "the start does not wait for Redis";
    REDIS_STARTUP_MAX_ELAPSED_TIME Duration "0" NoEffect "the start does not wait for Redis";
    REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR Bool "false" NoEffect "connections are looked after without it";
    REDIS_PERSECOND Bool "false" Honoured "";
    REDIS_PERSECOND_SOCKET_TYPE Text "unix" Honoured "of a single server: `tcp` or `unix`";
    REDIS_PERSECOND_TYPE Text "SINGLE" Honoured "";
    REDIS_PERSECOND_URL Text "/var/run/nutcracker/ratelimitpersecond.sock" Honoured "";
    REDIS_PERSECOND_POOL_SIZE Number "10" NoEffect "requests share one connection to a server";
    REDIS_PERSECOND_AUTH Text "" Honoured "";
    REDIS_PERSECOND_SENTINEL_AUTH Text "" Honoured "";
    REDIS_PERSECOND_TLS Bool "false" Honoured "";
    REDIS_PERSECOND_PIPELINE_WINDOW Duration "0" NoEffect "requests are put together as they come";
    REDIS_PERSECOND_PIPELINE_LIMIT Number "0" NoEffect "requests are put together as they come";
    REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM Number "1" NoEffect "all nodes are asked at once";
    REDIS_PERSECOND_TIMEOUT Duration "10s" NoEffect "requests wait until their own deadline, and SLIDEGATE_STORE_TIMEOUT at most";
    REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR Text "WAIT" NoEffect "requests share one connection to a server";
    MEMCACHE_HOST_PORT Text "" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_SRV Text "" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_SRV_REFRESH Duration "0" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_MAX_IDLE_CONNS Number "2" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_TLS Bool "false" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_TLS_CLIENT_CERT Text "" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_TLS_CLIENT_KEY Text "" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_TLS_CACERT Text "" NoEffect "goes with BACKEND_TYPE=memcache";
    MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION Bool "false" NoEffect "goes with BACKEND_TYPE=memcache";

    SHADOW_MODE Bool "false" Honoured "";
    QUOTA_MODE Bool "false" Honoured "";
    CACHE_KEY_PREFIX Text "" Honoured "";
    EXPIRATION_JITTER_MAX_SECONDS Number "300" Honoured "of fixed windows; other keys expire when they count nothing any more";
    LOCAL_CACHE_SIZE_IN_BYTES Number "0" NoEffect "nothing is cached that could be out of date";
    STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT Bool "false" NoEffect "with sliding windows a refused request never charges";
    NEAR_LIMIT_RATIO Fraction "0.8" Honoured "";
    USE_CALENDAR_MONTH_RATE_LIMIT Bool "false" Refused "a month has 30 days";
    RESPONSE_DYNAMIC_METADATA Bool "false" Honoured "";
    LIMIT_RESPONSE_HEADERS_ENABLED Bool "false" Honoured "";
    LIMIT_LIMIT_HEADER Text "RateLimit-Limit" Honoured "";
    LIMIT_REMAINING_HEADER Text "RateLimit-Remaining" Honoured "";
    LIMIT_RESET_HEADER Text "RateLimit-Reset" Honoured "";
    LIMIT_REQUEST_HEADERS_ENABLED Bool "false" Honoured "";
    LIMIT_REQUEST_LIMIT_HEADER Text "RateLimit-Limit" Honoured "";
    LIMIT_REQUEST_REMAINING_HEADER Text "RateLimit-Remaining" Honoured "";
    LIMIT_REQUEST_RESET_HEADER Text "RateLimit-Reset" Honoured "";

    USE_PROMETHEUS Bool "false" Honoured "";
    PROMETHEUS_ADDR Text ":9090" Honoured "";
    PROMETHEUS_PATH Text "/metrics" Honoured "";
    PROMETHEUS_MAPPER_YAML Text "" NoEffect "names and labels are those of Envoy Gateway's mapping";
    PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS Bool "false" NoEffect "seconds are seconds";
    USE_STATSD Bool "true" Honoured "beside Prometheus or dogstatsd only when it is set";
    USE_DOG_STATSD Bool "false" Honoured "";
    USE_DOG_STATSD_MOGRIFIERS Text "" Honoured "with `DOG_STATSD_MOGRIFIER_<NAME>_PATTERN`, `_NAME` and `_TAGS` of each";
    STATSD_HOST Text "localhost" Honoured "";
    STATSD_PORT Number "8125" Honoured "";
    STATSD_PROTOCOL Text "tcp" Honoured "";
    EXTRA_TAGS Text "" Honoured "of statsd and dogstatsd";
    STATS_FLUSH_INTERVAL Duration "10s" Honoured "of statsd and dogstatsd; Prometheus sees what is counted at once";
    DISABLE_STATS Bool "false" Honoured "";
    SANITIZE_DESCRIPTOR_METRIC_DOTS Bool "false" NoEffect "only the dots of addresses are replaced";
    TRACING_ENABLED Bool "false" Honoured "";
    TRACING_SERVICE_NAME Text "RateLimit" Honoured "";
    TRACING_SERVICE_NAMESPACE Text "" Honoured "";
    TRACING_SERVICE_INSTANCE_ID Text "" Honoured "without it a random one";
    TRACING_EXPORTER_PROTOCOL Text "http" Honoured "";
    TRACING_SAMPLING_RATE Fraction "1" Honoured "";
    OTEL_EXPORTER_OTLP_ENDPOINT Text "" Honoured "with its scheme; without it `http://localhost:4318`, with `grpc` 4317";
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT Text "" Honoured "";
    OTEL_EXPORTER_OTLP_PROTOCOL Text "" NoEffect "TRACING_EXPORTER_PROTOCOL says how the collector is spoken to";
    OTEL_EXPORTER_OTLP_INSECURE Bool "false" NoEffect "the scheme of the URL says whether TLS is spoken";
    OTEL_EXPORTER_OTLP_HEADERS Text "" Honoured "";
    OTEL_EXPORTER_OTLP_TRACES_HEADERS Text "" Honoured "";
    OTEL_EXPORTER_OTLP_TIMEOUT Number "10000" Honoured "";
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT Number "10000" Honoured "";
    OTEL_EXPORTER_OTLP_COMPRESSION Text "" Honoured "";
    OTEL_EXPORTER_OTLP_TRACES_COMPRESSION Text "" Honoured "";
    OTEL_EXPORTER_OTLP_CERTIFICATE Text "" Honoured "that file alone is trusted, not the system's authorities; reloaded";
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE Text "" Honoured "reloaded";
    OTEL_EXPORTER_OTLP_CLIENT_KEY Text "" Honoured "reloaded";
};
