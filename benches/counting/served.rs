//! The service as its clients see it, against `null` in the same run: throughput, CPU time, latency,
//! what it asks Redis, and memory. `slidegate load` is the client, Redis stands beside.

mod memory;
mod rows;
mod store;

use std::process::Command;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::child::Server;
use crate::served::rows::Row;
use crate::served::store::Redis;

/// Measures everything and writes tables in Markdown.
pub(crate) fn measure() {
    let Some(world) = World::start() else {
        println!("no `redis-server` on the PATH");
        return;
    };
    rows::saturated(&world);
    rows::at_a_rate(&world);
    memory::measure(&world);
}

/// Everything that is measured, side by side; what is not asked costs nothing.
struct World {
    null: Server,
    on_memory: Server,
    on_redis: Server,
    redis: Redis,
    _rules: NamedTempFile,
}

impl World {
    fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let rules = NamedTempFile::with_suffix(".yaml").expect("there is room");
        std::fs::write(rules.path(), RULES).expect("there is room");
        Some(Self {
            null: Server::null(),
            on_memory: Server::slidegate("memory", rules.path()),
            on_redis: Server::slidegate(&redis.url(), rules.path()),
            redis,
            _rules: rules,
        })
    }

    fn server(&self, row: &Row) -> &Server {
        match row.served_by {
            rows::ServedBy::Null => &self.null,
            rows::ServedBy::Memory => &self.on_memory,
            rows::ServedBy::Redis => &self.on_redis,
        }
    }

    /// What `slidegate load` reports; the CPU time is that of the service and of Redis.
    fn load(&self, row: &Row, flags: &[&str]) -> Value {
        let server = self.server(row);
        let mut command = Command::new(env!("CARGO_BIN_EXE_slidegate"));
        command.args(["load", "--json", "--domain", "bench", "--target"]);
        command.arg(server.address());
        command.args(["--pid", &server.pid().to_string()]);
        command.args(["--pid", &self.redis.pid().to_string()]);
        let output = command.args(row.flags).args(flags).output();
        let output = output.expect("the binary is built");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        serde_json::from_slice(&output.stdout).expect("it prints JSON")
    }
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
";
