//! Looks after the store apart from requests: whether it answers, and what it has to be told.

use tokio_util::sync::CancellationToken;

use crate::algorithm::Hits;
use crate::limiter::Limiter;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Now;
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

    async fn look(&self) {
        let now = self.clock.now();
        let (patience, metrics) = (self.circuit.patience(), &self.store_metrics);
        let probed = self.send(&[self.probe(now)], now, patience).await;
        let booked = match probed {
            Ok(_) => self.fallback.book(&*self.store, now).await,
            Err(why) => Err(why),
        };
        match booked {
            Ok(_) => {
                let key = self.key_of_replicas();
                let census = self.fallback.census();
                census.attend(&*self.store, &key, now.steady).await;
                self.circuit.close(now.steady, metrics);
            }
            Err(why) => self.circuit.failed(&why, patience, now.steady, metrics),
        }
        self.fallback.sweep(now.steady);
    }

    fn key_of_replicas(&self) -> Vec<u8> {
        format!("{}{REPLICAS}", self.options.key_prefix).into_bytes()
    }

    /// A write to a key of the service's own, counted as requests are.
    fn probe(&self, now: Now) -> Take {
        let (path, window) = ([(PROBE, "")], Window::of_one(Unit::Second));
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

/// The path of the key that probes write to.
const PROBE: &str = "slidegate_probe";
/// The key under which replicas make themselves known.
const REPLICAS: &str = "slidegate:replicas";
