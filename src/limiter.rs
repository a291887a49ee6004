//! A request becomes a verdict; the one place that reads the clock.

mod census;
mod circuit;
pub mod clock;
mod cost;
pub mod courier;
pub mod fallback;
mod in_force;
mod ledger;
mod plan;
mod refusal;
mod tally;
mod values;
pub mod verdict;
mod vigil;

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::algorithm::Decision;
use crate::algorithm::Timestamp;
use crate::limiter::circuit::Circuit;
use crate::limiter::clock::Clock;
use crate::limiter::courier::Asking;
use crate::limiter::courier::Courier;
use crate::limiter::courier::Leased;
use crate::limiter::courier::Leases;
use crate::limiter::fallback::Choice;
use crate::limiter::fallback::Fallback;
use crate::limiter::in_force::InForce;
use crate::limiter::plan::Limited;
use crate::limiter::plan::Meaning;
use crate::limiter::plan::Plan;
use crate::limiter::tally::Tally;
use crate::limiter::verdict::Status;
use crate::limiter::verdict::Verdict;
use crate::metrics::Metrics;
use crate::metrics::StoreMetrics;
use crate::rule::limit::Algorithm;
use crate::rule::limit::OnStoreFailure;
use crate::rule::limit::Unit;
use crate::rule::tree::RuleSet;
use crate::spans::Spans;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// A request as Envoy sends it, after the wire.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Whose rules apply.
    pub domain: &'a str,
    /// What is limited; statuses come back in this order.
    pub descriptors: Vec<Descriptor<'a>>,
    /// Hits for the descriptors that bring none of their own; 0 means 1.
    pub hits_addend: u32,
}

/// One descriptor of a request.
#[derive(Clone, Debug, Default)]
pub struct Descriptor<'a> {
    /// Keys and values, in order.
    pub entries: Vec<(&'a str, &'a str)>,
    /// A limit that the request brings itself; the rules are not consulted then.
    pub limit: Option<Override>,
    /// Hits for this descriptor alone; 0 only checks.
    pub hits_addend: Option<u64>,
}

/// A limit that a request brings itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Override {
    /// N.
    pub requests: u32,
    /// The unit of the window.
    pub unit: Unit,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// The request names no domain.
    #[error("rate limit domain must not be empty")]
    EmptyDomain,
    /// The request has no descriptors.
    #[error("rate limit descriptor list must not be empty")]
    NoDescriptors,
    /// No rules have been loaded yet.
    #[error("no rate limit configuration loaded")]
    NoRules,
    /// The store failed.
    #[error("the limit could not be looked up")]
    Store(#[source] StoreError),
    /// The store has not answered of late, and was not asked.
    #[error("the store does not answer")]
    Away,
    /// The store did not answer in time.
    #[error("the store did not answer in time")]
    Late,
    /// The request has more descriptors than are looked at.
    #[error("{0} descriptors in one request, at most {max} are allowed", max = MAX_DESCRIPTORS)]
    TooManyDescriptors(usize),
}

/// How many descriptors a request may have.
pub const MAX_DESCRIPTORS: usize = 1_024;

/// How all rules are meant, unless they say otherwise.
#[derive(Clone, Debug)]
pub struct Options {
    /// How hits are counted for limits that name no algorithm and for overrides.
    pub algorithm: Algorithm,
    /// Nothing is refused as a whole; statuses still say what would be.
    pub shadow: bool,
    /// Every limit is in quota mode, overrides too, and so is what no rule matches.
    pub quota: bool,
    /// What the key of every counter begins with.
    pub key_prefix: String,
    /// From which part of a limit on its hits are counted as near it.
    pub near_limit_ratio: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            shadow: false,
            quota: false,
            key_prefix: String::new(),
            near_limit_ratio: 0.8,
        }
    }
}

/// Decides requests by the rules in force.
#[derive(Debug)]
pub struct Limiter {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    options: Options,
    in_force: ArcSwapOption<InForce>,
    metrics: Arc<Metrics>,
    store_metrics: StoreMetrics,
    circuit: Circuit,
    fallback: Fallback,
    leases: Option<Arc<Leases>>,
    spans: Option<Spans>,
}

impl Limiter {
    /// A limiter without rules: it decides nothing until [`Limiter::replace_rules`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: Options,
        metrics: Arc<Metrics>,
        store_metrics: StoreMetrics,
    ) -> Self {
        let now = clock.now().steady;
        store_metrics.answers_since.set(now.0 as f64 / 1e6);
        let choice = Choice {
            default: OnStoreFailure::Error,
            replicas: Some(NonZeroU32::MIN),
        };
        Self {
            store,
            clock,
            options,
            in_force: ArcSwapOption::empty(),
            leases: None,
            spans: None,
            circuit: Circuit::new(false, now),
            fallback: Fallback::new(choice, metrics.fallback()),
            metrics,
            store_metrics,
        }
    }

    /// The same over a store that may be away: it is asked once it has answered a probe of
    /// [`Limiter::watch_store`], which has to run.
    #[must_use]
    pub fn falling_back(self, choice: Choice) -> Self {
        let now = self.clock.now().steady;
        Self {
            circuit: Circuit::new(true, now),
            fallback: Fallback::new(choice, self.metrics.fallback()),
            ..self
        }
    }

    /// The same with leases: what can be is answered without asking the store. The courier has to
    /// run.
    pub fn leasing(self) -> (Self, Courier) {
        self.leasing_for(ledger::MAX_KEYS)
    }

    /// The same with room for so many keys; what finds none asks the store directly.
    pub fn leasing_for(self, n_keys: usize) -> (Self, Courier) {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let metrics = self.store_metrics.clone();
        let ledger_metrics = self.metrics.ledger();
        let (leases, courier) = Leases::new(n_keys, store, clock, ledger_metrics, metrics);
        let leases = Some(leases);
        (Self { leases, ..self }, courier)
    }

    /// The same with spans of the waits for the store, in requests that are traced.
    #[must_use]
    pub fn tracing(self, spans: Option<Spans>) -> Self {
        Self { spans, ..self }
    }

    /// Whether the store answers, now and as it changes.
    pub fn answers(&self) -> watch::Receiver<bool> {
        self.circuit.answers()
    }

    /// The moment on the clock of this limiter that is never set.
    pub fn steady(&self) -> Timestamp {
        self.clock.steady()
    }

    /// Puts rules in force, whole. What was counted stays counted.
    pub fn replace_rules(&self, rules: RuleSet) {
        let before = self.in_force.load();
        let in_force = InForce::new(rules, before.as_deref(), &self.metrics);
        self.in_force.store(Some(Arc::new(in_force)));
    }

    /// The rules in force; none before the first were loaded.
    pub fn rules(&self) -> Option<Arc<RuleSet>> {
        let in_force = self.in_force.load();
        in_force.as_ref().map(|it| Arc::clone(it.rules()))
    }

    /// Decides a request, waiting for the store for at most `patience`.
    ///
    /// # Errors
    ///
    /// The request is none that can be decided, there are no rules yet, or the store failed or did
    /// not answer in time. What a late store books stays booked: that is never more than the limit.
    pub async fn decide(
        &self,
        request: &Request<'_>,
        patience: Duration,
    ) -> Result<Verdict, Undecided> {
        if request.domain.is_empty() {
            return Err(Undecided::EmptyDomain);
        }
        if request.descriptors.is_empty() {
            return Err(Undecided::NoDescriptors);
        }
        if request.descriptors.len() > MAX_DESCRIPTORS {
            return Err(Undecided::TooManyDescriptors(request.descriptors.len()));
        }
        // Not counted in, as the count is shared by all cores.
        let in_force = self.in_force.load();
        let in_force = in_force.as_deref().ok_or(Undecided::NoRules)?;
        let now = self.clock.now();
        let plan = Plan::new(request, in_force, &self.options, now);
        let decisions = self.take(&plan, now, patience).await?;
        Ok(self.verdict(request, &plan, &decisions, now))
    }

    async fn take(
        &self,
        plan: &Plan<'_>,
        now: Now,
        patience: Duration,
    ) -> Result<Vec<Decision>, Undecided> {
        if plan.takes.is_empty() {
            return Ok(Vec::new());
        }
        let why = match self.ask(plan, now, patience).await {
            Ok(decisions) => return Ok(decisions),
            Err(why) => why,
        };
        if let Some(spans) = &self.spans {
            spans.falls_back(why.to_string());
        }
        self.fallback.decide(plan, why, now).await
    }

    /// Asks the ledger and the store, unless that has not answered of late.
    async fn ask(
        &self,
        plan: &Plan<'_>,
        now: Now,
        patience: Duration,
    ) -> Result<Vec<Decision>, Undecided> {
        if self.circuit.is_open() {
            return Err(Undecided::Away);
        }
        let spans = self.spans.as_ref();
        let waiting = spans.and_then(|spans| spans.waiting(plan.takes.len()));
        let leased = match &self.leases {
            Some(leases) if plan.by_ledger => {
                let asking = Asking {
                    now,
                    patience,
                    may_lease: plan.may_lease,
                };
                leases.decide(&plan.takes, asking).await
            }
            _ => None,
        };
        let (by, leased) = match leased {
            Some(leased) => ("ledger", leased),
            None => {
                let leased = Leased {
                    decided: self.send(&plan.takes, now, patience).await,
                    has_asked: true,
                };
                ("store", leased)
            }
        };
        let taken = leased.decided;
        if let Some(waiting) = waiting {
            waiting.end(by, taken.as_ref().err().map(ToString::to_string));
        }
        match &taken {
            Ok(_) if leased.has_asked => self.circuit.succeeded(),
            Ok(_) => {}
            Err(why) => {
                let metrics = &self.store_metrics;
                // One server of several that is away costs nothing, and keeps nobody from the others.
                let is_a_part = matches!(why, Undecided::Store(StoreError::Disconnected));
                if !is_a_part || self.store.is_one_place() {
                    self.circuit.failed(why, patience, now.steady, metrics);
                }
                if let Undecided::Store(StoreError::Uncountable(reason)) = why {
                    let rules = || plan.meanings.iter().filter_map(Meaning::limited);
                    let rules: Vec<_> = rules().map(|it| it.label).collect();
                    let rules = rules.join(", ");
                    self.circuit.complain_of_key(reason, &rules);
                }
            }
        }
        taken
    }

    async fn send(
        &self,
        takes: &[Take],
        now: Now,
        patience: Duration,
    ) -> Result<Vec<Decision>, Undecided> {
        let taken = within(patience, self.store.take(&[], takes, now)).await;
        let micros = self.clock.steady().since(now.steady);
        self.store_metrics
            .latency
            .record(Duration::from_micros(micros).as_secs_f64());
        let why = match taken {
            Some(Ok(answers)) => return Ok(answers.iter().map(|it| it.decision).collect()),
            Some(Err(error)) => Undecided::Store(error),
            None => Undecided::Late,
        };
        self.store_metrics.errors.increment(1);
        Err(why)
    }

    /// Puts the store's decisions into words, and counts them.
    fn verdict(
        &self,
        request: &Request<'_>,
        plan: &Plan<'_>,
        decisions: &[Decision],
        now: Now,
    ) -> Verdict {
        let limited = plan.meanings.iter().filter_map(Meaning::limited);
        let fits = limited.map(|it| (it.veto, decisions[it.take].fits));
        let is_refused = !Veto::admits(fits);
        let over_limit = is_refused && !self.options.shadow;
        let statuses = plan.meanings.iter().map(|meaning| match meaning {
            Meaning::NotLimited => Status::NotLimited,
            Meaning::Unlimited => Status::Unlimited,
            Meaning::Limited(limited) => {
                let decision = decisions[limited.take];
                let charged = plan.is_charged(limited, decision, over_limit);
                count(request, limited, decision, charged, now);
                if charged || !decision.fits {
                    let (most, ratio) = (limited.most(), self.options.near_limit_ratio);
                    let tally = Tally::of(limited.hits, most, ratio, decision);
                    let tally = if limited.shadow {
                        tally.in_shadow()
                    } else {
                        tally
                    };
                    tally.add_to(&limited.metrics().hits);
                }
                Status::limited(limited, &plan.takes[limited.take], decision)
            }
        });
        Verdict {
            statuses: statuses.collect(),
            over_limit,
            shadowed: is_refused && !over_limit,
        }
    }
}

/// What comes of a future in time. There is no timer for one that ends at once.
async fn within<F: Future>(patience: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut timer) = (pin!(future), pin!(None));
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if timer.is_none() {
            timer.set(Some(tokio::time::sleep(patience)));
        }
        match timer.as_mut().as_pin_mut() {
            Some(timer) => timer.poll(context).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// Counters rise for what was charged or refused, not for what another descriptor's refusal spared.
fn count(
    request: &Request<'_>,
    limited: &Limited<'_>,
    decision: Decision,
    charged: bool,
    now: Now,
) {
    let metrics = limited.metrics();
    match (decision.fits, limited.shadow) {
        (true, _) if charged => metrics.within.increment(1),
        (true, _) => {}
        (false, true) => metrics.shadow.increment(1),
        (false, false) => {
            metrics.over_limit.increment(1);
            limited.state.refusals.log(request.domain, limited, now);
        }
    }
}

#[cfg(test)]
mod tests;
