//! The server behind Envoy: answers 200, and says what a request used when it is told to. It judges keys
//! as well: a key of two words names its consumer and the consumer's plan.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;

/// A request's header whose value comes back as the header [`USED`].
pub(crate) const USES: &str = "x-uses-tokens";
/// A response's header: how many tokens the request used.
pub(crate) const USED: &str = "x-used-tokens";

/// A request's header: a consumer and a plan.
pub(crate) const KEY: &str = "x-api-key";

/// Starts the server; it ends with the test process.
pub(crate) fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // Envoy may close a connection at any time.
            thread::spawn(move || stream.and_then(answer).ok());
        }
    });
    address
}

/// Answers one request without a body.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let (mut used, mut caller) = (String::new(), String::new());
    for line in BufReader::new(&stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(tokens) = line.strip_prefix(USES) {
            used = format!("{USED}{tokens}\r\n");
        }
        if let Some((consumer, plan)) = line
            .strip_prefix("x-api-key: ")
            .and_then(|it| it.split_once(' '))
        {
            caller = format!("x-imprun-consumer: {consumer}\r\nx-imprun-plan: {plan}\r\n");
        }
    }
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 3\r\n";
    stream.write_all(format!("{head}{used}{caller}\r\nhi\n").as_bytes())
}
