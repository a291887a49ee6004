//! The environment of envoyproxy/ratelimit, for a process that takes its place.
//!
//! An empty variable is an unset one. What a flag or a variable of our own says goes before it.

mod go;
mod redis;
mod stats;
mod tracing;
pub mod variables;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::rule::limit::OnStoreFailure;
use crate::settings::LogFormat;
use crate::settings::Serve;
use crate::settings::answer::header_name;
use crate::settings::drop_in::variables::Kind;
use crate::settings::drop_in::variables::State;
use crate::settings::drop_in::variables::VARIABLES;
use crate::settings::drop_in::variables::Variable;
use crate::settings::log;
use crate::settings::page;
use crate::source::runtime::Runtime;

/// Everything that is wrong with an environment, one a line.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Unusable(Vec<String>);

/// Reads the environment into the settings, but for what `is_given` says of a setting's name that
/// somebody has chosen it already.
///
/// # Errors
///
/// Every variable whose value cannot be read or cannot be honoured.
pub fn apply(
    serve: &mut Serve,
    is_given: &dyn Fn(&str) -> bool,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(), Unusable> {
    let mut environment = Environment::read(lookup);
    // A value that cannot be read would be reported by what it means as well.
    environment.end()?;
    environment.ports(serve, is_given);
    environment.tls(serve, is_given);
    environment.log(serve, is_given);
    environment.rules(serve, is_given);
    environment.store(serve, is_given);
    environment.modes(serve, is_given);
    environment.answer(serve, is_given);
    environment.stats(serve, is_given);
    environment.tracing(serve, is_given);
    serve.notes.extend(environment.notes());
    environment.end()
}

/// What is set.
#[derive(Debug)]
struct Environment {
    values: BTreeMap<&'static str, String>,
    faults: Vec<String>,
    /// Of each mogrifier its name, and its pattern, name and tags.
    mogrifiers: Vec<(String, [String; 3])>,
    /// The names that were looked at, which a test compares with the table.
    asked: RefCell<BTreeSet<&'static str>>,
}

impl Environment {
    fn read(lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut environment = Self {
            values: BTreeMap::new(),
            faults: Vec::new(),
            mogrifiers: Vec::new(),
            asked: RefCell::default(),
        };
        for variable in VARIABLES {
            let value = lookup(variable.name).filter(|value| !value.is_empty());
            let Some(value) = value else {
                continue;
            };
            if let Some(expected) = variable.fault(&value) {
                environment.fault(variable.name, &value, format!("expected {expected}"));
                continue;
            }
            if variable.state == State::Refused && !variable.is_default(&value) {
                environment.fault(variable.name, &value, variable.note);
            }
            environment.values.insert(variable.name, value);
        }
        let mogrifiers = environment.values.get("USE_DOG_STATSD_MOGRIFIERS");
        let mogrifiers = mogrifiers.iter().flat_map(|names| names.split(','));
        environment.mogrifiers = mogrifiers
            .map(|name| stats::mogrifier(name, lookup))
            .collect();
        environment
    }

    fn fault(&mut self, name: &str, value: &str, why: impl Display) {
        let is_secret = ["AUTH", "URL", "HEADERS"]
            .iter()
            .any(|it| name.contains(it));
        let value = if is_secret { "…" } else { value };
        self.faults.push(format!("{name}={value}: {why}"));
    }

    fn end(&mut self) -> Result<(), Unusable> {
        let faults = std::mem::take(&mut self.faults);
        if faults.is_empty() {
            return Ok(());
        }
        Err(Unusable(faults))
    }

    /// What was set without an effect.
    fn notes(&self) -> Vec<String> {
        let set = VARIABLES.iter().filter_map(|variable| {
            let value = self.values.get(variable.name)?;
            let asks_nothing = match variable.kind {
                Kind::Bool => go::boolean(value) == Ok(false),
                Kind::Duration | Kind::Fraction | Kind::Number | Kind::Text => {
                    variable.is_default(value)
                }
            };
            let is_silent = variable.state != State::NoEffect || asks_nothing;
            (!is_silent).then(|| format!("{} has no effect: {}", variable.name, variable.note))
        });
        set.collect()
    }

    /// The value, if it is set.
    fn set(&self, name: &'static str) -> Option<&str> {
        self.asked.borrow_mut().insert(name);
        self.values.get(name).map(String::as_str)
    }

    /// The value, or what holds without one.
    fn text(&self, name: &'static str) -> &str {
        let default = || Variable::named(name).map_or("", |it| it.default);
        self.set(name).unwrap_or_else(default)
    }

    fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.set(name).map(PathBuf::from)
    }

    fn boolean(&self, name: &'static str) -> bool {
        go::boolean(self.text(name)).unwrap_or_default()
    }

    fn duration(&self, name: &'static str) -> Duration {
        go::duration(self.text(name)).unwrap_or_default()
    }

    fn number(&self, name: &'static str) -> u64 {
        go::number(self.text(name)).unwrap_or_default()
    }

    /// What a value means, or a fault.
    fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name).to_owned();
        match parse(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.fault(name, &text, format!("expected {expected}"));
                None
            }
        }
    }

    fn ports(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        for (name, host, port, address) in [
            ("grpc_addr", "GRPC_HOST", "GRPC_PORT", &mut serve.grpc_addr),
            ("http_addr", "HOST", "PORT", &mut serve.http_addr),
            (
                "debug_addr",
                "DEBUG_HOST",
                "DEBUG_PORT",
                &mut serve.debug_addr,
            ),
        ] {
            if is_given(name) {
                continue;
            }
            let ip = if host == "DEBUG_HOST" && self.set(host).is_none() {
                Some(Ipv4Addr::LOCALHOST.into())
            } else {
                self.parsed(host, go::host)
            };
            let port = self.parsed(port, |text| {
                text.parse::<u16>()
                    .map_err(|_| "a port from 0 to 65535".to_owned())
            });
            if let (Some(ip), Some(port)) = (ip, port) {
                *address = SocketAddr::new(ip, port);
            }
        }
        if !is_given("grpc_socket") && !is_given("grpc_addr") {
            serve.grpc_socket = self.path("GRPC_UDS");
        }
        if !is_given("metrics_addr") {
            serve.has_metrics = self.boolean("USE_PROMETHEUS");
            if let Some(address) = self.parsed("PROMETHEUS_ADDR", go::address) {
                serve.metrics_addr = address;
            }
        }
        if !is_given("metrics_path") {
            let path = |text: &str| page(text).map_err(|_| "a path such as /metrics".to_owned());
            if let Some(path) = self.parsed("PROMETHEUS_PATH", path) {
                serve.metrics_path = path;
            }
        }
        for (name, variable, age) in [
            (
                "max_connection_age",
                "GRPC_MAX_CONNECTION_AGE",
                &mut serve.max_connection_age,
            ),
            (
                "max_connection_age_grace",
                "GRPC_MAX_CONNECTION_AGE_GRACE",
                &mut serve.max_connection_age_grace,
            ),
        ] {
            if !is_given(name) {
                let duration = self.duration(variable);
                // As in gRPC for Go.
                *age = if duration.is_zero() {
                    FOREVER
                } else {
                    duration
                };
            }
        }
    }

    fn tls(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        if is_given("tls_cert") || !self.boolean("GRPC_SERVER_USE_TLS") {
            return;
        }
        for name in ["GRPC_SERVER_TLS_CERT", "GRPC_SERVER_TLS_KEY"] {
            if self.set(name).is_none() {
                self.fault(name, "", "GRPC_SERVER_USE_TLS needs it");
            }
        }
        serve.tls.tls_cert = self.path("GRPC_SERVER_TLS_CERT");
        serve.tls.tls_key = self.path("GRPC_SERVER_TLS_KEY");
        serve.tls.tls_client_ca = self.path("GRPC_CLIENT_TLS_CACERT");
        serve.tls.tls_client_name = self.set("GRPC_CLIENT_TLS_SAN").map(str::to_owned);
    }

    fn log(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        if !is_given("log_level") {
            let level = |text: &str| {
                let name = match text.to_ascii_lowercase().as_str() {
                    "panic" | "fatal" | "error" => "error",
                    "warn" | "warning" => "warn",
                    "info" => "info",
                    "debug" => "debug",
                    "trace" => "trace",
                    _ => {
                        return Err("panic, fatal, error, warn, info, debug or trace".to_owned());
                    }
                };
                log::read(name)
            };
            if let Some(level) = self.parsed("LOG_LEVEL", level) {
                serve.log_level = level;
            }
        }
        if !is_given("log_format") {
            let format = |text: &str| match text.to_ascii_lowercase().as_str() {
                "json" => Ok(LogFormat::Json),
                "text" => Ok(LogFormat::Text),
                _ => Err("text or json".to_owned()),
            };
            if let Some(format) = self.parsed("LOG_FORMAT", format) {
                serve.log_format = format;
            }
        }
    }

    fn rules(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        serve.merge_domains |= self.boolean("MERGE_DOMAIN_CONFIG");
        if is_given("rules") || is_given("xds_server") {
            return;
        }
        match self.text("CONFIG_TYPE") {
            "FILE" if is_given("platform") => {}
            "FILE" => serve.runtime = Some(self.runtime()),
            "GRPC_XDS_SOTW" => {
                self.xds(serve);
                serve.wait_for_rules |= !self.boolean("FORCE_START_WITHOUT_INITIAL_CONFIG");
            }
            other => {
                let other = other.to_owned();
                self.fault("CONFIG_TYPE", &other, "expected FILE or GRPC_XDS_SOTW");
            }
        }
    }

    /// Where files lie. Without a subdirectory there are none, as there.
    fn runtime(&self) -> Runtime {
        let root = PathBuf::from(self.text("RUNTIME_ROOT"));
        let app = self.text("RUNTIME_APPDIRECTORY");
        let below = self.set("RUNTIME_SUBDIRECTORY");
        let watches_root = self.boolean("RUNTIME_WATCH_ROOT");
        Runtime {
            directory: match below {
                None if watches_root => None,
                None => Some(root.join(app)),
                Some(below) if watches_root => Some(root.join(below)),
                Some(below) => Some(root.join(below).join(app)),
            },
            prefix: watches_root.then(|| format!("{app}.")),
            skips_dot_files: self.boolean("RUNTIME_IGNOREDOTFILES"),
        }
    }

    fn xds(&mut self, serve: &mut Serve) {
        let xds = &mut serve.xds;
        xds.xds_server = Some(self.text("CONFIG_GRPC_XDS_SERVER_URL").to_owned());
        xds.xds_node_id = self.text("CONFIG_GRPC_XDS_NODE_ID").to_owned();
        if self.boolean("CONFIG_GRPC_XDS_SERVER_USE_TLS") {
            xds.xds_tls = true;
            xds.xds_ca = self.path("CONFIG_GRPC_XDS_SERVER_TLS_CACERT");
            xds.xds_cert = self.path("CONFIG_GRPC_XDS_CLIENT_TLS_CERT");
            xds.xds_key = self.path("CONFIG_GRPC_XDS_CLIENT_TLS_KEY");
            let name = self.set("CONFIG_GRPC_XDS_SERVER_TLS_SAN");
            xds.xds_server_name = name.map(str::to_owned);
        }
        if self.set("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL").is_some() {
            xds.xds_backoff = self.duration("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL");
        }
        xds.xds_max_backoff = self.duration("XDS_CLIENT_BACKOFF_MAX_INTERVAL");
        xds.is_regular = !self.boolean("XDS_CLIENT_BACKOFF_JITTER");
        let most = self.number("XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES");
        if most > 0 {
            xds.xds_max_message = usize::try_from(most).unwrap_or(usize::MAX);
        }
        for (name, separator, pairs) in [
            (
                "CONFIG_GRPC_XDS_NODE_METADATA",
                '=',
                &mut xds.xds_node_metadata,
            ),
            (
                "CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS",
                ':',
                &mut xds.headers,
            ),
        ] {
            if self.set(name).is_none() {
                continue;
            }
            if let Some(read) = self.parsed(name, |text| go::pairs(text, separator)) {
                *pairs = read;
            }
        }
    }

    fn modes(&self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        let counting = &mut serve.counting;
        if !is_given("key_prefix") {
            counting.key_prefix = self.text("CACHE_KEY_PREFIX").to_owned();
        }
        if !is_given("expiry_jitter") {
            let jitter = self.number("EXPIRATION_JITTER_MAX_SECONDS");
            counting.expiry_jitter = Duration::from_secs(jitter);
        }
        if !is_given("near_limit_ratio") {
            let ratio = go::fraction(self.text("NEAR_LIMIT_RATIO"));
            counting.near_limit_ratio = ratio.unwrap_or_default() as f32;
        }
        serve.shadow_mode |= self.boolean("SHADOW_MODE");
        serve.quota_mode |= self.boolean("QUOTA_MODE");
        serve.health_needs_rules |= self.boolean("HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED");
        serve.health_needs_store |= self.boolean("REDIS_HEALTH_CHECK_ACTIVE_CONNECTION");
    }

    fn answer(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        let answer = &mut serve.answer;
        answer.limit_headers |= self.boolean("LIMIT_RESPONSE_HEADERS_ENABLED");
        answer.response_metadata |= self.boolean("RESPONSE_DYNAMIC_METADATA");
        answer.limit_request_headers |= self.boolean("LIMIT_REQUEST_HEADERS_ENABLED");
        let mut names = Vec::new();
        for variable in [
            "LIMIT_REQUEST_LIMIT_HEADER",
            "LIMIT_REQUEST_REMAINING_HEADER",
            "LIMIT_REQUEST_RESET_HEADER",
        ] {
            let read =
                |text: &str| header_name(text).map_err(|_| "the name of a header".to_owned());
            names.extend(self.parsed(variable, read));
        }
        if let Ok(names) = names.try_into() {
            answer.request_names = Some(names);
        }
        for (name, variable, header) in [
            (
                "limit_header",
                "LIMIT_LIMIT_HEADER",
                &mut answer.limit_header,
            ),
            (
                "remaining_header",
                "LIMIT_REMAINING_HEADER",
                &mut answer.remaining_header,
            ),
            (
                "reset_header",
                "LIMIT_RESET_HEADER",
                &mut answer.reset_header,
            ),
        ] {
            if is_given(name) {
                continue;
            }
            let read =
                |text: &str| header_name(text).map_err(|_| "the name of a header".to_owned());
            if let Some(name) = self.parsed(variable, read) {
                *header = name;
            }
        }
    }

    fn store(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        serve.forgives_store = true;
        if !is_given("on_store_failure") {
            // Envoy's failure mode decides.
            serve.on_store_failure = OnStoreFailure::Error;
        }
        if is_given("store") {
            return;
        }
        let backend = self.text("BACKEND_TYPE").to_ascii_lowercase();
        if backend != "redis" {
            let why = match backend.as_str() {
                "memcache" => "memcached cannot count sliding windows: use redis",
                _ => "expected redis",
            };
            self.fault("BACKEND_TYPE", &backend, why);
            return;
        }
        self.redis(serve, is_given);
    }
}

/// Longer than any process runs.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

#[cfg(test)]
mod tests;
