//! The rules in force, each with what the limiter keeps for it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limiter::cost::Costs;
use crate::limiter::refusal::Refusals;
use crate::limiter::values::ByValues;
use crate::metrics::Metrics;
use crate::metrics::RuleMetrics;
use crate::rule::tree::Rule;
use crate::rule::tree::RuleId;
use crate::rule::tree::RuleSet;
use crate::rule::tree::Segment;
use crate::rule::tree::Tree;

/// A rule set with a state for each of its rules, and one a domain for overrides.
#[derive(Debug)]
pub(super) struct InForce {
    rules: Arc<RuleSet>,
    by_rule: Vec<Arc<State>>,
    overrides: HashMap<Arc<str>, Arc<State>>,
}

/// What the limiter keeps for a rule. It outlives changes of its limit.
#[derive(Debug)]
pub(super) struct State {
    /// The rule's name in metrics and logs.
    pub(super) label: String,
    pub(super) costs: Costs,
    pub(super) metrics: RuleMetrics,
    /// Its metrics by the values of requests, where it tells them apart.
    pub(super) by_values: Option<ByValues>,
    pub(super) refusals: Refusals,
}

impl State {
    fn new(
        domain: &str,
        label: String,
        by_values: Option<ByValues>,
        metrics: &Metrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            costs: Costs::default(),
            metrics: metrics.rule(domain, &label),
            by_values,
            refusals: Refusals::default(),
            label,
        })
    }
}

impl InForce {
    /// Takes over what is known of rules that were in force `before`.
    pub(super) fn new(rules: RuleSet, before: Option<&Self>, metrics: &Arc<Metrics>) -> Self {
        let known: HashMap<Identity<'_>, &Arc<State>> = before
            .iter()
            .flat_map(|before| before.rules.rules().iter().zip(&before.by_rule))
            .map(|(rule, state)| (identity(rule), state))
            .collect();
        let state = |rule: &Rule| match known.get(&identity(rule)) {
            Some(state) => Arc::clone(state),
            None => {
                let by_values = rule.shows_values().then(|| ByValues::new(metrics));
                State::new(&rule.domain, rule.label(), by_values, metrics)
            }
        };
        let by_rule = rules.rules().iter().map(state).collect();
        let mut overrides = HashMap::new();
        for rule in rules.rules() {
            let domain = &rule.domain;
            let kept = before.and_then(|before| before.overrides.get(domain));
            overrides.entry(Arc::clone(domain)).or_insert_with(|| {
                let make = || State::new(domain, OVERRIDE.to_owned(), None, metrics);
                kept.map_or_else(make, Arc::clone)
            });
        }
        Self {
            rules: Arc::new(rules),
            by_rule,
            overrides,
        }
    }

    pub(super) fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub(super) fn domain(&self, name: &str) -> Option<&Tree> {
        self.rules.domain(name)
    }

    pub(super) fn rule(&self, id: RuleId) -> (&Rule, &State) {
        (self.rules.rule(id), &self.by_rule[id.index()])
    }

    /// The state of the overrides of a domain that has rules.
    pub(super) fn overrides(&self, domain: &str) -> Option<&State> {
        self.overrides.get(domain).map(Arc::as_ref)
    }
}

/// What a state belongs to: the rule, and what its metrics show.
type Identity<'r> = (&'r str, &'r [Segment], bool);

fn identity(rule: &Rule) -> Identity<'_> {
    (&rule.domain, &rule.path, rule.detailed_metric)
}

/// The label of limits that requests bring themselves; their own names are without bound.
const OVERRIDE: &str = "(override)";
