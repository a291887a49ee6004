//! How much of a limit is used under saturation, of what an exact log would admit, and how evenly by
//! replicas that are asked alike.

use std::collections::VecDeque;

use serde_json::Value;

use crate::served::ServedBy;
use crate::served::World;

pub(super) fn measure(world: &mut World) {
    println!(
        "| six times the limit | admitted | by an exact log | of it | by the one with the least, of its part |"
    );
    println!("|---|---|---|---|---|");
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
        let replica = |replica| ServedBy::Leasing {
            threads: 2,
            replica,
        };
        let replicas: Vec<ServedBy> = (0..n_replicas).map(replica).collect();
        let rate = (6 * limit / u64::from(n_replicas)).to_string();
        let flags = ["--entry-key", key, "--rate", &rate];
        let flags = [&flags[..], &["--duration", "20500ms"]].concat();
        let reports = world.loads(&replicas, &flags);
        let ok = |report: &Value| report["ok"].as_u64().expect("it is a number");
        let admitted: u64 = reports.iter().map(ok).sum();
        let least = reports.iter().map(ok).min().unwrap_or(0) * u64::from(n_replicas);
        let exact = exact(6 * limit, limit, 20_500_000);
        let percent = |part: u64, of: u64| 100.0 * part as f64 / of as f64;
        println!(
            "| {name} | {admitted} | {exact} | {:.1} % | {:.0} % |",
            percent(admitted, exact),
            percent(least, admitted),
        );
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
