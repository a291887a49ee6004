//! What a key costs: in Redis, and in the process.

use std::fs;

use crate::child::Server;
use crate::served::World;
use crate::served::rows::Row;
use crate::served::rows::ServedBy;

/// Fills stores with keys and looks at what they take.
pub(crate) fn measure(world: &World) {
    println!("| memory | bytes |");
    println!("|---|---|");
    world.redis.forget_all();
    world.load(&FEW_HITS, &["--requests", "30000"]);
    let (mean, most) = world.redis.bytes_per_key();
    println!(
        "| a key in Redis besides its name, at 1 to 5 hits a window | {mean:.0} (at most {most}) |"
    );
    world.redis.forget_all();
    world.load(&MANY_HITS, &["--duration", "12s", "--rate", "4000"]);
    let (mean, most) = world.redis.bytes_per_key();
    println!(
        "| a key in Redis besides its name, after a saturated window | {mean:.0} (at most {most}) |"
    );
    for (row, server) in [(&ON_REDIS, &world.on_redis), (&ON_MEMORY, &world.on_memory)] {
        let before = resident(server);
        world.load(row, &["--requests", "2000000", "--duration", "10m"]);
        let grown = resident(server).saturating_sub(before);
        println!(
            "| {}, {KEYS} keys: resident memory a key | {} |",
            row.name,
            grown / KEYS
        );
    }
    println!();
}

/// The resident memory of a process in bytes.
fn resident(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()));
    let status = status.expect("the server runs");
    let kilobytes = |line: &str| {
        line.strip_prefix("VmRSS:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    let kilobytes: Option<u64> = status.lines().find_map(kilobytes);
    kilobytes.expect("Linux says so") * 1_024
}

const KEYS: u64 = 200_000;

const FEW_HITS: Row = Row {
    name: "few hits",
    served_by: ServedBy::Redis,
    flags: &["--entry-key", "small", "--keys", "10000"],
};
const MANY_HITS: Row = Row {
    name: "many hits",
    served_by: ServedBy::Redis,
    flags: &["--entry-key", "ten_seconds"],
};
const ON_REDIS: Row = Row {
    name: "the process, counting in Redis",
    served_by: ServedBy::Redis,
    flags: &["--entry-key", "hundred", "--keys", "200000"],
};
const ON_MEMORY: Row = Row {
    name: "the process, counting in memory",
    served_by: ServedBy::Memory,
    flags: &["--entry-key", "hundred", "--keys", "200000"],
};
