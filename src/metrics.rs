//! Every metric of the process, and the handles that its users keep.
//!
//! Handles are made once and kept, so that nothing is looked up by name per request. Label values
//! come from a request only where a rule asks for it.

pub mod reference;
pub mod runtimes;
mod series;
pub mod statsd;
pub mod timer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use metrics::Counter;
use metrics::CounterFn;
use metrics::Gauge;
use metrics::Histogram;
use metrics::Key;
use metrics::Label;
use metrics::Level;
use metrics::Metadata;
use metrics::Recorder;
use metrics_exporter_prometheus::Matcher;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::metrics::reference::HitMetrics;
use crate::metrics::reference::Whole;
use crate::metrics::runtimes::Runtimes;
use crate::metrics::series::Counters;
use crate::metrics::series::Series;
use crate::metrics::timer::Timer;

/// The metrics of one process; a test that runs several services gives each its own.
#[derive(Debug)]
pub struct Metrics {
    recorder: PrometheusRecorder,
    /// Those of rules, which end with them, and those that have a name of envoyproxy/ratelimit.
    counters: Counters,
    response_time: Timer,
    runtimes: Runtimes,
}

/// What happened to descriptors that matched one rule.
#[derive(Clone, Debug)]
pub struct RuleMetrics {
    /// Descriptors that passed.
    pub within: Counter,
    /// Descriptors that were refused.
    pub over_limit: Counter,
    /// Descriptors that passed only because the rule is in shadow mode.
    pub shadow: Counter,
    /// What became of their hits.
    pub hits: HitMetrics,
    /// How often costs of changing size began to leave open whether they are asks or reports.
    pub cost_unclear: Counter,
}

/// How a store does.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// Seconds from sending a command to its answer.
    pub latency: Histogram,
    /// Commands that failed.
    pub errors: Counter,
    /// 1 while the store answers, else 0.
    pub connected: Gauge,
    /// How often the store was found not to answer.
    pub circuit_opened: Counter,
    /// Keys that the store evicted to make room.
    pub evicted_keys: Counter,
    /// Since when the store answers or does not, in seconds since the Unix epoch.
    pub answers_since: Gauge,
}

/// How requests are decided while the store does not answer.
#[derive(Clone, Debug)]
pub struct FallbackMetrics {
    /// Requests that passed by choice.
    pub allow: Counter,
    /// Requests that were refused by choice.
    pub deny: Counter,
    /// Requests that failed by choice.
    pub error: Counter,
    /// Requests that this process counted on its own.
    pub local: Counter,
    /// Hits that the store was told of later.
    pub booked: Counter,
    /// Hits that the store may never have learned of.
    pub lost: Counter,
    /// How many replicas each count a part of a limit alone.
    pub replicas: Gauge,
}

/// How often the store need not be asked, and what for.
#[derive(Clone, Debug)]
pub struct LedgerMetrics {
    /// Asks granted from a lease.
    pub granted: Counter,
    /// Asks refused because the store had refused as many hits a moment ago.
    pub refused: Counter,
    /// Takes sent to the store, each for all who wait for one key.
    pub takes: Counter,
    /// Leases and late grants of which something was given back.
    pub given_back: Counter,
    /// Keys that made room for others.
    pub evictions: Counter,
}

/// How the configuration does.
#[derive(Clone, Debug)]
pub struct SourceMetrics {
    /// Changes that were put in force.
    pub loaded: Counter,
    /// Changes that were refused.
    pub refused: Counter,
    /// Rules in force.
    pub rules: Gauge,
    /// Domains in force.
    pub domains: Gauge,
    /// When the rules in force were loaded, in seconds since the Unix epoch.
    pub last_load: Gauge,
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub struct ServiceMetrics {
    /// Requests that passed.
    pub within: Counter,
    /// Requests that came over gRPC, whatever became of them.
    pub calls: Counter,
    /// How long those took.
    pub response_time: Timer,
    /// Requests that were refused.
    pub over_limit: Counter,
    /// Requests that passed only because everything is in shadow mode.
    pub shadow: Counter,
    /// Requests that could not be understood.
    pub invalid: Counter,
    /// Requests before the first rules.
    pub no_rules: Counter,
    /// Requests that the store failed.
    pub store_failed: Counter,
    /// Requests that the store answered too late.
    pub store_late: Counter,
    /// Open connections to the gRPC port.
    pub connections: Gauge,
    /// Connections that were closed at once because too many were open.
    pub connections_refused: Counter,
    /// Connections whose TLS handshake failed or took too long.
    pub handshakes_failed: Counter,
    /// Whose tasks are counted.
    pub runtimes: Runtimes,
}

impl SourceMetrics {
    /// The same for a source beside that of the rules: which are in force is not its to say.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            rules: Gauge::noop(),
            domains: Gauge::noop(),
            last_load: Gauge::noop(),
            ..self.clone()
        }
    }
}

impl Metrics {
    /// Sets up the recorder, with a help text for every metric.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Full(STORE_SECONDS.to_owned()),
                &STORE_SECONDS_BUCKETS,
            )
            .expect("the list of buckets is not empty")
            .build_recorder();
        for (name, help) in COUNTERS {
            recorder.describe_counter(name.into(), None, help.into());
        }
        for (name, help) in GAUGES {
            recorder.describe_gauge(name.into(), None, help.into());
        }
        recorder.describe_histogram(STORE_SECONDS.into(), None, STORE_SECONDS_HELP.into());
        let metrics = Self {
            recorder,
            counters: Counters::default(),
            response_time: Timer::default(),
            runtimes: Runtimes::default(),
        };
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        metrics.gauge(BUILD_INFO, &version).set(1.0);
        metrics
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.counters.sweep();
        let help = |name: &str| {
            let mut all = RULE_COUNTERS.iter().chain(&reference::COUNTERS);
            all.find(|(it, _)| *it == name).map_or("", |(_, help)| help)
        };
        self.gauge(TASKS, &[]).set(self.runtimes.tasks() as f64);
        let mut text = self.recorder.handle().render();
        text.push_str(&self.counters.render(help));
        text.push_str(&reference::render_seconds(&self.response_time));
        text
    }

    /// Sums up what the histograms have gathered since, and forgets the series of rules that are
    /// gone; without it they grow until the next [`Metrics::render`].
    pub fn upkeep(&self) {
        self.recorder.handle().run_upkeep();
        self.counters.sweep();
    }

    /// The runtimes whose tasks are counted.
    pub fn runtimes(&self) -> Runtimes {
        self.runtimes.clone()
    }

    /// The handles of one rule; the same again for the same names. Its series are there as long
    /// as somebody holds them.
    pub fn rule(&self, domain: &str, rule: &str) -> RuleMetrics {
        let counter = |name: &'static str, verdict: Option<&str>| {
            let labels = [("domain", domain), ("rule", rule)];
            let labels = labels.into_iter().chain(verdict.map(|it| ("verdict", it)));
            self.counters.counter(Series {
                name,
                labels: labels.map(|(k, v)| (k, v.to_owned())).collect(),
                path: None,
            })
        };
        RuleMetrics {
            within: counter(RULE_VERDICTS, Some("within")),
            over_limit: counter(RULE_VERDICTS, Some("over_limit")),
            shadow: counter(RULE_VERDICTS, Some("shadow")),
            hits: HitMetrics::new(&self.counters, domain, rule),
            cost_unclear: counter(COST_UNCLEAR, None),
        }
    }

    /// The handles of the store of this kind.
    pub fn store(&self, kind: &'static str) -> StoreMetrics {
        let labels = [("store", kind.to_owned())];
        StoreMetrics {
            latency: self.histogram(STORE_SECONDS, &labels),
            errors: self.counter(STORE_ERRORS, &labels),
            connected: self.gauge(STORE_CONNECTED, &labels),
            circuit_opened: self.counter(STORE_OPENED, &labels),
            evicted_keys: self.counter(STORE_EVICTED, &labels),
            answers_since: self.gauge(STORE_SINCE, &labels),
        }
    }

    /// The handles of what is decided without the store.
    pub fn fallback(&self) -> FallbackMetrics {
        let requests = |choice: &str| self.counter(FALLBACKS, &[("choice", choice.to_owned())]);
        let hits = |fate: &str| self.counter(FALLBACK_HITS, &[("fate", fate.to_owned())]);
        FallbackMetrics {
            allow: requests("allow"),
            deny: requests("deny"),
            error: requests("error"),
            local: requests("local"),
            booked: hits("booked"),
            lost: hits("lost"),
            replicas: self.gauge(REPLICAS, &[]),
        }
    }

    /// The handles of the ledger.
    pub fn ledger(&self) -> LedgerMetrics {
        let answers =
            |verdict: &str| self.counter(LEDGER_ANSWERS, &[("verdict", verdict.to_owned())]);
        LedgerMetrics {
            granted: answers("within"),
            refused: answers("over_limit"),
            takes: self.counter(LEDGER_TAKES, &[]),
            given_back: self.counter(LEDGER_GIVEN_BACK, &[]),
            evictions: self.counter(LEDGER_EVICTIONS, &[]),
        }
    }

    /// The handles of the configuration.
    pub fn source(&self) -> SourceMetrics {
        let loads = |result: &str| self.counter(CONFIG_LOADS, &[("result", result.to_owned())]);
        SourceMetrics {
            loaded: self.both(loads("loaded"), Whole::LoadSuccess),
            refused: self.both(loads("refused"), Whole::LoadError),
            rules: self.gauge(CONFIG_RULES, &[]),
            domains: self.gauge(CONFIG_DOMAINS, &[]),
            last_load: self.gauge(CONFIG_LAST_LOAD, &[]),
        }
    }

    /// The handles of the gRPC and JSON services.
    pub fn service(&self) -> ServiceMetrics {
        let requests = |verdict: &str| self.counter(REQUESTS, &[("verdict", verdict.to_owned())]);
        let errors = |reason: &str| self.counter(REQUEST_ERRORS, &[("reason", reason.to_owned())]);
        let service_error = |own| self.both(own, Whole::Error("service_error"));
        let redis_error = |own| self.both(own, Whole::Error("redis_error"));
        ServiceMetrics {
            calls: Whole::Request.counter(&self.counters),
            response_time: self.response_time.clone(),
            within: requests("within"),
            over_limit: requests("over_limit"),
            shadow: self.both(requests("shadow"), Whole::ShadowMode),
            invalid: service_error(errors("invalid")),
            no_rules: service_error(errors("no_rules")),
            store_failed: redis_error(errors("store_failed")),
            store_late: redis_error(errors("store_late")),
            connections: self.gauge(CONNECTIONS, &[]),
            connections_refused: self.counter(CONNECTIONS_REFUSED, &[]),
            handshakes_failed: self.counter(HANDSHAKES_FAILED, &[]),
            runtimes: self.runtimes.clone(),
        }
    }

    /// A counter of our own, with which one of envoyproxy/ratelimit rises.
    fn both(&self, own: Counter, reference: Whole) -> Counter {
        let reference = reference.counter(&self.counters);
        Counter::from_arc(Arc::new(Both(own, reference)))
    }

    fn counter(&self, name: &'static str, labels: &[(&'static str, String)]) -> Counter {
        self.recorder.register_counter(&key(name, labels), &ABOUT)
    }

    fn gauge(&self, name: &'static str, labels: &[(&'static str, String)]) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &ABOUT)
    }

    fn histogram(&self, name: &'static str, labels: &[(&'static str, String)]) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &ABOUT)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Two counters that rise together.
struct Both(Counter, Counter);

impl CounterFn for Both {
    fn increment(&self, by: u64) {
        self.0.increment(by);
        self.1.increment(by);
    }

    fn absolute(&self, value: u64) {
        self.0.absolute(value);
        self.1.absolute(value);
    }
}

fn key(name: &'static str, labels: &[(&'static str, String)]) -> Key {
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, value.clone()))
        .collect();
    Key::from_parts(name, labels)
}

/// What `metrics` asks for with each handle; the Prometheus recorder does not look at it.
const ABOUT: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

const BUILD_INFO: &str = "slidegate_build_info";
const CONFIG_DOMAINS: &str = "slidegate_config_domains";
const CONFIG_LAST_LOAD: &str = "slidegate_config_last_load_timestamp_seconds";
const CONFIG_LOADS: &str = "slidegate_config_loads_total";
const CONFIG_RULES: &str = "slidegate_config_rules";
const CONNECTIONS: &str = "slidegate_connections";
const CONNECTIONS_REFUSED: &str = "slidegate_connections_refused_total";
const HANDSHAKES_FAILED: &str = "slidegate_tls_handshakes_failed_total";
const FALLBACKS: &str = "slidegate_fallback_requests_total";
const FALLBACK_HITS: &str = "slidegate_fallback_hits_total";
const LEDGER_ANSWERS: &str = "slidegate_ledger_answers_total";
const LEDGER_EVICTIONS: &str = "slidegate_ledger_evictions_total";
const LEDGER_GIVEN_BACK: &str = "slidegate_ledger_given_back_total";
const LEDGER_TAKES: &str = "slidegate_ledger_takes_total";
const REPLICAS: &str = "slidegate_replicas";
const REQUESTS: &str = "slidegate_requests_total";
const REQUEST_ERRORS: &str = "slidegate_request_errors_total";
const RULE_VERDICTS: &str = "slidegate_rule_verdicts_total";
const STORE_CONNECTED: &str = "slidegate_store_connected";
const COST_UNCLEAR: &str = "slidegate_rule_cost_unclear_total";
const STORE_ERRORS: &str = "slidegate_store_errors_total";
const STORE_EVICTED: &str = "slidegate_store_evicted_keys_total";
const STORE_OPENED: &str = "slidegate_store_outages_total";
const STORE_SINCE: &str = "slidegate_store_since_timestamp_seconds";
const STORE_SECONDS: &str = "slidegate_store_duration_seconds";

const TASKS: &str = "slidegate_tasks";

const STORE_SECONDS_HELP: &str = "Time from sending a command to the store to its answer.";

/// The counters of rules.
const RULE_COUNTERS: [(&str, &str); 2] = [
    (
        COST_UNCLEAR,
        "Hours in which a rule's costs were of changing size and taken for reports.",
    ),
    (
        RULE_VERDICTS,
        "Descriptors decided by a rule: passed, refused, or passed because of shadow mode.",
    ),
];

const COUNTERS: [(&str, &str); 14] = [
    (
        FALLBACKS,
        "Requests that were decided or failed while the store did not answer, by the choice that held.",
    ),
    (
        FALLBACK_HITS,
        "Hits admitted while the store did not answer: booked there later, or lost to it.",
    ),
    (STORE_OPENED, "How often the store was found not to answer."),
    (
        CONFIG_LOADS,
        "Changes of the configuration, by whether they were put in force.",
    ),
    (
        CONNECTIONS_REFUSED,
        "Connections to the gRPC port that were closed at once because too many were open.",
    ),
    (
        HANDSHAKES_FAILED,
        "Connections to the gRPC port whose TLS handshake failed or took too long.",
    ),
    (
        LEDGER_ANSWERS,
        "Descriptors answered without asking the store, by verdict.",
    ),
    (
        LEDGER_EVICTIONS,
        "Keys that made room for others in the ledger.",
    ),
    (
        LEDGER_GIVEN_BACK,
        "Leases and late grants of which something was given back to the store.",
    ),
    (
        LEDGER_TAKES,
        "Takes sent to the store, each for all who waited for one key.",
    ),
    (REQUESTS, "Requests that were decided, by verdict."),
    (
        REQUEST_ERRORS,
        "Requests that were answered with an error, by reason.",
    ),
    (STORE_ERRORS, "Commands to the store that failed."),
    (
        STORE_EVICTED,
        "Keys that the store evicted to make room: hits forgotten, and more admitted than the limits.",
    ),
];

const GAUGES: [(&str, &str); 9] = [
    (TASKS, "Tasks that have begun and not ended."),
    (
        REPLICAS,
        "How many replicas share the limits that each counts on its own while the store does not answer.",
    ),
    (
        STORE_SINCE,
        "Since when slidegate_store_connected is what it is, since the Unix epoch.",
    ),
    (BUILD_INFO, "Always 1, with the version of the program."),
    (CONFIG_DOMAINS, "Domains in force."),
    (
        CONFIG_LAST_LOAD,
        "When the rules in force were loaded, since the Unix epoch.",
    ),
    (CONFIG_RULES, "Rules in force."),
    (CONNECTIONS, "Open connections to the gRPC port."),
    (
        STORE_CONNECTED,
        "Whether the store answers: 1 when it does, else 0.",
    ),
];

/// 50 µs to 100 ms, two to three steps for each doubling or so of what a store takes.
const STORE_SECONDS_BUCKETS: [f64; 13] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1,
];
