//! A server as a child process, for as long as it is benchmarked.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// A Redis that keeps nothing on disk; none where there is no `redis-server`.
    pub(crate) fn redis() -> Option<Self> {
        let port = free_port();
        Self::start(
            Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no"]),
            "Ready to accept connections",
            port,
        )
    }

    /// The service with these rules, this store and further flags.
    pub(crate) fn slidegate(store: &str, rules: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let server = Self::start(
            Command::new(env!("CARGO_BIN_EXE_slidegate"))
                .args(["serve", "--store", store, "--rules"])
                .arg(rules)
                .args(["--grpc-addr", &format!("127.0.0.1:{port}")])
                .args(["--http-addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0"])
                .args(["--metrics-addr", "127.0.0.1:0"])
                .args(flags),
            "listening",
            port,
        );
        server.expect("the binary is built")
    }

    /// A server of `null.rs`: this program again, under one of the names that it knows.
    pub(crate) fn null(name: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let this = std::env::current_exe().expect("it runs");
        let server = Self::start(
            Command::new(this)
                .args([name, &format!("127.0.0.1:{port}")])
                .args(arguments),
            "listening",
            port,
        );
        server.expect("it can be run again")
    }

    /// Starts a program and waits until it writes a line with `ready`, to either stream; none when
    /// it cannot be started.
    fn start(command: &mut Command, ready: &str, port: u16) -> Option<Self> {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().ok()?;
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let server = Self {
            child,
            address: format!("127.0.0.1:{port}"),
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        follow(stdout, sender.clone());
        follow(stderr, sender);
        let mut lines = receiver.iter();
        assert!(
            lines.any(|line| line.contains(ready)),
            "{command:?} ended before it was ready"
        );
        Some(server)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    address.port()
}

/// Sends each line on, and goes on reading when nobody listens, so that the program can write.
fn follow(stream: impl Read + Send + 'static, lines: std::sync::mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            drop(lines.send(line));
        }
    });
}
