//! What became of the requests.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Counts by outcome, and the latencies of all of them.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) ok: u64,
    pub(super) over_limit: u64,
    pub(super) errors: BTreeMap<Failure, u64>,
    /// In microseconds.
    pub(super) latencies: Histogram<u64>,
}

/// Why a request was not decided.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Failure {
    /// The connection broke.
    Broken,
    /// What came is no answer of a RateLimitService.
    Garbled,
    /// No answer came in time, or the request could not even be sent by then.
    Late,
    /// The service answered with this gRPC status.
    Status(i32),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken => f.write_str("Broken"),
            Self::Garbled => f.write_str("Garbled"),
            Self::Late => f.write_str("Late"),
            Self::Status(code) => write!(f, "{:?}", tonic::Code::from(*code)),
        }
    }
}

impl Tally {
    /// Notes a request that took so many microseconds; `outcome` is whether it is over its limit.
    pub(super) fn add(&mut self, outcome: Result<bool, Failure>, latency: u64) {
        match outcome {
            Ok(false) => self.ok += 1,
            Ok(true) => self.over_limit += 1,
            Err(failure) => *self.errors.entry(failure).or_default() += 1,
        }
        self.latencies.saturating_record(latency);
    }

    /// Adds what another has noted.
    pub(super) fn join(&mut self, other: &Self) {
        self.ok += other.ok;
        self.over_limit += other.over_limit;
        for (failure, count) in &other.errors {
            *self.errors.entry(*failure).or_default() += count;
        }
        let added = self.latencies.add(&other.latencies);
        added.expect("both have the same bounds");
    }

    /// Requests that the service decided.
    pub(super) fn decided(&self) -> u64 {
        self.ok + self.over_limit
    }

    /// Requests that it did not.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_bounds(1, MAX_LATENCY, SIGNIFICANT_DIGITS);
        Self {
            ok: 0,
            over_limit: 0,
            errors: BTreeMap::new(),
            latencies: latencies.expect("the bounds are in order"),
        }
    }
}

/// An hour; what takes longer counts as that.
const MAX_LATENCY: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tallies_make_one() {
        let (mut first, mut second) = (Tally::default(), Tally::default());
        first.add(Ok(false), 10);
        first.add(Err(Failure::Late), 1_000);
        second.add(Ok(true), 30);
        second.add(Err(Failure::Late), 1_000);
        second.add(Err(Failure::Status(14)), 20);
        first.join(&second);
        assert_eq!((first.ok, first.over_limit), (1, 1));
        assert_eq!((first.decided(), first.failed()), (2, 3));
        assert_eq!(
            first.errors,
            BTreeMap::from([(Failure::Late, 2), (Failure::Status(14), 1)])
        );
        assert_eq!(first.latencies.value_at_quantile(0.5), 30);
        assert_eq!(first.latencies.len(), 5);
    }

    #[test]
    fn a_latency_beyond_all_bounds_counts_as_the_bound() {
        let mut tally = Tally::default();
        tally.add(Ok(false), u64::MAX);
        assert_eq!(tally.latencies.len(), 1);
    }

    #[test]
    fn a_status_has_its_name() {
        assert_eq!(Failure::Status(14).to_string(), "Unavailable");
    }
}
