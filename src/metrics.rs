//! Every metric of the process, and the handles that its users keep.
//!
//! Handles are made once and kept, so that nothing is looked up by name per request. Label values
//! come from a request only where a rule asks for it.

mod name;
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
    /// Logs of keys that lay ahead of the store's clock and were set back to it.
    pub shifted_logs: Counter,
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
                Matcher::Full(name::STORE_SECONDS.to_owned()),
                &name::STORE_SECONDS_BUCKETS,
            )
            .expect("the list of buckets is not empty")
            .build_recorder();
        for (name, help) in name::COUNTERS {
            recorder.describe_counter(name.into(), None, help.into());
        }
        for (name, help) in name::GAUGES {
            recorder.describe_gauge(name.into(), None, help.into());
        }
        recorder.describe_histogram(
            name::STORE_SECONDS.into(),
            None,
            name::STORE_SECONDS_HELP.into(),
        );
        let metrics = Self {
            recorder,
            counters: Counters::default(),
            response_time: Timer::default(),
            runtimes: Runtimes::default(),
        };
        let version = [("version", env!("CARGO_PKG_VERSION").to_owned())];
        metrics.gauge(name::BUILD_INFO, &version).set(1.0);
        metrics
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.counters.sweep();
        let help = |name: &str| {
            let mut all = name::RULE_COUNTERS.iter().chain(&reference::COUNTERS);
            all.find(|(it, _)| *it == name).map_or("", |(_, help)| help)
        };
        self.gauge(name::TASKS, &[])
            .set(self.runtimes.tasks() as f64);
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
            within: counter(name::RULE_VERDICTS, Some("within")),
            over_limit: counter(name::RULE_VERDICTS, Some("over_limit")),
            shadow: counter(name::RULE_VERDICTS, Some("shadow")),
            hits: HitMetrics::new(&self.counters, domain, rule),
            cost_unclear: counter(name::COST_UNCLEAR, None),
        }
    }

    /// The handles of the store of this kind.
    pub fn store(&self, kind: &'static str) -> StoreMetrics {
        let labels = [("store", kind.to_owned())];
        StoreMetrics {
            latency: self.histogram(name::STORE_SECONDS, &labels),
            errors: self.counter(name::STORE_ERRORS, &labels),
            connected: self.gauge(name::STORE_CONNECTED, &labels),
            circuit_opened: self.counter(name::STORE_OPENED, &labels),
            evicted_keys: self.counter(name::STORE_EVICTED, &labels),
            shifted_logs: self.counter(name::STORE_SHIFTED, &labels),
            answers_since: self.gauge(name::STORE_SINCE, &labels),
        }
    }

    /// The handles of what is decided without the store.
    pub fn fallback(&self) -> FallbackMetrics {
        let requests =
            |choice: &str| self.counter(name::FALLBACKS, &[("choice", choice.to_owned())]);
        let hits = |fate: &str| self.counter(name::FALLBACK_HITS, &[("fate", fate.to_owned())]);
        FallbackMetrics {
            allow: requests("allow"),
            deny: requests("deny"),
            error: requests("error"),
            local: requests("local"),
            booked: hits("booked"),
            lost: hits("lost"),
            replicas: self.gauge(name::REPLICAS, &[]),
        }
    }

    /// The handles of the ledger.
    pub fn ledger(&self) -> LedgerMetrics {
        let answers =
            |verdict: &str| self.counter(name::LEDGER_ANSWERS, &[("verdict", verdict.to_owned())]);
        LedgerMetrics {
            granted: answers("within"),
            refused: answers("over_limit"),
            takes: self.counter(name::LEDGER_TAKES, &[]),
            given_back: self.counter(name::LEDGER_GIVEN_BACK, &[]),
            evictions: self.counter(name::LEDGER_EVICTIONS, &[]),
        }
    }

    /// The handles of the configuration.
    pub fn source(&self) -> SourceMetrics {
        let loads =
            |result: &str| self.counter(name::CONFIG_LOADS, &[("result", result.to_owned())]);
        SourceMetrics {
            loaded: self.both(loads("loaded"), Whole::LoadSuccess),
            refused: self.both(loads("refused"), Whole::LoadError),
            rules: self.gauge(name::CONFIG_RULES, &[]),
            domains: self.gauge(name::CONFIG_DOMAINS, &[]),
            last_load: self.gauge(name::CONFIG_LAST_LOAD, &[]),
        }
    }

    /// The handles of the gRPC and JSON services.
    pub fn service(&self) -> ServiceMetrics {
        let requests =
            |verdict: &str| self.counter(name::REQUESTS, &[("verdict", verdict.to_owned())]);
        let errors =
            |reason: &str| self.counter(name::REQUEST_ERRORS, &[("reason", reason.to_owned())]);
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
            connections: self.gauge(name::CONNECTIONS, &[]),
            connections_refused: self.counter(name::CONNECTIONS_REFUSED, &[]),
            handshakes_failed: self.counter(name::HANDSHAKES_FAILED, &[]),
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
