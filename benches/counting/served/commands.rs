//! What a hot key asks Redis, at a rate.

use crate::served::ServedBy;
use crate::served::World;
use crate::served::rows::Row;
use crate::served::throughput::REFUSED;

pub(super) fn measure(world: &mut World) {
    println!(
        "| one key | script calls a request | a second | commands a request, inside of scripts too | p99 µs | errors |"
    );
    println!("|---|---|---|---|---|---|");
    for row in ROWS {
        // What is known of the key's demand is that of a key in use.
        row.run(world, "2s");
        let run = row.run(world, "12s");
        println!(
            "| {} | {:.4} | {:.1} | {:.4} | {:.0} | {:.0} |",
            row.name, run.scripts, run.scripts_per_second, run.commands, run.p99, run.errors,
        );
    }
    println!();
}

const ROWS: &[Row] = &[
    Row::new(
        "120,000 a minute, 1,000 requests/s",
        ServedBy::LEASING,
        &["--entry-key", "minute"],
    )
    .at(1_000),
    Row::new(
        "20,000 a second, 10,000 requests/s",
        ServedBy::LEASING,
        &["--entry-key", "second"],
    )
    .at(10_000),
    Row::new(
        "over its limit, 10,000 requests/s",
        ServedBy::LEASING,
        REFUSED,
    )
    .at(10_000),
];
