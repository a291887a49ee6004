//! Who is asked for what, and the tables of what it took.

use serde_json::Value;

use crate::served::World;

/// One line of a table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) served_by: ServedBy,
    pub(crate) flags: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ServedBy {
    Null,
    Memory,
    Redis,
}

/// What one run of a row took.
#[derive(Clone, Copy, Debug)]
struct Figures {
    per_second: f64,
    cpu_micros: f64,
    /// That of Redis, which is part of it.
    redis_micros: f64,
    p50: f64,
    p99: f64,
    /// Script calls for each request, and each second.
    calls: f64,
    calls_per_second: f64,
    errors: f64,
}

/// As many requests as the machine takes.
pub(crate) fn saturated(world: &World) {
    println!(
        "| 200 at once, 4 connections | decisions/s | of null | CPU µs | of null | of it Redis | p99 µs | script calls a request |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (row, runs) in ROWS
        .iter()
        .zip(interleaved(world, ROWS, &["--duration", "3s"]))
    {
        let calls = if row.served_by == ServedBy::Redis {
            format!("{:.4}", runs.median(|it| it.calls))
        } else {
            String::new()
        };
        println!(
            "| {} | {:.0} | {:.2} | {:.1} | {:.2} | {:.1} | {:.0} | {calls} |",
            row.name,
            runs.median(|it| it.per_second),
            runs.median_of_null(|it| it.per_second),
            runs.median(|it| it.cpu_micros),
            runs.median_of_null(|it| it.cpu_micros),
            runs.median(|it| it.redis_micros),
            runs.median(|it| it.p99),
        );
    }
    println!();
}

/// At rates that leave the machine room.
pub(crate) fn at_a_rate(world: &World) {
    println!(
        "| at a rate | p50 µs | p99 µs | CPU µs | script calls a request | a second | errors |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (row, runs) in PACED
        .iter()
        .zip(interleaved(world, PACED, &["--duration", "5s"]))
    {
        println!(
            "| {} | {:.0} | {:.0} | {:.1} | {:.4} | {:.1} | {:.0} |",
            row.name,
            runs.median(|it| it.p50),
            runs.median(|it| it.p99),
            runs.median(|it| it.cpu_micros),
            runs.median(|it| it.calls),
            runs.median(|it| it.calls_per_second),
            runs.median(|it| it.errors),
        );
    }
    println!();
}

/// The runs of one row, and those of the first row in the same rounds.
struct Runs {
    own: Vec<Figures>,
    null: Vec<Figures>,
}

impl Runs {
    fn median(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        median(self.own.iter().map(figure))
    }

    fn median_of_null(&self, figure: impl Fn(&Figures) -> f64) -> f64 {
        let ratio = |(own, null)| figure(own) / figure(null);
        median(self.own.iter().zip(&self.null).map(ratio))
    }
}

/// Runs all rows once a round, so that whatever else the machine does hits all of them.
fn interleaved(world: &World, rows: &[Row], flags: &[&str]) -> Vec<Runs> {
    for row in rows {
        world.load(row, &["--requests", "20000"]);
    }
    let mut runs: Vec<Vec<Figures>> = rows.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (row, runs) in rows.iter().zip(&mut runs) {
            runs.push(run(world, row, flags));
        }
    }
    let null = runs[0].clone();
    let with_null = |own| Runs {
        own,
        null: null.clone(),
    };
    runs.into_iter().map(with_null).collect()
}

fn run(world: &World, row: &Row, flags: &[&str]) -> Figures {
    let before = world.redis.script_calls();
    let report = world.load(row, flags);
    let calls = (world.redis.script_calls() - before) as f64;
    let number = |value: &Value| value.as_f64().expect("it is a number");
    let redis_seconds = number(&report["cpu"][1]["seconds"]);
    let decided = number(&report["ok"]) + number(&report["over_limit"]);
    Figures {
        redis_micros: redis_seconds * 1e6 / decided,
        errors: number(&report["errors"]),
        per_second: number(&report["decisions_per_second"]),
        cpu_micros: number(&report["cpu_seconds_per_million"]),
        p50: number(&report["latency_micros"]["p50"]),
        p99: number(&report["latency_micros"]["p99"]),
        calls: calls / number(&report["requests"]),
        calls_per_second: calls / number(&report["seconds"]),
    }
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

const ROUNDS: usize = 5;

/// The first is what the others are compared with.
const ROWS: &[Row] = &[
    Row {
        name: "null",
        served_by: ServedBy::Null,
        flags: &["--entry-key", "vast"],
    },
    Row {
        name: "memory, one key admitted",
        served_by: ServedBy::Memory,
        flags: &["--entry-key", "vast"],
    },
    Row {
        name: "memory, one key refused",
        served_by: ServedBy::Memory,
        flags: &["--entry-key", "tiny"],
    },
    Row {
        name: "Redis, one key admitted",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "vast"],
    },
    Row {
        name: "Redis, one key refused",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "tiny"],
    },
    Row {
        name: "Redis, 100,000 keys evenly",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "hundred", "--keys", "100000"],
    },
    Row {
        name: "Redis, 100,000 keys, zipf 0.99",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "vast", "--keys", "100000", "--zipf", "0.99"],
    },
];

const PACED: &[Row] = &[
    Row {
        name: "null, 10,000/s",
        served_by: ServedBy::Null,
        flags: &["--entry-key", "vast", "--rate", "10000"],
    },
    Row {
        name: "one key, 1 minute, 1,000/s",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "minute", "--rate", "1000"],
    },
    Row {
        name: "one key, 1 second, 10,000/s",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "second", "--rate", "10000"],
    },
    Row {
        name: "one key refused, 10,000/s",
        served_by: ServedBy::Redis,
        flags: &["--entry-key", "tiny", "--rate", "10000"],
    },
    Row {
        name: "100,000 keys evenly, 5,000/s",
        served_by: ServedBy::Redis,
        flags: &[
            "--entry-key",
            "hundred",
            "--keys",
            "100000",
            "--rate",
            "5000",
        ],
    },
];
