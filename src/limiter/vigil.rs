//! Looks after the store apart from requests: whether it answers, and what it has to be told.

use tokio_util::sync::CancellationToken;

use crate::algorithm::Hits;
use crate::limiter::Limiter;
use crate::limiter::Undecided;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store;
use crate::store::BoxFuture;
use crate::store::Now;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

impl Limiter {
    /// Looks after the store until told to stop: probes it, and tells it what it does not know
    /// before it is asked again.
    pub async fn watch_store(&self, stop: CancellationToken) {
        let watch = async {
            loop {
                self.look().await;
                self.circuit.rest().await;
            }
        };
        stop.run_until_cancelled(watch).await;
        // What is still owed when the process ends is told if it can be.
        let now = self.clock.now();
        if self.circuit.is_open() {
            return;
        }
        let key = self.key_of_replicas();
        self.fallback.census().leave(&*self.store, &key).await;
        if self.fallback.book(&*self.store, now).await.is_err() {
            self.store_metrics.errors.increment(1);
        }
    }

    /// A store of several servers is asked on as long as any of them answers.
    async fn look(&self) {
        let now = self.clock.now();
        let (patience, metrics) = (self.circuit.patience(), &self.store_metrics);
        let probes = self.probes(now);
        let probe = |probe| -> BoxFuture<'_, Result<(), Undecided>> {
            Box::pin(async move {
                let probe = std::slice::from_ref(probe);
                self.send(probe, now, patience).await.map(drop)
            })
        };
        let probed = store::all(probes.iter().map(probe).collect()).await;
        let is_none = probed.iter().all(Result::is_err);
        let mut failure = probed.into_iter().find_map(Result::err);
        if !is_none {
            let (key, census) = (self.key_of_replicas(), self.fallback.census());
            census.attend(&*self.store, &key, now.steady).await;
            // Last: what is admitted alone after it is booked with the next look only.
            let booked = self.fallback.book(&*self.store, self.clock.now()).await;
            failure = failure.or(booked.err());
        }
        match failure {
            None => self.circuit.close(now.steady, metrics),
            // Where probes pass, what is refused to be booked is so for its own keys only.
            Some(Undecided::Store(why @ StoreError::Refused(_))) if !is_none => {
                let why = Undecided::Store(why);
                self.circuit.close_in_part(&why, now.steady, metrics);
            }
            Some(why) if is_none || self.store.is_one_place() => {
                self.circuit.failed(&why, patience, now.steady, metrics);
            }
            Some(why) => self.circuit.close_in_part(&why, now.steady, metrics),
        }
        self.fallback.sweep(now.steady);
    }

    fn key_of_replicas(&self) -> Vec<u8> {
        format!("{}{REPLICAS}", self.options.key_prefix).into_bytes()
    }

    /// Writes to keys of the service's own, counted as requests are: one, or enough to reach every
    /// server, and the one for limits per second.
    fn probes(&self, now: Now) -> Vec<Take> {
        if self.store.is_one_place() {
            return vec![self.probe(Unit::Second, 0, now)];
        }
        let units = [Unit::Second, Unit::Minute];
        let probes = |unit| (0..PROBES).map(move |number| self.probe(unit, number, now));
        units.into_iter().flat_map(probes).collect()
    }

    fn probe(&self, unit: Unit, number: usize, now: Now) -> Take {
        let number = number.to_string();
        let (path, window) = ([(PROBE, number.as_str())], Window::of_one(unit));
        let algorithm = self.options.algorithm;
        let domain = match algorithm {
            Algorithm::FixedWindow => PROBE,
            Algorithm::SlidingWindow => "",
        };
        Take {
            key: self.options.key(domain, path, algorithm, window, now),
            algorithm,
            limit: u32::MAX,
            burst: 0,
            window,
            hits: Hits::Report(1),
            terms: None,
            veto: Veto::Never,
        }
    }
}

/// How many keys are tried where several servers have them.
const PROBES: usize = 16;
/// The path of the keys that probes write to.
const PROBE: &str = "slidegate_probe";
/// The key under which replicas make themselves known.
const REPLICAS: &str = "slidegate:replicas";
