//! Puts rules in force, and says so in the log and in metrics.

use crate::metrics::SourceMetrics;
use crate::rule::Domain;
use crate::rule::document;

/// Applies rules.
pub(super) fn put(domains: Vec<Domain>, apply: impl Fn(Vec<Domain>), metrics: &SourceMetrics) {
    let (n_domains, n_rules) = (domains.len(), document::count(&domains));
    apply(domains);
    metrics.loaded.increment(1);
    metrics.domains.set(n_domains as f64);
    metrics.rules.set(n_rules as f64);
    tracing::info!(domains = n_domains, rules = n_rules, "rules loaded");
}
