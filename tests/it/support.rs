//! What the tests stand on: a Redis, the service itself, and clients for its ports.

pub(crate) mod ads;
pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod crd;
pub(crate) mod http;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod redis;
pub(crate) mod rls;
pub(crate) mod sample;
pub(crate) mod service;

use std::env;
use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// How long a test waits for something that should happen at once; generous, for busy machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a test did not run, or fails it where the environment variable `required` is `1`.
#[track_caller]
pub(crate) fn skip(required: &str, missing: &str) {
    let is_required = env::var_os(required).is_some_and(|value| value == "1");
    assert!(!is_required, "{missing}, but {required}=1 asks for it");
    // Not `eprintln!`: that would be captured, as the test passes.
    let line = format!("SKIPPED: {missing}; {required}=1 makes this a failure\n");
    io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A program of this name on the `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A program that `tests/run.sh` unpacks below the target directory, else one on the `PATH`.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools/bin");
    let unpacked = unpacked.join(name);
    if unpacked.is_file() {
        return Some(unpacked);
    }
    program(name)
}

/// A path below the project's root.
pub(crate) fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A local address on which nothing listened a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Asks again and again, until there is an answer; fails when [`PATIENCE`] ends.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The moment, for tests that compare how long things took in other processes.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes have their own clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since the Unix epoch, as fixed windows are aligned to.
#[expect(
    clippy::disallowed_methods,
    reason = "windows in another process end by the clock on the wall"
)]
pub(crate) fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}
