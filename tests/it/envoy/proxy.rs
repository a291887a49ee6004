//! The real Envoy as a process.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support;
use crate::support::eventually;
use crate::support::http::Call;
use crate::support::process::Process;

/// A running Envoy; killed with the test.
#[derive(Debug)]
pub(crate) struct Envoy {
    admin: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

impl Envoy {
    /// Starts Envoy and waits until it serves; `None`, after saying so, when there is no Envoy
    /// (a failure under `REQUIRE_ENVOY=1`).
    #[track_caller]
    pub(crate) fn start(bootstrap: &Value) -> Option<Self> {
        let Some(program) = support::tool("envoy") else {
            support::skip("REQUIRE_ENVOY", "no Envoy (tests/run.sh installs it)");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("envoy.json");
        let admin_file = folder.path().join("admin");
        fs::write(&config, bootstrap.to_string()).unwrap();
        let mut process = Process::start(
            Command::new(program)
                .arg("--config-path")
                .arg(&config)
                .arg("--admin-address-path")
                .arg(&admin_file)
                .args(["--concurrency", "1", "--log-level", "warning"])
                // Without it, several on one machine would meet in shared memory.
                .arg("--disable-hot-restart"),
        );
        let admin = eventually("Envoy serves", || {
            let is_running = process.is_running();
            assert!(is_running, "Envoy ended:\n{}", process.lines().join("\n"));
            let admin = fs::read_to_string(&admin_file).ok()?.trim().parse().ok()?;
            let ready = Call::get("/ready").try_send(admin).ok()?;
            (ready.status == 200).then_some(admin)
        });
        Some(Self {
            admin,
            _process: process,
            _folder: folder,
        })
    }

    /// Where the listener of this name listens.
    #[track_caller]
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let page = self.admin_json("/listeners?format=json");
        let listeners = page["listener_statuses"].as_array().unwrap();
        let found = listeners.iter().find(|it| it["name"] == listener).unwrap();
        let address = &found["local_address"]["socket_address"];
        let port = address["port_value"].as_u64().unwrap();
        let ip = address["address"].as_str().unwrap();
        SocketAddr::new(ip.parse().unwrap(), u16::try_from(port).unwrap())
    }

    /// How many requests each endpoint of a cluster was sent.
    #[track_caller]
    pub(crate) fn requests_by_endpoint(&self, cluster: &str) -> Vec<u64> {
        let page = self.admin_json("/clusters?format=json");
        let clusters = page["cluster_statuses"].as_array().unwrap();
        let found = clusters.iter().find(|it| it["name"] == cluster).unwrap();
        let hosts = found["host_statuses"].as_array().unwrap();
        let requests = |host: &Value| {
            let stats = host["stats"].as_array().unwrap();
            let total = stats.iter().find(|it| it["name"] == "rq_total").unwrap();
            // Zero values are left out.
            total["value"].as_str().map_or(0, |it| it.parse().unwrap())
        };
        hosts.iter().map(requests).collect()
    }

    /// A counter of Envoy's own.
    #[track_caller]
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let page = self.admin_json(&format!("/stats?format=json&filter=^{name}$"));
        page["stats"][0]["value"].as_u64().unwrap()
    }

    fn admin_json(&self, path: &str) -> Value {
        let answer = Call::get(path).send(self.admin);
        serde_json::from_str(&answer.body).unwrap()
    }
}
