//! How long requests take, in steps that serve Prometheus and statsd alike.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A histogram. Recording is two additions, and reading it takes nothing away.
#[derive(Clone, Debug, Default)]
pub struct Timer(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Timer {
    /// Counts one that took so long.
    pub fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let step = BOUNDS.partition_point(|bound| *bound * 1_000 < micros);
        self.0.counts[step].fetch_add(1, Ordering::Relaxed);
        self.0.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// How many took no longer than so many milliseconds and longer than the step before; the last
    /// step has all that took longer than it says as well.
    pub(super) fn steps(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.0.counts.iter().map(|it| it.load(Ordering::Relaxed));
        let mut counts: Vec<u64> = counts.collect();
        let longest = counts.pop().unwrap_or(0);
        if let Some(last) = counts.last_mut() {
            *last += longest;
        }
        BOUNDS.into_iter().zip(counts)
    }

    /// In Prometheus' text format.
    pub(super) fn render(&self, text: &mut String, name: &str, label: &str) {
        let mut n_below = 0;
        let mut line = |suffix: &str, more: &str, value: &dyn std::fmt::Display| {
            let written = writeln!(text, "{name}_{suffix}{{{label}{more}}} {value}");
            written.expect("a string takes everything");
        };
        for (step, count) in self.0.counts.iter().enumerate() {
            n_below += count.load(Ordering::Relaxed);
            let Some(bound) = BOUNDS.get(step) else {
                break;
            };
            if SHOWN.contains(bound) {
                let bound = *bound as f64 / 1_000.0;
                line("bucket", &format!(",le=\"{bound}\""), &n_below);
            }
        }
        line("bucket", ",le=\"+Inf\"", &n_below);
        let seconds = self.0.micros.load(Ordering::Relaxed) as f64 / 1e6;
        line("sum", "", &seconds);
        line("count", "", &n_below);
    }
}

/// Where steps end, in milliseconds.
const BOUNDS: [u64; 19] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
];

/// Those that Prometheus sees: its default, which envoyproxy/ratelimit has too.
const SHOWN: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_sees_how_many_took_no_longer() {
        let mut text = String::new();
        timer().render(&mut text, "t", "m=\"x\"");
        for line in [
            "t_bucket{m=\"x\",le=\"0.005\"} 3\n",
            "t_bucket{m=\"x\",le=\"0.01\"} 4\n",
            "t_bucket{m=\"x\",le=\"10\"} 5\n",
            "t_bucket{m=\"x\",le=\"+Inf\"} 6\n",
            "t_sum{m=\"x\"} 23.010701\n",
            "t_count{m=\"x\"} 6\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn statsd_sees_every_step_by_itself() {
        let steps: Vec<(u64, u64)> = timer().steps().filter(|(_, count)| *count > 0).collect();
        assert_eq!(steps, [(1, 2), (5, 1), (6, 1), (2_500, 1), (10_000, 1)]);
    }

    fn timer() -> Timer {
        let timer = Timer::default();
        for micros in [0, 700, 5_000, 5_001, 2_000_000, 21_000_000] {
            timer.record(Duration::from_micros(micros));
        }
        timer
    }
}
