//! A Redis of the test's own.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::support;
use crate::support::free_address;
use crate::support::process::Process;

/// A server that keeps nothing on disk and ends with the test.
#[derive(Debug)]
pub(crate) struct Redis {
    address: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Redis {
    /// Starts one and waits until it answers; `None`, after saying so, when there is no
    /// `redis-server` (a failure under `REQUIRE_REDIS=1`).
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        if support::program("redis-server").is_none() {
            support::skip("REQUIRE_REDIS", "no `redis-server` on the PATH");
            return None;
        }
        let folder = TempDir::new().unwrap();
        // Between looking for a free port and using it, somebody else may take it.
        let started = (0..10).find_map(|_| {
            let address = free_address();
            Some((address, ready(address, &folder)?))
        });
        let (address, process) = started.unwrap();
        Some(Self {
            address,
            process,
            folder,
        })
    }

    /// As `--store` takes it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// A connection for looking at what is stored.
    pub(crate) fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_connection().unwrap()
    }

    /// Makes it hang: connections stay open and nothing is answered.
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Ends it at once; connections are refused from now on.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again at its old address, with nothing in it.
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        self.process.kill();
        let process = ready(self.address, &self.folder);
        self.process = process.unwrap_or_else(|| panic!("{} was taken", self.address));
    }
}

/// A server that has said that it accepts connections, unless its port was taken.
fn ready(address: SocketAddr, folder: &TempDir) -> Option<Process> {
    let process = Process::start(
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1"])
            .args(["--port", &address.port().to_string()])
            .args(["--save", ""])
            .args(["--appendonly", "no"])
            .current_dir(folder),
    );
    process.line_with("Ready to accept connections")?;
    Some(process)
}

#[test]
fn it_forgets_everything_when_it_starts_again() {
    let Some(mut redis) = Redis::start() else {
        return;
    };
    let set = redis::cmd("SET").arg("key").arg("value").to_owned();
    set.exec(&mut redis.connection()).unwrap();
    redis.start_again();
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query(&mut redis.connection())
        .unwrap();
    assert_eq!(keys, Vec::<String>::new());
}
