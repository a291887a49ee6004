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
