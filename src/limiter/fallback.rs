//! What becomes of hits while the store does not answer, by each rule's choice.

use std::num::NonZeroU32;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tracing::warn;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::Terms;
use crate::algorithm::Timestamp;
use crate::algorithm::sliding::Log;
use crate::algorithm::sliding::Quota;
use crate::limiter::Undecided;
use crate::limiter::census::Census;
use crate::limiter::plan::Meaning;
use crate::limiter::plan::Plan;
use crate::metrics::FallbackMetrics;
use crate::rule::limit::Algorithm;
use crate::rule::limit::OnStoreFailure;
use crate::store;
use crate::store::BoxFuture;
use crate::store::Now;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;
use crate::store::complaint::Complaints;
use crate::store::memory::MemoryStore;

/// What holds where a rule makes no choice.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    /// What becomes of hits.
    pub default: OnStoreFailure,
    /// How many processes share a limit that each counts on its own; as many as the store knows of
    /// unless that is set.
    pub replicas: Option<NonZeroU32>,
}

/// Decides in the store's place, and remembers what the store has to be told later.
#[derive(Debug)]
pub(super) struct Fallback {
    default: OnStoreFailure,
    census: Census,
    alone: MemoryStore,
    owed: Mutex<HashMap<Vec<u8>, Owed, RandomState>>,
    metrics: FallbackMetrics,
    complaints: Complaints,
}

/// Hits of one key that the store does not know of.
#[derive(Debug)]
struct Owed {
    take: Take,
    log: Log,
}

impl Fallback {
    pub(super) fn new(choice: Choice, metrics: FallbackMetrics) -> Self {
        Self {
            default: choice.default,
            census: Census::new(choice.replicas, metrics.replicas.clone()),
            alone: MemoryStore::default(),
            owed: Mutex::default(),
            metrics,
            complaints: Complaints::default(),
        }
    }

    /// How many replicas share the limits.
    pub(super) fn census(&self) -> &Census {
        &self.census
    }

    /// Decides the takes of a request that the store did not, or fails with `why`.
    pub(super) async fn decide(
        &self,
        plan: &Plan<'_>,
        why: Undecided,
        now: Now,
    ) -> Result<Vec<Decision>, Undecided> {
        let choices = self.choices(plan);
        let vetoes = plan.takes.iter().map(|take| take.veto != Veto::Never);
        let is_error = vetoes
            .zip(&choices)
            .any(|(has_say, choice)| has_say && *choice == OnStoreFailure::Error);
        if is_error || !self.has_room() {
            self.owe(&plan.takes, None, now.steady);
            self.metrics.error.increment(1);
            return Err(why);
        }
        let counted = plan.takes.iter().zip(&choices);
        let counted: Vec<Take> = counted.filter_map(|it| self.alone(it)).collect();
        let counted = self.alone.take(&[], &counted, now).await;
        let counted = counted.map_err(Undecided::Store)?.into_iter();
        let mut counted = counted.map(|it| it.decision);
        let decide = |(take, choice): (&Take, &OnStoreFailure)| match choice {
            OnStoreFailure::Allow | OnStoreFailure::Error => Some(Decision {
                fits: true,
                remaining: take.most(),
                reset: 0,
            }),
            OnStoreFailure::Local => counted.next(),
            OnStoreFailure::Deny => counted.next().map(|it| Decision { reset: SOON, ..it }),
        };
        let decisions = plan.takes.iter().zip(&choices).map_while(decide);
        let decisions: Vec<Decision> = decisions.collect();
        self.owe(&plan.takes, Some(&decisions), now.steady);
        self.count(&choices);
        Ok(decisions)
    }

    /// One a take: the strictest of the rules that are counted in it.
    fn choices(&self, plan: &Plan<'_>) -> Vec<OnStoreFailure> {
        let mut choices = vec![OnStoreFailure::Allow; plan.takes.len()];
        for meaning in &plan.meanings {
            if let Meaning::Limited(limited) = meaning {
                let choice = limited.on_store_failure.unwrap_or(self.default);
                let strictest = &mut choices[limited.take];
                if severity(choice) > severity(*strictest) {
                    *strictest = choice;
                }
            }
        }
        choices
    }

    /// The take as it is counted in this process, if it is.
    fn alone(&self, (take, choice): (&Take, &OnStoreFailure)) -> Option<Take> {
        let replicas = self.census.replicas();
        let (limit, burst) = match choice {
            OnStoreFailure::Local => (take.limit / replicas, take.burst / replicas),
            // With the others, so that these are spared what the request does not get.
            OnStoreFailure::Deny => (0, 0),
            // What would fail a request in shadow mode has no say in it.
            OnStoreFailure::Allow | OnStoreFailure::Error => return None,
        };
        Some(Take {
            limit,
            burst,
            ..take.clone()
        })
    }

    /// Remembers what was admitted, and what was reported whatever became of it.
    fn owe(&self, takes: &[Take], decisions: Option<&[Decision]>, now: Timestamp) {
        let passes = |index: usize| decisions.is_some_and(|it| it[index].fits);
        let vetoes = takes.iter().enumerate();
        let admitted = Veto::admits(vetoes.map(|(index, take)| (take.veto, passes(index))));
        let mut owed = self.owed.lock();
        for (index, take) in takes.iter().enumerate() {
            let hits = match take.hits {
                Hits::Ask(hits) if admitted && passes(index) => hits,
                // The reference service's fixed windows count what they refuse.
                Hits::Ask(hits)
                    if take.algorithm == Algorithm::FixedWindow && decisions.is_some() =>
                {
                    hits
                }
                Hits::Report(hits) => hits,
                Hits::Ask(_) => 0,
            };
            if hits == 0 {
                continue;
            }
            if owed.len() >= MOST_KEYS && !owed.contains_key(take.key.as_slice()) {
                self.metrics.lost.increment(hits);
                continue;
            }
            let entry = owed.entry_ref(take.key.as_slice());
            let known = entry.or_insert_with(|| Owed {
                take: take.clone(),
                log: Log::new(LogId::default()),
            });
            let hits = Hits::Report(hits);
            known.log.book(counted(take), hits, Terms::whole(hits), now);
            (known.take.limit, known.take.burst) = (take.limit, take.burst);
        }
    }

    /// Tells the store what it does not know and what still counts; how many hits that were.
    pub(super) async fn book(&self, store: &dyn Store, now: Now) -> Result<u64, Undecided> {
        if self.owed.lock().is_empty() {
            return Ok(0);
        }
        let owed = std::mem::take(&mut *self.owed.lock());
        let reports = owed.into_values().filter_map(|owed| {
            let report = owed.report(now.steady)?;
            Some((owed, report))
        });
        let mut reports = reports.collect::<Vec<_>>().into_iter();
        let (mut booked, mut unknown) = (0, 0);
        let (mut kept, mut failure) = (Vec::new(), None);
        let mut is_silent = false;
        while !is_silent && reports.len() > 0 {
            let chunk: Vec<_> = reports.by_ref().take(AT_ONCE).collect();
            let told = chunk
                .iter()
                .map(|(_, report)| self.tell(store, report, now));
            let told = store::all(told.collect()).await;
            for ((owed, report), told) in chunk.into_iter().zip(told) {
                let hits = hits(&report);
                match told {
                    Ok(()) => booked += hits,
                    Err(Undecided::Store(StoreError::Uncountable(_))) => {
                        self.metrics.lost.increment(hits);
                    }
                    Err(why) => {
                        let is_refused = matches!(&why, Undecided::Store(StoreError::Refused(_)));
                        let was_unsent = matches!(
                            &why,
                            Undecided::Store(StoreError::Disconnected | StoreError::Full)
                        );
                        // Nothing is sent again that may have run.
                        if is_refused || was_unsent {
                            kept.push(owed);
                        } else {
                            (is_silent, unknown) = (true, unknown + hits);
                        }
                        // A refusal may be about one key, anything else is about the store.
                        if failure.is_none() || !is_refused {
                            failure = Some(why);
                        }
                    }
                }
            }
        }
        self.metrics.booked.increment(booked);
        kept.extend(reports.map(|(owed, _)| owed));
        self.keep(kept, now.steady);
        let Some(why) = failure else {
            return Ok(booked);
        };
        if unknown > 0 {
            self.metrics.lost.increment(unknown);
            if self.complaints.allow_anew() {
                warn!(
                    reason = store::in_full(&why),
                    hits = unknown,
                    "nobody knows whether the store has booked these hits"
                );
            }
        }
        Err(why)
    }

    /// Remembers on what the store was not told.
    fn keep(&self, kept: Vec<Owed>, now: Timestamp) {
        let mut since = Vec::new();
        let mut owed = self.owed.lock();
        for kept in kept {
            // Where more was admitted since, the earlier hits count as if with those.
            match owed.contains_key(kept.take.key.as_slice()) {
                true => since.extend(kept.report(now)),
                false => drop(owed.insert(kept.take.key.clone(), kept)),
            }
        }
        drop(owed);
        self.owe(&since, None, now);
    }

    /// Tells the store of one key; what is told at once shares calls where it can.
    fn tell<'a>(
        &self,
        store: &'a dyn Store,
        report: &'a Take,
        now: Now,
    ) -> BoxFuture<'a, Result<(), Undecided>> {
        Box::pin(async move {
            let told = store.take(&[], std::slice::from_ref(report), now);
            let taken = tokio::time::timeout(PATIENCE, told).await;
            let taken = taken.map_err(|_| Undecided::Late)?;
            taken.map_err(Undecided::Store)?;
            Ok(())
        })
    }

    /// Forgets what counts nothing any more.
    pub(super) fn sweep(&self, now: Timestamp) {
        self.alone.sweep(now);
    }

    fn has_room(&self) -> bool {
        self.alone.len() < MOST_KEYS
    }

    fn count(&self, choices: &[OnStoreFailure]) {
        let strictest = choices.iter().max_by_key(|choice| severity(**choice));
        match strictest {
            Some(OnStoreFailure::Allow) | None => self.metrics.allow.increment(1),
            Some(OnStoreFailure::Deny) => self.metrics.deny.increment(1),
            Some(OnStoreFailure::Error) => self.metrics.error.increment(1),
            Some(OnStoreFailure::Local) => self.metrics.local.increment(1),
        }
    }
}

impl Owed {
    /// What of it still counts, as a report.
    fn report(&self, now: Timestamp) -> Option<Take> {
        let remaining = self.log.remaining(counted(&self.take), now);
        let hits = u64::from(u32::MAX) - remaining;
        (hits > 0).then_some(Take {
            hits: Hits::Report(hits),
            ..self.take.clone()
        })
    }
}

/// Counts without a limit.
fn counted(take: &Take) -> Quota {
    Quota::new(u32::MAX, 0, take.window)
}

fn hits(take: &Take) -> u64 {
    let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
    hits
}

/// How little a choice lets pass.
fn severity(choice: OnStoreFailure) -> u8 {
    match choice {
        OnStoreFailure::Allow => 0,
        OnStoreFailure::Local => 1,
        OnStoreFailure::Error => 2,
        OnStoreFailure::Deny => 3,
    }
}

/// When somebody refused without a count may come again, in microseconds.
const SOON: u64 = 1_000_000;
/// How many keys are counted alone; beyond that requests fail.
const MOST_KEYS: usize = 1 << 18;
/// How long the store may take to book what it is told.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many keys the store is told of at once.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests;
