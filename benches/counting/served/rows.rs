//! Rows of tables: who is asked for what, and what it took.

use serde_json::Value;

use crate::served::ServedBy;
use crate::served::World;

/// One line of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) served_by: ServedBy,
    pub(super) flags: &'static [&'static str],
    /// Requests a second; without it as many as the machine takes.
    pub(super) rate: Option<u32>,
}

impl Row {
    pub(super) const fn new(
        name: &'static str,
        served_by: ServedBy,
        flags: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            served_by,
            flags,
            rate: None,
        }
    }

    pub(super) const fn at(self, rate: u32) -> Self {
        Self {
            rate: Some(rate),
            ..self
        }
    }

    /// One run of so long.
    pub(super) fn run(&self, world: &mut World, duration: &str) -> Figures {
        let rate = self.rate.map(|rate| rate.to_string());
        let mut flags = vec!["--duration", duration];
        flags.extend(self.flags);
        flags.extend(rate.iter().flat_map(|rate| ["--rate", rate]));
        let before = world.redis.calls();
        let report = world.load(self.served_by, &flags);
        let after = world.redis.calls();
        let number = |value: &Value| value.as_f64().expect("it is a number");
        let decided = number(&report["ok"]) + number(&report["over_limit"]);
        let requests = number(&report["requests"]);
        Figures {
            redis_micros: number(&report["cpu"][1]["seconds"]) * 1e6 / decided,
            errors: number(&report["errors"]),
            per_second: number(&report["decisions_per_second"]),
            cpu_micros: number(&report["cpu_seconds_per_million"]),
            p50: number(&report["latency_micros"]["p50"]),
            p99: number(&report["latency_micros"]["p99"]),
            scripts: (after.scripts - before.scripts) as f64 / requests,
            commands: (after.commands - before.commands) as f64 / requests,
            scripts_per_second: (after.scripts - before.scripts) as f64
                / number(&report["seconds"]),
        }
    }
}

/// What one run of a row took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) per_second: f64,
    pub(super) cpu_micros: f64,
    /// That of Redis, which is part of it.
    pub(super) redis_micros: f64,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// Script calls for each request, and each second.
    pub(super) scripts: f64,
    pub(super) scripts_per_second: f64,
    /// Commands for each request, those inside of scripts included.
    pub(super) commands: f64,
    pub(super) errors: f64,
}

/// The runs of one row, and those of the row that it is compared with, in the same rounds.
pub(super) struct Runs {
    own: Vec<Figures>,
    base: Vec<Figures>,
}

impl Runs {
    pub(super) fn median(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.own.iter().map(figure))
    }

    /// Of the other row's.
    pub(super) fn ratio(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        let ratio = |(own, base)| figure(own) / figure(base);
        median(self.own.iter().zip(&self.base).map(ratio))
    }

    /// Above the other row's.
    pub(super) fn added(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        let added = |(own, base)| figure(own) - figure(base);
        median(self.own.iter().zip(&self.base).map(added))
    }
}

/// Runs all rows once a round, so that whatever else the machine does hits all of them. `base` says
/// with which row one is compared.
pub(super) fn interleaved(
    world: &mut World,
    rows: &[Row],
    duration: &str,
    base: impl Fn(usize) -> usize,
) -> Vec<Runs> {
    for row in rows {
        row.run(world, "500ms");
    }
    let mut runs: Vec<Vec<Figures>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (row, runs) in rows.iter().zip(&mut runs) {
            runs.push(row.run(world, duration));
        }
    }
    let of = |index: usize| Runs {
        own: runs[index].clone(),
        base: runs[base(index)].clone(),
    };
    (0..rows.len()).map(of).collect()
}

pub(super) fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

const ROUNDS: usize = 5;
