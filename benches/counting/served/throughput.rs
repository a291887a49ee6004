//! As many requests as the machine takes.

use crate::served::ServedBy;
use crate::served::World;
use crate::served::rows::Row;
use crate::served::rows::interleaved;

pub(super) fn measure(world: &mut World) {
    println!(
        "| 200 at once, 4 connections | decisions/s | of null | CPU µs | of null | of it Redis | p99 µs | script calls a request |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let all = interleaved(world, ROWS, "3s", |_| 0);
    for (row, runs) in ROWS.iter().zip(all) {
        println!(
            "| {} | {:.0} | {:.2} | {:.1} | {:.2} | {:.1} | {:.0} | {:.4} |",
            row.name,
            runs.median(|it| it.per_second),
            runs.ratio(|it| it.per_second),
            runs.median(|it| it.cpu_micros),
            runs.ratio(|it| it.cpu_micros),
            runs.median(|it| it.redis_micros),
            runs.median(|it| it.p99),
            runs.median(|it| it.scripts),
        );
    }
    println!();
}

/// The first is what the others are compared with.
const ROWS: &[Row] = &[
    Row::new("null", ServedBy::NULL, HOT),
    Row::new("memory, one key admitted", ServedBy::Memory, HOT),
    Row::new("memory, one key refused", ServedBy::Memory, REFUSED),
    Row::new("Redis, one key admitted", ServedBy::LEASING, HOT),
    Row::new("Redis, one key refused", ServedBy::LEASING, REFUSED),
    Row::new("Redis, 100,000 keys evenly", ServedBy::LEASING, UNIFORM),
    Row::new("Redis, 100,000 keys, zipf 0.99", ServedBy::LEASING, ZIPF),
    Row::new("Redis without leases, one key", ServedBy::Asking, HOT),
    Row::new("the same, 100,000 keys evenly", ServedBy::Asking, UNIFORM),
];

pub(super) const HOT: &[&str] = &["--entry-key", "vast"];
pub(super) const REFUSED: &[&str] = &["--entry-key", "tiny"];
pub(super) const UNIFORM: &[&str] = &["--entry-key", "hundred", "--keys", "100000"];
const ZIPF: &[&str] = &["--entry-key", "vast", "--keys", "100000", "--zipf", "0.99"];
