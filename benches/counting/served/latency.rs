//! What the service adds to latency at half of what the machine takes, against null at the same rate.

use crate::served::ServedBy;
use crate::served::World;
use crate::served::rows::Row;
use crate::served::rows::interleaved;
use crate::served::rows::median;
use crate::served::throughput::HOT;
use crate::served::throughput::UNIFORM;

pub(super) fn measure(world: &mut World) {
    let mut rows = Vec::new();
    for (name, flags) in [("one key", HOT), ("100,000 keys evenly", UNIFORM)] {
        let row = Row::new(name, ServedBy::LEASING, flags);
        let saturated = (0..3).map(|_| row.run(world, "2s").per_second);
        let half = median(saturated) / 2.0;
        rows.push(Row::new("null", ServedBy::NULL, HOT).at(half as u32));
        rows.push(row.at(half as u32));
    }
    println!(
        "| at half of saturation | requests/s | p50 µs | p99 µs | p99 above null's | CPU µs | script calls a request | errors |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    // A row of null stands before each other.
    let all = interleaved(world, &rows, "4s", |index| index - index % 2);
    for (row, runs) in rows.iter().zip(all) {
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.4} | {:.0} |",
            row.name,
            row.rate.unwrap_or_default(),
            runs.median(|it| it.p50),
            runs.median(|it| it.p99),
            runs.added(|it| it.p99),
            runs.median(|it| it.cpu_micros),
            runs.median(|it| it.scripts),
            runs.median(|it| it.errors),
        );
    }
    println!();
}
