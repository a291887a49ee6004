//! Whether the store is asked: not while it fails, so that a dead one costs a request nothing.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::watch;
use tracing::info;
use tracing::warn;

use crate::algorithm::Timestamp;
use crate::limiter::Undecided;
use crate::metrics::StoreMetrics;
use crate::store;
use crate::store::StoreError;
use crate::store::complaint::Complaints;

/// Opens after [`ENOUGH`] failures without a success between them, and closes when a probe passes.
#[derive(Debug)]
pub(super) struct Circuit {
    is_open: AtomicBool,
    /// Since the last success.
    failures: AtomicU32,
    /// How many looks in a row have found a part of the store that does not answer.
    partial: AtomicU32,
    /// How long the request waited whose failure came last, in microseconds: a store that takes
    /// longer is of no use to requests.
    waited: AtomicU64,
    /// When it opened.
    opened_at: AtomicU64,
    /// When that was last complained of.
    said_at: AtomicU64,
    /// Whether the log says that it is open, or may yet; a store that fails and answers in turn is not
    /// told of each time.
    is_said: AtomicBool,
    complaints: Complaints,
    /// Of keys that cannot be counted.
    of_keys: Complaints,
    answers: watch::Sender<bool>,
    changed: Notify,
}

impl Circuit {
    /// A circuit before the first answer: open where there is something to wait for.
    pub(super) fn new(is_open: bool, now: Timestamp) -> Self {
        Self {
            is_open: AtomicBool::new(is_open),
            failures: AtomicU32::new(0),
            partial: AtomicU32::new(0),
            waited: AtomicU64::new(0),
            opened_at: AtomicU64::new(now.0),
            said_at: AtomicU64::new((now.0 + AT_FIRST).saturating_sub(AGAIN)),
            is_said: AtomicBool::new(true),
            complaints: Complaints::default(),
            of_keys: Complaints::default(),
            answers: watch::Sender::new(!is_open),
            changed: Notify::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Whether the store answers, now and as it changes.
    pub(super) fn answers(&self) -> watch::Receiver<bool> {
        self.answers.subscribe()
    }

    /// Takes note of an answer.
    pub(super) fn succeeded(&self) {
        // A write only when it matters: the line is shared by all cores.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Takes note of a failure after so long.
    pub(super) fn failed(
        &self,
        why: &Undecided,
        waited: Duration,
        now: Timestamp,
        metrics: &StoreMetrics,
    ) {
        let is_late = matches!(why, Undecided::Late);
        let is_of_a_key = matches!(why, Undecided::Store(StoreError::Uncountable(_)));
        if is_of_a_key || is_late && waited < TELLING {
            return;
        }
        let waited = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.waited
            .store(if is_late { waited } else { 0 }, Ordering::Relaxed);
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed.notify_one();
        let opens = failures >= ENOUGH && !self.is_open.swap(true, Ordering::Relaxed);
        let said_at = Timestamp(self.said_at.load(Ordering::Relaxed));
        let is_due = opens || self.is_open() && now.since(said_at) >= AGAIN;
        if is_due && self.complaints.allow_anew() {
            self.said_at.store(now.0, Ordering::Relaxed);
            self.is_said.store(true, Ordering::Relaxed);
            warn!(
                reason = store::in_full(why),
                "the store does not answer: every rule's choice for that holds"
            );
        }
        if opens {
            metrics.circuit_opened.increment(1);
            self.note(false, now, metrics);
        }
    }

    /// Says that a key of these rules holds what is no counter.
    pub(super) fn complain_of_key(&self, reason: &str, rules: &str) {
        if self.of_keys.allow(rules) {
            warn!(
                reason,
                rules,
                "a key of ours holds what cannot be counted: its rule's choice holds until it is deleted"
            );
        }
    }

    /// Has the store asked again, all of which answers.
    pub(super) fn close(&self, now: Timestamp, metrics: &StoreMetrics) {
        self.failures.store(0, Ordering::Relaxed);
        self.partial.store(0, Ordering::Relaxed);
        self.is_open.store(false, Ordering::Relaxed);
        let opened_at = Timestamp(self.opened_at.load(Ordering::Relaxed));
        if self.note(true, now, metrics) && self.is_said.swap(false, Ordering::Relaxed) {
            let after_seconds = now.since(opened_at) as f64 / 1e6;
            info!(after_seconds, "the store answers");
        }
    }

    /// Has the store asked again, a part of which does not answer.
    pub(super) fn close_in_part(&self, why: &Undecided, now: Timestamp, metrics: &StoreMetrics) {
        self.failures.store(0, Ordering::Relaxed);
        let was_open = self.is_open.swap(false, Ordering::Relaxed);
        let looks = self.partial.fetch_add(1, Ordering::Relaxed) + 1;
        if was_open || looks == ENOUGH {
            if self.complaints.allow_anew() {
                self.said_at.store(now.0, Ordering::Relaxed);
                self.is_said.store(true, Ordering::Relaxed);
                warn!(
                    reason = store::in_full(why),
                    "a part of the store does not answer: for keys there every rule's choice for that holds"
                );
            }
            self.note(false, now, metrics);
        }
    }

    /// Takes note of whether all of the store answers; whether that is new.
    fn note(&self, answers: bool, now: Timestamp, metrics: &StoreMetrics) -> bool {
        // Since when goes before: who hears of it may look.
        self.answers.send_if_modified(|it| {
            let is_new = std::mem::replace(it, answers) != answers;
            if is_new {
                metrics.answers_since.set(now.0 as f64 / 1e6);
                if !answers {
                    self.opened_at.store(now.0, Ordering::Relaxed);
                }
            }
            is_new
        })
    }

    /// How long a probe may take.
    pub(super) fn patience(&self) -> Duration {
        match self.waited.load(Ordering::Relaxed) {
            0 => LONGEST_PROBE,
            waited => Duration::from_micros(waited).min(LONGEST_PROBE),
        }
    }

    /// Waits until it is time for the next probe.
    pub(super) async fn rest(&self) {
        let wrong = self.failures.load(Ordering::Relaxed) + self.partial.load(Ordering::Relaxed);
        if self.is_open() || wrong > 0 {
            tokio::time::sleep(BETWEEN_PROBES.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(BETWEEN_LOOKS) => {}
            () = self.changed.notified() => {}
        }
    }
}

/// How many failures in a row open the circuit.
const ENOUGH: u32 = 5;
/// Whoever waits for less says nothing about the store by giving up.
const TELLING: Duration = Duration::from_millis(5);
/// Between two probes of a store that fails, give or take a quarter.
const BETWEEN_PROBES: Duration = Duration::from_millis(100);
/// Between two probes of one that answers.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// In microseconds: after how long that is said again.
const AGAIN: u64 = 60_000_000;
/// In microseconds: how long the first answer may take without a word.
const AT_FIRST: u64 = 2_000_000;
const LONGEST_PROBE: Duration = Duration::from_secs(1);
