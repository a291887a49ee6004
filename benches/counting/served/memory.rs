//! What a key costs: in Redis, and in the process.

use std::fs;

use crate::child::Server;
use crate::served::ServedBy;
use crate::served::World;

/// Fills stores with keys and looks at what they take.
pub(super) fn measure(world: &mut World) {
    println!("| memory | bytes |");
    println!("|---|---|");
    let few_hits = ["--entry-key", "small", "--keys", "10000"];
    world.load(
        ServedBy::LEASING,
        &[&few_hits[..], &["--requests", "30000"]].concat(),
    );
    print_keys(world, "at 1 to 5 hits a window");
    world.redis.forget_all();
    let saturated = ["--entry-key", "ten_seconds", "--rate", "4000"];
    world.load(
        ServedBy::LEASING,
        &[&saturated[..], &["--duration", "12s"]].concat(),
    );
    print_keys(world, "after a saturated window");
    for (name, served_by) in [
        ("counting in Redis", ServedBy::LEASING),
        ("counting in memory", ServedBy::Memory),
    ] {
        // The first requests set up what is there whatever the keys.
        world.load(served_by, &["--entry-key", "vast", "--requests", "100000"]);
        let before = resident(world.server(served_by));
        let keys = ["--entry-key", "hundred", "--keys", "200000"];
        let flags = ["--requests", "2000000", "--duration", "10m"];
        world.load(served_by, &[keys, flags].concat());
        let grown = resident(world.server(served_by)).saturating_sub(before);
        let per_key = grown / KEYS;
        println!("| the process, {name}: resident memory a key, of {KEYS} | {per_key} |");
    }
    world.redis.forget_all();
    for millions in 1..=3 {
        let flood = ["--entry-key", "second", "--keys", "1000000000"];
        let flags = ["--requests", "1000000", "--duration", "10m"];
        world.load(ServedBy::LEASING, &[&flood[..], &flags].concat());
        let held = resident(world.server(ServedBy::LEASING));
        println!("| the process, counting in Redis, after {millions} million new keys | {held} |");
    }
    println!();
}

fn print_keys(world: &World, when: &str) {
    let keys = world.redis.keys();
    println!(
        "| a key in Redis besides its name, {when} | {:.0} (at most {}; {} of {} without TTL) |",
        keys.mean_bytes, keys.most_bytes, keys.n_without_end, keys.n
    );
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
