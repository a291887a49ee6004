//! How much of a limit is used under saturation, of what an exact log would admit.

use std::collections::VecDeque;

use crate::served::ServedBy;
use crate::served::World;

pub(super) fn measure(world: &mut World) {
    println!("| four times the limit | admitted | by an exact log | of it |");
    println!("|---|---|---|---|");
    for (name, key, limit, n_replicas) in [
        ("100 a second, one replica", "hundred_alone", 100, 1),
        ("100 a second, three replicas", "hundred_together", 100, 3),
        ("1,000 a second, one replica", "thousand_alone", 1_000, 1),
        (
            "1,000 a second, three replicas",
            "thousand_together",
            1_000,
            3,
        ),
    ] {
        let rate = 4 * limit;
        let replica = |replica| ServedBy::Leasing {
            threads: 2,
            replica,
        };
        let replicas: Vec<ServedBy> = (0..n_replicas).map(replica).collect();
        let rate_flag = rate.to_string();
        let flags = ["--entry-key", key, "--rate", &rate_flag];
        let flags = [&flags[..], &["--duration", "20500ms"]].concat();
        let report = world.load(&replicas, &flags);
        let admitted = report["ok"].as_u64().expect("it is a number");
        let exact = exact(rate, limit, 20_500_000);
        let part = 100.0 * admitted as f64 / exact as f64;
        println!("| {name} | {admitted} | {exact} | {part:.1} % |");
    }
    println!();
}

/// How many of so many requests a second an exact log of one second admits in so many microseconds.
fn exact(rate: u64, limit: u64, duration: u64) -> u64 {
    let mut log = VecDeque::new();
    let mut admitted = 0;
    for at in (0..).map(|nth| nth * 1_000_000 / rate) {
        if at >= duration {
            break;
        }
        while log.front().is_some_and(|hit| hit + 1_000_000 <= at) {
            log.pop_front();
        }
        if (log.len() as u64) < limit {
            log.push_back(at);
            admitted += 1;
        }
    }
    admitted
}
