//! Metrics of rules that tell values of requests apart, in bounded number.

use std::sync::Arc;
use std::sync::OnceLock;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::metrics::RuleMetrics;
use crate::rule::tree::Rule;

/// The metrics of one rule by what it is called with the values of requests.
///
/// Values beyond [`MAX_LABELS`], and those that make a name longer than [`MAX_LABEL_BYTES`], are
/// counted together under `other`.
#[derive(Debug)]
pub(super) struct ByValues {
    metrics: Arc<Metrics>,
    known: Mutex<HashMap<Box<str>, Arc<RuleMetrics>, RandomState>>,
    /// Held, as series end with their last handle.
    others: OnceLock<Arc<RuleMetrics>>,
}

impl ByValues {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self {
            metrics: Arc::clone(metrics),
            known: Mutex::default(),
            others: OnceLock::new(),
        }
    }

    /// The metrics for the values of a request that the rule matches.
    pub(super) fn of<'e>(
        &self,
        rule: &'e Rule,
        values: impl IntoIterator<Item = &'e str>,
    ) -> Arc<RuleMetrics> {
        let label = rule.label_with(values);
        let mut known = self.known.lock();
        if let Some(metrics) = known.get(label.as_str()) {
            return Arc::clone(metrics);
        }
        if known.len() < MAX_LABELS && label.len() <= MAX_LABEL_BYTES {
            let metrics = Arc::new(self.metrics.rule(&rule.domain, &label));
            known.insert(label.into(), Arc::clone(&metrics));
            return metrics;
        }
        let others = || {
            let label = rule.label_with(rule.path.iter().map(|_| OTHER));
            Arc::new(self.metrics.rule(&rule.domain, &label))
        };
        Arc::clone(self.others.get_or_init(others))
    }
}

/// How many names one rule has at most, besides that of `other`.
const MAX_LABELS: usize = 1_000;

/// How long a name may be.
const MAX_LABEL_BYTES: usize = 512;

/// What stands for values that are not told apart.
const OTHER: &str = "other";
