//! The service as its clients see it, against `null` in the same run: throughput, CPU time, latency,
//! what it asks Redis, and memory. `slidegate load` is the client, Redis stands beside.

mod commands;
mod latency;
mod memory;
mod quota;
mod rows;
mod store;
mod threads;
mod throughput;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::child::Server;
use crate::served::store::Redis;

/// Measures the parts of these names, or all, and writes tables in Markdown.
pub(crate) fn measure(names: &[&str]) {
    let Some(mut world) = World::start() else {
        println!("no `redis-server` on the PATH");
        return;
    };
    for (name, part) in PARTS {
        if names.is_empty() || names.contains(&name) {
            part(&mut world);
        }
    }
}

type Part = fn(&mut World);

/// In the order in which they are measured; none takes three minutes.
const PARTS: [(&str, Part); 6] = [
    ("throughput", throughput::measure),
    ("threads", threads::measure),
    ("latency", latency::measure),
    ("commands", commands::measure),
    ("quota", quota::measure),
    ("memory", memory::measure),
];

/// What is measured, side by side, and Redis. A server starts when it is first asked.
struct World {
    redis: Redis,
    rules: NamedTempFile,
    servers: BTreeMap<ServedBy, Server>,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum ServedBy {
    /// `null.rs`, on so many threads.
    Null { threads: u8 },
    /// The same on tokio's work-stealing runtime.
    Stealing,
    /// The service, counting in itself.
    Memory,
    /// The service on Redis: a replica, on so many threads.
    Leasing { threads: u8, replica: u8 },
    /// The same without leases.
    Asking,
}

impl ServedBy {
    const NULL: Self = Self::Null { threads: 2 };
    const LEASING: Self = Self::Leasing {
        threads: 2,
        replica: 0,
    };
}

impl World {
    fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let rules = NamedTempFile::with_suffix(".yaml").expect("there is room");
        std::fs::write(rules.path(), RULES).expect("there is room");
        Some(Self {
            redis,
            rules,
            servers: BTreeMap::new(),
        })
    }

    fn server(&mut self, served_by: ServedBy) -> &Server {
        let (redis, rules) = (self.redis.url(), self.rules.path());
        self.servers
            .entry(served_by)
            .or_insert_with(|| match served_by {
                ServedBy::Null { threads } => Server::null("null", &[&threads.to_string()]),
                ServedBy::Stealing => Server::null("stealing", &[]),
                ServedBy::Memory => Server::slidegate("memory", rules, &[]),
                ServedBy::Leasing { threads, .. } => {
                    let threads = threads.to_string();
                    Server::slidegate(&redis, rules, &["--leases", "on", "--threads", &threads])
                }
                ServedBy::Asking => Server::slidegate(&redis, rules, &["--leases", "off"]),
            })
    }

    /// What `slidegate load` reports of a server; the CPU time is that of the server, and of Redis
    /// at last.
    fn load(&mut self, served_by: ServedBy, flags: &[&str]) -> Value {
        report(self.command(served_by, flags))
    }

    /// The same of several at once, each with a client of its own.
    fn loads(&mut self, served_by: &[ServedBy], flags: &[&str]) -> Vec<Value> {
        let command = |served_by: &ServedBy| self.command(*served_by, flags);
        let commands: Vec<Command> = served_by.iter().map(command).collect();
        std::thread::scope(|scope| {
            let report = |command| scope.spawn(|| report(command));
            let reports: Vec<_> = commands.into_iter().map(report).collect();
            let report = |it: std::thread::ScopedJoinHandle<'_, Value>| it.join();
            let reports = reports.into_iter().map(report);
            reports.map(|it| it.expect("it reports")).collect()
        })
    }

    fn command(&mut self, served_by: ServedBy, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slidegate"));
        command.args(["load", "--json", "--domain", "bench"]);
        let server = self.server(served_by);
        command.args(["--target", server.address()]);
        command.args(["--pid", &server.pid().to_string()]);
        command.args(["--pid", &self.redis.pid().to_string()]);
        command.args(flags);
        command
    }
}

fn report(mut command: Command) -> Value {
    let output = command.output();
    let output = output.expect("the binary is built");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// Those of every service that is measured.
pub(crate) const RULES: &str = "
domain: bench
descriptors:
  - key: vast
    rate_limit: {unit: hour, requests_per_unit: 4294967295}
  - key: tiny
    rate_limit: {unit: hour, requests_per_unit: 1}
  - key: hundred
    rate_limit: {unit: hour, requests_per_unit: 100}
  - key: minute
    rate_limit: {unit: minute, requests_per_unit: 120000}
  - key: second
    rate_limit: {unit: second, requests_per_unit: 20000}
  - key: ten_seconds
    rate_limit: {unit: second, unit_multiplier: 10, requests_per_unit: 10000}
  - key: small
    rate_limit: {unit: minute, requests_per_unit: 5}
  - key: hundred_alone
    rate_limit: {unit: second, requests_per_unit: 100}
  - key: hundred_together
    rate_limit: {unit: second, requests_per_unit: 100}
  - key: thousand_alone
    rate_limit: {unit: second, requests_per_unit: 1000}
  - key: thousand_together
    rate_limit: {unit: second, requests_per_unit: 1000}
";
