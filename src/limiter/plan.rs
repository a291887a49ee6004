//! What a request means under the rules: which limits hold, and what to take from the store.

use std::cmp::Ordering;
use std::sync::Arc;

use tracing::warn;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Timestamp;
use crate::limiter::Descriptor;
use crate::limiter::Options;
use crate::limiter::Request;
use crate::limiter::in_force::InForce;
use crate::limiter::in_force::State;
use crate::metrics::RuleMetrics;
use crate::rule::Allowance;
use crate::rule::Metadata;
use crate::rule::Value;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Cost;
use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::rule::tree::Segment;
use crate::store::Now;
use crate::store::Take;
use crate::store::Veto;
use crate::store::key;

/// What to ask the store, and what its answers are for.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) takes: Vec<Take>,
    /// One a descriptor.
    pub(super) meanings: Vec<Meaning<'a>>,
    /// Whether the ledger may answer all of the takes: asks on sliding windows without a burst.
    pub(super) by_ledger: bool,
    /// Whether it may have hits granted ahead of need for them: their rules have no reports.
    pub(super) may_lease: bool,
}

/// What the rules say of one descriptor.
#[derive(Debug)]
pub(super) enum Meaning<'a> {
    Limited(Limited<'a>),
    NotLimited,
    Unlimited,
}

impl<'a> Meaning<'a> {
    pub(super) fn limited(&self) -> Option<&Limited<'a>> {
        match self {
            Self::Limited(limited) => Some(limited),
            Self::NotLimited | Self::Unlimited => None,
        }
    }
}

/// A limit that holds for a descriptor.
#[derive(Debug)]
pub(super) struct Limited<'a> {
    /// The index of the take that decides it.
    pub(super) take: usize,
    pub(super) label: &'a str,
    pub(super) name: &'a str,
    pub(super) requests: u32,
    pub(super) burst: u32,
    pub(super) unit: Unit,
    pub(super) window: Window,
    pub(super) shadow: bool,
    pub(super) quota: bool,
    /// What it does to the request when its hits do not fit.
    pub(super) veto: Veto,
    pub(super) on_store_failure: Option<OnStoreFailure>,
    pub(super) state: &'a State,
    /// The hits of this descriptor.
    pub(super) hits: u64,
    /// The metrics for the values of this request, where the rule tells them apart.
    pub(super) shown: Option<Arc<RuleMetrics>>,
    pub(super) metadata: Option<&'a Arc<Metadata>>,
}

impl<'a> Limited<'a> {
    /// A limit of which nothing else is said.
    fn plain(
        state: &'a State,
        requests: u32,
        unit: Unit,
        window: Window,
        options: &Options,
    ) -> Self {
        Self {
            take: 0,
            label: &state.label,
            name: "",
            requests,
            burst: 0,
            unit,
            window,
            shadow: false,
            quota: options.quota,
            veto: veto(false, options.quota),
            on_store_failure: None,
            state,
            hits: 0,
            shown: None,
            metadata: None,
        }
    }

    /// Where it is counted what becomes of requests.
    pub(super) fn metrics(&self) -> &RuleMetrics {
        self.shown.as_deref().unwrap_or(&self.state.metrics)
    }

    /// The most that one window holds.
    pub(super) fn most(&self) -> u64 {
        u64::from(self.requests) + u64::from(self.burst)
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        request: &Request<'_>,
        in_force: &'a InForce,
        options: &Options,
        now: Now,
    ) -> Self {
        let mut plan = Self {
            takes: Vec::with_capacity(request.descriptors.len()),
            meanings: Vec::with_capacity(request.descriptors.len()),
            by_ledger: true,
            may_lease: true,
        };
        let replaced = replaced(request, in_force);
        for descriptor in &request.descriptors {
            let meaning = plan.meaning(request, descriptor, in_force, &replaced, options, now);
            plan.meanings.push(meaning);
        }
        plan.settle_vetoes(options);
        plan
    }

    /// Takes their veto from takes that refuse nobody in this request.
    fn settle_vetoes(&mut self, options: &Options) {
        let passes_quota = |meaning: &Meaning<'_>| match meaning {
            Meaning::Limited(limited) => limited.quota && limited.shadow,
            Meaning::NotLimited => options.quota,
            Meaning::Unlimited => false,
        };
        let is_quota_passed = self.meanings.iter().any(passes_quota);
        let settle = |veto: &mut Veto| {
            if is_quota_passed && *veto == Veto::Together {
                *veto = Veto::Never;
            }
        };
        for meaning in &mut self.meanings {
            if let Meaning::Limited(limited) = meaning {
                settle(&mut limited.veto);
            }
        }
        for take in &mut self.takes {
            settle(&mut take.veto);
            if options.shadow {
                take.veto = Veto::Never;
            }
        }
    }

    /// Whether the store has charged the hits of a descriptor.
    pub(super) fn is_charged(
        &self,
        limited: &Limited<'_>,
        decision: Decision,
        over_limit: bool,
    ) -> bool {
        let take = &self.takes[limited.take];
        take.algorithm == Algorithm::FixedWindow
            || match take.hits {
                Hits::Ask(_) => decision.fits && !over_limit,
                Hits::Report(_) => true,
            }
    }

    fn meaning(
        &mut self,
        request: &Request<'_>,
        descriptor: &Descriptor<'_>,
        in_force: &'a InForce,
        replaced: &[&str],
        options: &Options,
        now: Now,
    ) -> Meaning<'a> {
        let Some(tree) = in_force.domain(request.domain) else {
            return Meaning::NotLimited;
        };
        let entries = || descriptor.entries.iter().copied();
        if let Some(limit) = descriptor.limit {
            let Some(state) = in_force.overrides(request.domain) else {
                return Meaning::NotLimited;
            };
            let window = Window::of_one(limit.unit);
            let limited = Limited::plain(state, limit.requests, limit.unit, window, options);
            let hits = self.hits(request, descriptor, None, state, now.steady);
            let algorithm = options.algorithm;
            let key = options.key(request.domain, entries(), algorithm, limited.window, now);
            return self.limited(limited, key, algorithm, hits);
        }
        let Some((rule, state)) = tree.find(entries()).map(|id| in_force.rule(id)) else {
            return Meaning::NotLimited;
        };
        let Allowance::Limited(limit) = &rule.allowance else {
            return Meaning::Unlimited;
        };
        if limit
            .name
            .as_deref()
            .is_some_and(|name| replaced.contains(&name))
        {
            return Meaning::NotLimited;
        }
        let by_values = state.by_values.as_ref();
        let quota = limit.quota || options.quota;
        let algorithm = limit.algorithm_or(options.algorithm);
        let limited = Limited {
            name: limit.name.as_deref().unwrap_or_default(),
            burst: limit.burst,
            shadow: limit.shadow,
            quota,
            veto: veto(limit.shadow, quota),
            on_store_failure: limit.on_store_failure,
            shown: by_values.map(|it| it.of(rule, entries().map(|(_, value)| value))),
            metadata: rule.metadata.as_ref(),
            ..Limited::plain(state, limit.requests, limit.unit, limit.window(), options)
        };
        let hits = self.hits(request, descriptor, limit.cost, state, now.steady);
        let counted = rule.path.iter().zip(entries()).map(counted_as);
        let key = options.key(request.domain, counted, algorithm, limited.window, now);
        self.limited(limited, key, algorithm, hits)
    }

    /// The hits of a descriptor. A rule with reports takes no leases.
    fn hits(
        &mut self,
        request: &Request<'_>,
        descriptor: &Descriptor<'_>,
        cost: Option<Cost>,
        state: &State,
        now: Timestamp,
    ) -> Hits {
        let hits = hits(request, descriptor, cost, state, now);
        if cost.is_none() && matches!(hits, Hits::Report(_) | Hits::Ask(0)) {
            state.costs.report(now);
        }
        self.by_ledger &= matches!(hits, Hits::Ask(_));
        self.may_lease &= match cost {
            Some(cost) => cost == Cost::Ask,
            None => !state.costs.has_reports(now),
        };
        hits
    }

    /// Adds the take of a limit; sliding takes of one key are one take.
    fn limited(
        &mut self,
        mut limited: Limited<'a>,
        key: Vec<u8>,
        algorithm: Algorithm,
        hits: Hits,
    ) -> Meaning<'a> {
        let take = Take {
            key,
            algorithm,
            limit: limited.requests,
            burst: limited.burst,
            window: limited.window,
            hits,
            terms: None,
            veto: limited.veto,
        };
        limited.hits = count(hits);
        self.by_ledger &= algorithm == Algorithm::SlidingWindow && take.burst == 0;
        let is_same = |other: &Take| other.algorithm == algorithm && other.key == take.key;
        let known = match algorithm {
            Algorithm::FixedWindow => None,
            Algorithm::SlidingWindow => self.takes.iter().position(is_same),
        };
        limited.take = known.unwrap_or(self.takes.len());
        match known {
            Some(index) => join(&mut self.takes[index], take),
            None => self.takes.push(take),
        }
        Meaning::Limited(limited)
    }
}

/// The names of limits that do not hold, because rules replace them that hold for some descriptor;
/// a rule that is replaced itself still replaces others.
fn replaced<'a>(request: &Request<'_>, in_force: &'a InForce) -> Vec<&'a str> {
    let tree = in_force.domain(request.domain);
    let Some(tree) = tree.filter(|_| in_force.rules().has_replacing()) else {
        return Vec::new();
    };
    let ruled = request.descriptors.iter().filter(|it| it.limit.is_none());
    ruled
        .filter_map(|it| tree.find(it.entries.iter().copied()))
        .flat_map(|id| &in_force.rule(id).0.replaces)
        .map(String::as_str)
        .collect()
}

/// Makes one take of two of the same key: the larger cost under the lower limit, where one
/// of a weaker kind (in shadow or quota mode) counts only beside others of its kind. What is reported is booked in any case.
fn join(take: &mut Take, other: Take) {
    let is_report = [take.hits, other.hits].map(|hits| matches!(hits, Hits::Report(_)));
    match take.veto.cmp(&other.veto) {
        Ordering::Greater => {}
        Ordering::Less => *take = other,
        Ordering::Equal => {
            if (other.most(), other.limit) < (take.most(), take.limit) {
                (take.limit, take.burst) = (other.limit, other.burst);
            }
            if count(other.hits) > count(take.hits) {
                take.hits = other.hits;
            }
        }
    }
    if is_report.contains(&true) {
        take.hits = Hits::Report(count(take.hits));
    }
}

fn veto(shadow: bool, quota: bool) -> Veto {
    match (shadow, quota) {
        (true, _) => Veto::Never,
        (false, true) => Veto::Together,
        (false, false) => Veto::Alone,
    }
}

/// The hits of a descriptor: its own, else the request's, which are always an ask.
fn hits(
    request: &Request<'_>,
    descriptor: &Descriptor<'_>,
    cost: Option<Cost>,
    state: &State,
    now: Timestamp,
) -> Hits {
    let count = match descriptor.hits_addend {
        Some(count) if count > 1 => count.min(MAX_HITS),
        own => {
            if cost.is_none() {
                state.costs.plain(now);
            }
            return Hits::Ask(own.unwrap_or_else(|| u64::from(request.hits_addend.max(1))));
        }
    };
    let cost = cost.unwrap_or_else(|| {
        let learned = state.costs.explicit(count, now);
        if learned.warn {
            state.metrics.cost_unclear.increment(1);
            warn!(
                domain = request.domain,
                rule = state.label,
                "hits of changing size, taken for reports of what was used: \
                 set `cost: ask` or `cost: report` in the rule"
            );
        }
        learned.cost
    });
    match cost {
        Cost::Ask => Hits::Ask(count),
        Cost::Report => Hits::Report(count),
    }
}

fn count(hits: Hits) -> u64 {
    let (Hits::Ask(count) | Hits::Report(count)) = hits;
    count
}

impl Options {
    /// The identity of a counter.
    pub(super) fn key<'e>(
        &self,
        domain: &str,
        path: impl IntoIterator<Item = (&'e str, &'e str)>,
        algorithm: Algorithm,
        window: Window,
        now: Now,
    ) -> Vec<u8> {
        let mut key = match algorithm {
            Algorithm::FixedWindow => key::fixed(domain, path, window, now.wall),
            Algorithm::SlidingWindow => key::sliding(domain, path, window),
        };
        if !self.key_prefix.is_empty() {
            key.splice(..0, self.key_prefix.bytes());
        }
        key
    }
}

/// Each value counts on its own, but those of a wildcard that shares its threshold.
fn counted_as<'e>((segment, entry): (&'e Segment, (&'e str, &'e str))) -> (&'e str, &'e str) {
    match &segment.value {
        Value::Wildcard {
            pattern,
            share_threshold: true,
        } => (entry.0, pattern),
        Value::Any | Value::Exact(_) | Value::Wildcard { .. } => entry,
    }
}
