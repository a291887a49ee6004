//! What our own metrics are called, and what `/metrics` says of them.

pub(super) const BUILD_INFO: &str = "slidegate_build_info";
pub(super) const CONFIG_DOMAINS: &str = "slidegate_config_domains";
pub(super) const CONFIG_LAST_LOAD: &str = "slidegate_config_last_load_timestamp_seconds";
pub(super) const CONFIG_LOADS: &str = "slidegate_config_loads_total";
pub(super) const CONFIG_RULES: &str = "slidegate_config_rules";
pub(super) const CONNECTIONS: &str = "slidegate_connections";
pub(super) const CONNECTIONS_REFUSED: &str = "slidegate_connections_refused_total";
pub(super) const COST_UNCLEAR: &str = "slidegate_rule_cost_unclear_total";
pub(super) const FALLBACKS: &str = "slidegate_fallback_requests_total";
pub(super) const FALLBACK_HITS: &str = "slidegate_fallback_hits_total";
pub(super) const HANDSHAKES_FAILED: &str = "slidegate_tls_handshakes_failed_total";
pub(super) const LEDGER_ANSWERS: &str = "slidegate_ledger_answers_total";
pub(super) const LEDGER_EVICTIONS: &str = "slidegate_ledger_evictions_total";
pub(super) const LEDGER_GIVEN_BACK: &str = "slidegate_ledger_given_back_total";
pub(super) const LEDGER_TAKES: &str = "slidegate_ledger_takes_total";
pub(super) const REPLICAS: &str = "slidegate_replicas";
pub(super) const REQUESTS: &str = "slidegate_requests_total";
pub(super) const REQUEST_ERRORS: &str = "slidegate_request_errors_total";
pub(super) const RULE_VERDICTS: &str = "slidegate_rule_verdicts_total";
pub(super) const STORE_CONNECTED: &str = "slidegate_store_connected";
pub(super) const STORE_ERRORS: &str = "slidegate_store_errors_total";
pub(super) const STORE_EVICTED: &str = "slidegate_store_evicted_keys_total";
pub(super) const STORE_OPENED: &str = "slidegate_store_outages_total";
pub(super) const STORE_SECONDS: &str = "slidegate_store_duration_seconds";
pub(super) const STORE_SHIFTED: &str = "slidegate_store_shifted_logs_total";
pub(super) const STORE_SINCE: &str = "slidegate_store_since_timestamp_seconds";
pub(super) const TASKS: &str = "slidegate_tasks";

pub(super) const STORE_SECONDS_HELP: &str =
    "Time from sending a command to the store to its answer.";

/// The counters of rules, and what they say.
pub(super) const RULE_COUNTERS: [(&str, &str); 2] = [
    (
        COST_UNCLEAR,
        "Hours in which a rule's costs were of changing size and taken for reports.",
    ),
    (
        RULE_VERDICTS,
        "Descriptors decided by a rule: passed, refused, or passed because of shadow mode.",
    ),
];

/// All other counters.
pub(super) const COUNTERS: [(&str, &str); 15] = [
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
    (
        STORE_SHIFTED,
        "Logs of keys that lay ahead of the store's clock and were set back to it.",
    ),
];

/// The gauges.
pub(super) const GAUGES: [(&str, &str); 9] = [
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
pub(super) const STORE_SECONDS_BUCKETS: [f64; 13] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_3, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1,
];
