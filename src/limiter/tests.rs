//! Requests through the limiter, on a clock that stands still.

mod costs;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::*;
use crate::algorithm::Timestamp;
use crate::rule::Allowance;
use crate::rule::Domain;
use crate::rule::Value;
use crate::rule::document;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
use crate::store::memory::MemoryStore;

#[tokio::test]
async fn a_refused_request_charges_nothing() {
    let service = Service::new(vec![limited("a", 3), limited("b", 1)]);
    assert!(service.ok(&[ask("b", 1)]).await);
    assert_eq!(
        service.decide(&[ask("a", 1), ask("b", 1)]).await,
        [(false, 3), (true, 0)],
        "what was spared says what remains"
    );
    assert_eq!(service.decide(&[ask("a", 0)]).await, [(false, 3)]);
}

#[tokio::test]
async fn the_same_key_twice_is_charged_once_with_the_larger_cost() {
    let service = Service::new(vec![limited("a", 5)]);
    let statuses = service.decide(&[ask("a", 1), ask("a", 3)]).await;
    assert_eq!(statuses, [(false, 2), (false, 2)]);
}

#[tokio::test]
async fn a_limit_in_shadow_mode_has_no_say_beside_an_override_of_its_key() {
    let mut shadow = limited("a", 1);
    shadow.shadow = true;
    let service = Service::new(vec![shadow]);
    let mut own = ask("a", 1);
    own.limit = Some(Override {
        requests: 3,
        unit: Unit::Minute,
    });
    for remaining in [2, 1, 0] {
        let statuses = service.decide(&[ask("a", 100), own.clone()]).await;
        assert_eq!(statuses[1], (false, remaining));
    }
    assert!(!service.ok(&[ask("a", 1), own]).await);
}

#[tokio::test]
async fn shadow_refuses_nobody_and_books_nothing_that_it_would_refuse() {
    let mut shadow = limited("s", 1);
    shadow.shadow = true;
    let service = Service::new(vec![shadow, limited("a", 5)]);
    assert_eq!(
        service.decide(&[ask("s", 1), ask("a", 1)]).await,
        [(false, 0), (false, 4)]
    );
    assert_eq!(
        service.decide(&[ask("s", 1), ask("a", 1)]).await,
        [(false, 0), (false, 3)]
    );
    service.pass(60);
    assert_eq!(service.decide(&[ask("s", 0)]).await, [(false, 1)]);
}

#[tokio::test]
async fn quotas_refuse_only_together_and_charge_what_fits() {
    let service = Service::new(vec![quota("q1", 1), quota("q2", 2), limited("plain", 3)]);
    let both = [ask("q1", 1), ask("q2", 1)];
    assert_eq!(
        service.verdict(&both).await,
        (false, vec![(false, 0), (false, 1)])
    );
    assert_eq!(
        service.verdict(&both).await,
        (false, vec![(true, 0), (false, 0)])
    );
    assert_eq!(
        service.verdict(&both).await,
        (true, vec![(true, 0), (true, 0)])
    );
    let beside = [ask("q1", 1), ask("plain", 1)];
    assert_eq!(
        service.verdict(&beside).await,
        (true, vec![(true, 0), (false, 3)])
    );
    let unmatched = [ask("q1", 1), ask("nothing", 1)];
    assert!(service.verdict(&unmatched).await.0);
}

#[tokio::test]
async fn a_quota_in_shadow_mode_lets_the_others_pass() {
    let shadow = Named {
        shadow: true,
        ..quota("s", 0)
    };
    let service = Service::new(vec![quota("q", 0), shadow]);
    assert!(service.verdict(&[ask("q", 1)]).await.0);
    assert!(!service.verdict(&[ask("q", 1), ask("s", 1)]).await.0);
}

#[tokio::test]
async fn in_quota_mode_everything_is_a_quota_also_what_no_rule_matches() {
    let options = Options {
        quota: true,
        ..Options::default()
    };
    let service = Service::with(Arc::new(MemoryStore::default()), options);
    service.load(vec![limited("a", 0), limited("b", 1)]);
    let statuses = vec![(true, 0), (false, 0)];
    assert_eq!(
        service.verdict(&[ask("a", 1), ask("b", 1)]).await,
        (false, statuses)
    );
    assert!(service.verdict(&[ask("a", 1)]).await.0);
    assert!(!service.verdict(&[ask("a", 1), ask("nothing", 1)]).await.0);
}

#[tokio::test]
async fn in_shadow_mode_nothing_is_refused_and_statuses_say_what_would_be() {
    let options = Options {
        shadow: true,
        ..Options::default()
    };
    let service = Service::with(Arc::new(MemoryStore::default()), options);
    service.load(vec![limited("a", 0), limited("b", 2)]);
    let request = [ask("a", 1), ask("b", 1)];
    for remaining in [1, 0] {
        let statuses = vec![(true, 0), (false, remaining)];
        assert_eq!(service.verdict(&request).await, (false, statuses));
    }
}

#[tokio::test]
async fn a_limit_that_is_replaced_holds_neither_nor_counts() {
    let service = Service::of(
        "
- {key: base, rate_limit: {unit: day, requests_per_unit: 1, name: base}}
- {key: extra, rate_limit: {unit: day, requests_per_unit: 5, name: extra, replaces: [{name: base}]}}
- {key: open, rate_limit: {unlimited: true, replaces: [{name: base}]}}
- {key: more, rate_limit: {unit: day, requests_per_unit: 7, replaces: [{name: extra}]}}
",
    );
    let none = (false, u32::MAX);
    let statuses = service.decide(&[ask("base", 1), ask("extra", 1)]).await;
    assert_eq!(statuses, [none, (false, 4)]);
    let statuses = service.decide(&[ask("open", 1), ask("base", 1)]).await;
    assert_eq!(statuses, [none, none]);
    let all = [ask("base", 1), ask("extra", 1), ask("more", 1)];
    let statuses = service.decide(&all).await;
    assert_eq!(
        statuses,
        [none, none, (false, 6)],
        "what is replaced replaces"
    );
    assert_eq!(service.decide(&[ask("base", 1)]).await, [(false, 0)]);
}

#[tokio::test]
async fn an_override_neither_replaces_nor_is_replaced() {
    let service = Service::of(
        "
- {key: base, rate_limit: {unit: day, requests_per_unit: 1, name: base}}
- {key: extra, rate_limit: {unit: day, requests_per_unit: 5, replaces: [{name: base}]}}
",
    );
    let own = |key| Descriptor {
        limit: Some(Override {
            requests: 3,
            unit: Unit::Minute,
        }),
        ..ask(key, 1)
    };
    let statuses = service.decide(&[own("base"), ask("extra", 1)]).await;
    assert_eq!(statuses, [(false, 2), (false, 4)]);
    let statuses = service.decide(&[ask("base", 1), own("extra")]).await;
    assert_eq!(statuses, [(false, 0), (false, 2)]);
}

#[tokio::test]
async fn metrics_show_a_thousand_values_of_a_rule_and_the_rest_as_other() {
    let service = Service::of(
        "
- key: team
  value_to_metric: true
  descriptors:
  - {key: user, value_to_metric: true, rate_limit: {unit: day, requests_per_unit: 1}}
",
    );
    let ask = |user: String| async {
        let mut descriptor = ask("team", 1);
        descriptor
            .entries
            .push(("user", Box::leak(user.into_boxed_str())));
        service.decide(&[descriptor]).await;
    };
    for user in 0..1_005 {
        ask(user.to_string()).await;
    }
    ask("x".repeat(600)).await;
    ask("7".to_owned()).await;
    let page = service.metrics.render();
    let series = |rule: &str, verdict: &str| {
        let labels = format!("{{domain=\"d\",rule=\"{rule}\",verdict=\"{verdict}\"}} ");
        page.contains(&format!("slidegate_rule_verdicts_total{labels}1\n"))
            || page.contains(&format!("slidegate_rule_verdicts_total{labels}6\n"))
    };
    assert!(series("team_v.user_0", "within") && series("team_v.user_999", "within"));
    assert!(series("team_v.user_7", "over_limit"));
    assert!(series("team_other.user_other", "within"));
    assert!(!page.contains("user_1000\"") && !page.contains("xxx"));
}

#[tokio::test]
async fn a_reload_goes_on_with_what_was_counted_and_learned() {
    let service = Service::new(vec![limited("a", 3)]);
    assert!(service.ok(&[ask("a", 0)]).await);
    assert!(service.ok(&[ask("a", 2)]).await, "a report");
    service.load(vec![limited("a", 10), limited("b", 1)]);
    assert_eq!(service.decide(&[ask("a", 9)]).await, [(true, 0)]);
    assert!(!service.ok(&[ask("a", 0)]).await, "the report was booked");
}

#[tokio::test]
async fn an_override_counts_where_the_rule_counts() {
    let service = Service::new(vec![limited("a", 3)]);
    let mut own = ask("a", 1);
    own.limit = Some(Override {
        requests: 10,
        unit: Unit::Minute,
    });
    assert_eq!(service.decide(&[own]).await, [(false, 9)]);
    assert_eq!(service.decide(&[ask("a", 1)]).await, [(false, 1)]);
}

#[tokio::test]
async fn without_rules_nothing_is_decided() {
    let service = Service::empty();
    let request = request(&[ask("a", 1)]);
    let undecided = service.limiter.decide(&request, PATIENCE).await;
    assert!(matches!(undecided, Err(Undecided::NoRules)));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_waited_for() {
    let service = Service::on(Arc::new(Silent));
    service.load(vec![limited("a", 1)]);
    let request = request(&[ask("a", 1)]);
    let undecided = service.limiter.decide(&request, PATIENCE).await;
    assert!(matches!(undecided, Err(Undecided::Late)));
}

const PATIENCE: Duration = Duration::from_millis(10);

struct Service {
    limiter: Limiter,
    clock: Arc<StoppedClock>,
    metrics: Arc<Metrics>,
}

impl Service {
    fn new(rules: Vec<Named>) -> Self {
        let service = Self::empty();
        service.load(rules);
        service
    }

    fn empty() -> Self {
        Self::on(Arc::new(MemoryStore::default()))
    }

    fn on(store: Arc<dyn Store>) -> Self {
        Self::with(store, Options::default())
    }

    fn with(store: Arc<dyn Store>, options: Options) -> Self {
        let clock = Arc::new(StoppedClock::default());
        let metrics = Arc::new(Metrics::new());
        let store_metrics = metrics.store("memory");
        let its_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        Self {
            limiter: Limiter::new(
                store,
                its_clock,
                options,
                Arc::clone(&metrics),
                store_metrics,
            ),
            clock,
            metrics,
        }
    }

    /// With the descriptors of a rule file.
    fn of(descriptors: &str) -> Self {
        let service = Self::empty();
        let mut faults = Vec::new();
        let text = format!("domain: d\ndescriptors: {descriptors}");
        let domains = document::read(&"f".into(), &text, &mut faults);
        assert_eq!(faults, []);
        service.limiter.replace_rules(RuleSet::new(domains));
        service
    }

    fn load(&self, rules: Vec<Named>) {
        let descriptors = rules.into_iter().map(|rule| crate::rule::Descriptor {
            allowance: Some(Allowance::Limited(Limit {
                cost: rule.cost,
                shadow: rule.shadow,
                quota: rule.quota,
                ..Limit::new(rule.requests, Unit::Minute)
            })),
            ..crate::rule::Descriptor::new(rule.key, Value::Any)
        });
        self.limiter.replace_rules(RuleSet::new(vec![Domain {
            name: "d".to_owned(),
            descriptors: descriptors.collect(),
        }]));
    }

    fn pass(&self, seconds: u64) {
        self.clock
            .0
            .fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    /// Whether each descriptor refuses, and what remains; the request is refused if one does.
    async fn decide(&self, descriptors: &[Descriptor<'_>]) -> Vec<(bool, u32)> {
        let (over_limit, statuses) = self.verdict(descriptors).await;
        let any_over = statuses.iter().any(|(over_limit, _)| *over_limit);
        assert_eq!(over_limit, any_over);
        statuses
    }

    /// Whether the request is refused; whether each descriptor says so, and what remains.
    async fn verdict(&self, descriptors: &[Descriptor<'_>]) -> (bool, Vec<(bool, u32)>) {
        let verdict = self.limiter.decide(&request(descriptors), PATIENCE).await;
        let verdict = verdict.unwrap();
        let status = |status: &Status| match status {
            Status::Limited {
                over_limit,
                remaining,
                ..
            } => (*over_limit, *remaining),
            Status::NotLimited | Status::Unlimited => (false, u32::MAX),
        };
        (
            verdict.over_limit,
            verdict.statuses.iter().map(status).collect(),
        )
    }

    async fn ok(&self, descriptors: &[Descriptor<'_>]) -> bool {
        let statuses = self.decide(descriptors).await;
        statuses.iter().all(|(over_limit, _)| !over_limit)
    }
}

struct Named {
    key: &'static str,
    requests: u32,
    cost: Option<Cost>,
    shadow: bool,
    quota: bool,
}

fn limited(key: &'static str, requests: u32) -> Named {
    Named {
        key,
        requests,
        cost: None,
        shadow: false,
        quota: false,
    }
}

fn quota(key: &'static str, requests: u32) -> Named {
    Named {
        quota: true,
        ..limited(key, requests)
    }
}

fn ask(key: &'static str, hits: u64) -> Descriptor<'static> {
    Descriptor {
        entries: vec![(key, "v")],
        limit: None,
        hits_addend: Some(hits),
    }
}

fn request<'a>(descriptors: &[Descriptor<'a>]) -> Request<'a> {
    Request {
        domain: "d",
        descriptors: descriptors.to_vec(),
        hits_addend: 0,
    }
}

/// Stands still unless a test moves it.
#[derive(Debug)]
pub(super) struct StoppedClock(pub(super) AtomicU64);

impl Default for StoppedClock {
    fn default() -> Self {
        Self(AtomicU64::new(1_700_000_000_000_000))
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Now {
        let now = Timestamp(self.0.load(Ordering::Relaxed));
        Now {
            steady: now,
            wall: now,
        }
    }
}

#[derive(Debug)]
struct Silent;

impl Store for Silent {
    fn take<'a>(
        &'a self,
        _: &'a [GiveBack],
        _: &'a [Take],
        _: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>> {
        Box::pin(std::future::pending())
    }

    fn reset<'a>(
        &'a self,
        _: &'a [u8],
        _: Window,
        _: Now,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::pending())
    }
}
