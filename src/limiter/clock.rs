//! The time of requests.

use std::time::Instant;
use std::time::SystemTime;

use crate::algorithm::Timestamp;
use crate::store::Now;

/// Says what time it is.
pub trait Clock: std::fmt::Debug + Send + Sync + 'static {
    /// The moment, on both clocks of this process.
    fn now(&self) -> Now;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    started_at: Timestamp,
}

impl SystemClock {
    /// A steady clock that begins at today's date and is never set after that.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            started_at: wall(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let elapsed = self.started.elapsed().as_micros();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        Now {
            steady: self.started_at.plus(elapsed),
            wall: wall(),
        }
    }
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
