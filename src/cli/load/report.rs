//! What `load` prints.

use std::fmt;
use std::time::Duration;

use serde_json::json;

use crate::cli::load::tally::Tally;

/// What was measured.
#[derive(Debug)]
pub(super) struct Report {
    /// From the begin to the last answer.
    pub(super) took: Duration,
    pub(super) tally: Tally,
    /// The CPU seconds that each process used meanwhile.
    pub(super) cpu: Vec<(u32, f64)>,
}

impl Report {
    /// Decisions a second.
    fn throughput(&self) -> f64 {
        self.tally.decided() as f64 / self.took.as_secs_f64().max(1e-6)
    }

    /// CPU seconds of all processes for a million decisions.
    fn cpu_per_million(&self) -> f64 {
        let seconds: f64 = self.cpu.iter().map(|(_, seconds)| seconds).sum();
        seconds * 1e6 / self.tally.decided() as f64
    }

    fn latency(&self, quantile: f64) -> u64 {
        self.tally.latencies.value_at_quantile(quantile)
    }

    /// One line, for while it lasts.
    pub(super) fn progress(&self) -> String {
        format!(
            "{} s: {:.0}/s, OK {}, OVER_LIMIT {}, errors {}, p99 {}",
            self.took.as_secs(),
            self.throughput(),
            self.tally.ok,
            self.tally.over_limit,
            self.tally.failed(),
            Micros(self.latency(0.99)),
        )
    }

    /// For machines: one object.
    pub(super) fn json(&self) -> serde_json::Value {
        let errors = self.tally.errors.iter();
        let errors = errors.map(|(failure, count)| (failure.to_string(), json!(count)));
        let cpu = self.cpu.iter();
        let cpu = cpu.map(|(pid, seconds)| json!({"pid": pid, "seconds": seconds}));
        let mut report = json!({
            "seconds": self.took.as_secs_f64(),
            "requests": self.tally.decided() + self.tally.failed(),
            "ok": self.tally.ok,
            "over_limit": self.tally.over_limit,
            "errors": self.tally.failed(),
            "errors_by_cause": errors.collect::<serde_json::Map<_, _>>(),
            "decisions_per_second": self.throughput(),
            "latency_micros": QUANTILES
                .map(|(name, quantile)| (name.to_owned(), json!(self.latency(quantile))))
                .into_iter()
                .collect::<serde_json::Map<_, _>>(),
        });
        if !self.cpu.is_empty() {
            report["cpu"] = cpu.collect();
            report["cpu_seconds_per_million"] = json!(self.cpu_per_million());
        }
        report
    }
}

/// For people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { ok, over_limit, .. } = self.tally;
        writeln!(
            f,
            "{} decisions in {:.3} s, {:.0} a second",
            self.tally.decided(),
            self.took.as_secs_f64(),
            self.throughput()
        )?;
        writeln!(f, "  OK          {ok}")?;
        writeln!(f, "  OVER_LIMIT  {over_limit}")?;
        write!(f, "  errors      {}", self.tally.failed())?;
        for (failure, count) in &self.tally.errors {
            write!(f, ", {failure} {count}")?;
        }
        write!(f, "\n  latency    ")?;
        for (index, (name, quantile)) in QUANTILES.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma} {name} {}", Micros(self.latency(quantile)))?;
        }
        writeln!(f)?;
        for (pid, seconds) in &self.cpu {
            writeln!(f, "  CPU of {pid}  {seconds:.2} s")?;
        }
        if !self.cpu.is_empty() {
            let per_million = self.cpu_per_million();
            writeln!(
                f,
                "  CPU         {per_million:.2} s for a million decisions"
            )?;
        }
        Ok(())
    }
}

/// Microseconds, as people read them.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ ..1_000 => write!(f, "{micros} us"),
            micros @ ..1_000_000 => write!(f, "{:.2} ms", micros as f64 / 1e3),
            micros => write!(f, "{:.2} s", micros as f64 / 1e6),
        }
    }
}

const QUANTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::tally::Failure;

    #[test]
    fn people_read_lines() {
        let expected = "\
150 decisions in 2.000 s, 75 a second
  OK          100
  OVER_LIMIT  50
  errors      2, Late 1, Unavailable 1
  latency     p50 100 us, p90 2.00 ms, p99 2.00 ms, p99.9 1.00 s, max 1.00 s
  CPU of 7  0.25 s
  CPU of 8  0.50 s
  CPU         5000.00 s for a million decisions
";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn machines_read_an_object() {
        let expected = json!({
            "seconds": 2.0,
            "requests": 152,
            "ok": 100,
            "over_limit": 50,
            "errors": 2,
            "errors_by_cause": {"Late": 1, "Unavailable": 1},
            "decisions_per_second": 75.0,
            "latency_micros":
                {"p50": 100, "p90": 2_000, "p99": 2_000, "p99.9": 1_000_447, "max": 1_000_447},
            "cpu": [{"pid": 7, "seconds": 0.25}, {"pid": 8, "seconds": 0.5}],
            "cpu_seconds_per_million": 5_000.0,
        });
        assert_eq!(report().json(), expected);
    }

    #[test]
    fn who_waits_reads_one_line() {
        let expected = "2 s: 75/s, OK 100, OVER_LIMIT 50, errors 2, p99 2.00 ms";
        assert_eq!(report().progress(), expected);
    }

    fn report() -> Report {
        let mut tally = Tally::default();
        for _ in 0..100 {
            tally.add(Ok(false), 100);
        }
        for _ in 0..50 {
            tally.add(Ok(true), 2_000);
        }
        tally.add(Err(Failure::Late), 1_000_000);
        tally.add(Err(Failure::Status(14)), 10);
        Report {
            took: Duration::from_secs(2),
            tally,
            cpu: vec![(7, 0.25), (8, 0.5)],
        }
    }
}
