//! What threads are for: one and two of them, and a runtime for each against one that moves
//! requests between them.

use crate::served::ServedBy;
use crate::served::World;
use crate::served::rows::Row;
use crate::served::rows::interleaved;
use crate::served::throughput::HOT;
use crate::served::throughput::REFUSED;

pub(super) fn measure(world: &mut World) {
    println!(
        "| 200 at once, 4 connections | decisions/s | of the row of null before it | CPU µs | of null |"
    );
    println!("|---|---|---|---|---|");
    let of_null = |index| [0, 0, 0, 3, 3, 3, 3][index];
    let all = interleaved(world, ROWS, "3s", of_null);
    for (row, runs) in ROWS.iter().zip(all) {
        println!(
            "| {} | {:.0} | {:.2} | {:.1} | {:.2} |",
            row.name,
            runs.median(|it| it.per_second),
            runs.ratio(|it| it.per_second),
            runs.median(|it| it.cpu_micros),
            runs.ratio(|it| it.cpu_micros),
        );
    }
    println!();
}

const ROWS: &[Row] = &[
    Row::new("null, 1 thread", ServedBy::Null { threads: 1 }, HOT),
    Row::new("one key admitted, 1 thread", ONE_THREAD, HOT),
    Row::new("one key refused, 1 thread", ONE_THREAD, REFUSED),
    Row::new("null, 2 threads", ServedBy::NULL, HOT),
    Row::new("one key admitted, 2 threads", ServedBy::LEASING, HOT),
    Row::new("one key refused, 2 threads", ServedBy::LEASING, REFUSED),
    Row::new(
        "null, 2 threads of one work-stealing runtime",
        ServedBy::Stealing,
        HOT,
    ),
];

const ONE_THREAD: ServedBy = ServedBy::Leasing {
    threads: 1,
    replica: 0,
};
