//! A Redis of the test's own.

pub(crate) mod cluster;
pub(crate) mod permissions;
pub(crate) mod sentinel;

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::support;
use crate::support::certificates::Secret;
use crate::support::free_address;
use crate::support::process::Process;

/// A server that keeps nothing on disk and ends with the test.
#[derive(Debug)]
pub(crate) struct Redis {
    address: SocketAddr,
    process: Process,
    folder: TempDir,
    arguments: Vec<String>,
    tls_port: u16,
}

impl Redis {
    /// Starts one and waits until it answers; `None`, after saying so, when there is no
    /// `redis-server` (a failure under `REQUIRE_REDIS=1`).
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// As [`Redis::start`], with further arguments.
    #[track_caller]
    pub(crate) fn start_with(arguments: &[&str]) -> Option<Self> {
        Self::start_in(TempDir::new().unwrap(), arguments, free_address)
    }

    /// As [`Redis::start`], at an address that nobody else takes.
    #[track_caller]
    pub(crate) fn start_at(address: SocketAddr) -> Option<Self> {
        Self::start_in(TempDir::new().unwrap(), &[], || address)
    }

    #[track_caller]
    fn start_in(
        folder: TempDir,
        arguments: &[&str],
        address: impl Fn() -> SocketAddr,
    ) -> Option<Self> {
        if support::program("redis-server").is_none() {
            support::skip("REQUIRE_REDIS", "no `redis-server` on the PATH");
            return None;
        }
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        // Between looking for a free port and using it, somebody else may take it.
        let started = (0..10).find_map(|_| {
            let address = address();
            Some((address, ready(address, &folder, &arguments)?))
        });
        let (address, process) = started.unwrap();
        Some(Self {
            address,
            process,
            folder,
            arguments,
            tls_port: 0,
        })
    }

    /// One that speaks TLS as well and asks for certificates.
    #[track_caller]
    pub(crate) fn start_tls(secret: &Secret) -> Option<Self> {
        let port = free_address().port();
        let (ca, cert, key) = (
            secret.path("ca.crt"),
            secret.path("tls.crt"),
            secret.path("tls.key"),
        );
        let text = port.to_string();
        let files = ["--tls-cert-file", &cert, "--tls-key-file", &key];
        let port_and_ca = ["--tls-port", &text, "--tls-ca-cert-file", &ca];
        let mut redis = Self::start_with(&[files, port_and_ca].concat())?;
        redis.tls_port = port;
        Some(redis)
    }

    /// Where it speaks TLS, if it does.
    pub(crate) fn tls_port(&self) -> u16 {
        self.tls_port
    }

    /// What it is started with next time in place of an argument.
    pub(crate) fn set_argument(&mut self, from: &str, to: &str) {
        for argument in &mut self.arguments {
            if argument == from {
                to.clone_into(argument);
            }
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends it a command, its words parted by spaces.
    #[track_caller]
    pub(crate) fn command<T: redis::FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut self.connection()).unwrap()
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
        let process = ready(self.address, &self.folder, &self.arguments);
        self.process = process.unwrap_or_else(|| panic!("{} was taken", self.address));
    }
}

/// A server that has said that it accepts connections, unless its port was taken.
fn ready(address: SocketAddr, folder: &TempDir, arguments: &[String]) -> Option<Process> {
    let process = Process::start(
        Command::new("redis-server")
            .args(["--bind", &address.ip().to_string()])
            .args(["--port", &address.port().to_string()])
            .args(["--save", ""])
            .args(["--appendonly", "no"])
            .args(arguments)
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
