//! Rules that are pushed, and what a platform knows of them that a push has no room for.
//!
//! The push says which limits there are. A platform adds the burst, the algorithm, what costs mean and
//! the choice for when the store does not answer, where it has a limit at the same domain and path.

use std::collections::HashMap;

use parking_lot::Mutex;
use tracing::info;

use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Value;

/// Applies either half, joined with the other, whenever it changes.
#[derive(Debug)]
pub struct Joined<A> {
    apply: A,
    halves: Mutex<Halves>,
}

#[derive(Debug)]
struct Halves {
    /// None before the first push.
    pushed: Option<Vec<Domain>>,
    platform: Vec<Domain>,
}

impl<A: Fn(Vec<Domain>)> Joined<A> {
    /// Nothing was pushed yet.
    pub fn new(platform: Vec<Domain>, apply: A) -> Self {
        Self {
            apply,
            halves: Mutex::new(Halves {
                pushed: None,
                platform,
            }),
        }
    }

    /// Applies what was pushed.
    pub fn push(&self, pushed: Vec<Domain>) {
        let mut halves = self.halves.lock();
        halves.pushed = Some(pushed);
        self.put(&halves);
    }

    /// Applies what the platform has become, if there was a push.
    pub fn platform(&self, platform: Vec<Domain>) {
        let mut halves = self.halves.lock();
        halves.platform = platform;
        self.put(&halves);
    }

    /// The lock is held meanwhile, so that the newest halves are applied last.
    fn put(&self, halves: &Halves) {
        if let Some(mut domains) = halves.pushed.clone() {
            let n_joined = join(&mut domains, &halves.platform);
            info!(
                limits = n_joined,
                "pushed limits joined with the platform's"
            );
            (self.apply)(domains);
        }
    }
}

/// Adds to pushed limits what the platform says beside them; how many it knows.
fn join(pushed: &mut [Domain], platform: &[Domain]) -> usize {
    let known: HashMap<&str, &Domain> = platform.iter().map(|it| (it.name.as_str(), it)).collect();
    let joined = pushed.iter_mut().map(|domain| {
        let beside = known.get(domain.name.as_str());
        beside.map_or(0, |it| level(&mut domain.descriptors, &it.descriptors))
    });
    joined.sum()
}

fn level(pushed: &mut [Descriptor], platform: &[Descriptor]) -> usize {
    let identity = |it: &Descriptor| (it.key.clone(), it.value.clone());
    let known: HashMap<(String, Value), &Descriptor> =
        platform.iter().map(|it| (identity(it), it)).collect();
    let mut n_joined = 0;
    for descriptor in pushed {
        let Some(beside) = known.get(&identity(descriptor)) else {
            continue;
        };
        if let (Some(Allowance::Limited(limit)), Some(Allowance::Limited(beside))) =
            (&mut descriptor.allowance, &beside.allowance)
        {
            limit.burst = beside.burst;
            limit.algorithm = beside.algorithm;
            limit.cost = beside.cost;
            limit.on_store_failure = beside.on_store_failure;
            n_joined += 1;
        }
        n_joined += level(&mut descriptor.descriptors, &beside.descriptors);
    }
    n_joined
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::rule::limit::Cost;
    use crate::rule::limit::Limit;
    use crate::rule::limit::OnStoreFailure;
    use crate::rule::limit::Unit;

    #[test]
    fn the_push_says_the_limits_and_the_platform_what_a_push_has_no_room_for() {
        let mut pushed = vec![domain("d", 5), domain("elsewhere", 5)];
        let mut platform = domain("d", 7);
        *limit(&mut platform) = Limit {
            burst: 3,
            cost: Some(Cost::Report),
            on_store_failure: Some(OnStoreFailure::Deny),
            unit: Unit::Minute,
            ..Limit::new(7, Unit::Minute)
        };
        let before = pushed.clone();
        assert_eq!(join(&mut pushed, &[platform]), 1);
        let joined = limit(&mut pushed[0]);
        let expected = Limit {
            burst: 3,
            cost: Some(Cost::Report),
            on_store_failure: Some(OnStoreFailure::Deny),
            ..Limit::new(5, Unit::Hour)
        };
        assert_eq!(*joined, expected);
        assert_eq!(pushed[1], before[1]);
    }

    #[test]
    fn either_half_is_applied_when_it_changes_but_nothing_before_a_push() {
        let applied = RefCell::new(Vec::new());
        let joined = Joined::new(Vec::new(), |mut domains: Vec<Domain>| {
            let burst = domains.first_mut().map(|it| limit(it).burst);
            applied.borrow_mut().push(burst);
        });
        let mut platform = domain("d", 5);
        limit(&mut platform).burst = 2;
        joined.platform(vec![platform.clone()]);
        joined.push(vec![domain("d", 5)]);
        joined.platform(Vec::new());
        joined.push(Vec::new());
        assert_eq!(*applied.borrow(), [Some(2), Some(0), None]);
    }

    fn domain(name: &str, requests: u32) -> Domain {
        let mut inner = Descriptor::new("inner", Value::Any);
        inner.allowance = Some(Allowance::Limited(Limit::new(requests, Unit::Hour)));
        let mut outer = Descriptor::new("outer", Value::Exact("o".to_owned()));
        outer.descriptors.push(inner);
        Domain {
            name: name.to_owned(),
            descriptors: vec![outer],
        }
    }

    fn limit(domain: &mut Domain) -> &mut Limit {
        match &mut domain.descriptors[0].descriptors[0].allowance {
            Some(Allowance::Limited(limit)) => limit,
            other => panic!("no limit: {other:?}"),
        }
    }
}
