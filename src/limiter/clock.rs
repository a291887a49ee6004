//! The time of requests.

use std::time::SystemTime;

use rustix::time::ClockId;

use crate::algorithm::Timestamp;
use crate::store::Now;

/// Says what time it is.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The moment, on both clocks of this process.
    fn now(&self) -> Now;

    /// The same on the clock that is never set, which alone costs half as much.
    fn steady(&self) -> Timestamp {
        self.now().steady
    }
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: u64,
    started_at: Timestamp,
}

impl SystemClock {
    /// A steady clock that begins at today's date and is never set after that. It goes on while the
    /// machine sleeps, so that no lease outlives its end.
    pub fn start() -> Self {
        Self {
            started: since_boot(),
            started_at: wall(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            steady: self.steady(),
            wall: wall(),
        }
    }

    fn steady(&self) -> Timestamp {
        self.started_at.plus(since_boot() - self.started)
    }
}

/// In microseconds.
fn since_boot() -> u64 {
    let time = rustix::time::clock_gettime(ClockId::Boottime);
    let (seconds, nanos) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1_000_000 + nanos / 1_000
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Timestamp(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::io;
    use std::io::Write;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// In a namespace in which the machine has slept for a day since it was started, as `/proc/uptime`
    /// says there. This runs a second time inside.
    #[test]
    fn the_steady_clock_counts_what_the_machine_slept() {
        const INSIDE: &str = "CLOCK_TEST_INSIDE";
        const NAME: &str = "limiter::clock::tests::the_steady_clock_counts_what_the_machine_slept";
        if env::var_os(INSIDE).is_some() {
            let uptime = fs::read_to_string("/proc/uptime").unwrap();
            let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
            let begin = since_boot() as f64 / 1e6;
            assert!((begin - uptime).abs() < 600.0, "{begin} and {uptime}");
            return;
        }
        let asleep = || {
            let mut command = Command::new("unshare");
            command.args(["--user", "--time", "--boottime", "86400"]);
            command
        };
        let probe = asleep().arg("true").output();
        if !probe.as_ref().is_ok_and(|it| it.status.success()) {
            let is_known = Path::new("/proc/self/ns/time").exists();
            let is_required = is_known && env::var_os("REQUIRE_NAMESPACES").is_some();
            assert!(!is_required, "no namespace for time: {probe:?}");
            // Not `eprintln!`: that would be captured, as the test passes.
            let line = b"SKIPPED: no namespaces for time here\n";
            io::stderr().write_all(line).unwrap();
            return;
        }
        let mut inside = asleep();
        inside.arg(env::current_exe().unwrap());
        inside.args(["--exact", NAME]).env(INSIDE, "1");
        let output = inside.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let passed = output.status.success() && said.contains("1 passed");
        assert!(passed, "{said}");
    }
}
