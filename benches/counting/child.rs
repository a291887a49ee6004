//! A server as a child process, for as long as it is benchmarked.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    /// Starts a program and waits until it writes a line with `ready`, to either stream; `None`
    /// when it cannot be started.
    pub(crate) fn start(command: &mut Command, ready: &str) -> Option<Self> {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().ok()?;
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let (sender, receiver) = std::sync::mpsc::channel();
        follow(stdout, sender.clone());
        follow(stderr, sender);
        let mut lines = receiver.iter();
        assert!(
            lines.any(|line| line.contains(ready)),
            "{command:?} ended before it was ready"
        );
        Some(Self(child))
    }

    /// A Redis that keeps nothing on disk, and its port.
    pub(crate) fn redis() -> Option<(Self, u16)> {
        let port = free_port();
        let server = Self::start(
            Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
                .args(["--save", "", "--appendonly", "no"]),
            "Ready to accept connections",
        )?;
        Some((server, port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn free_port() -> u16 {
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
