//! Waits that end to the microsecond; tokio's own end to the millisecond.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// # Errors
    ///
    /// The system has no more of them.
    #[expect(
        deprecated,
        reason = "unsound for types that give their descriptor away; `OwnedFd` keeps it"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(AsyncFd::new(timer)?))
    }

    /// Waits for so many microseconds.
    pub(super) async fn wait(&self, micros: u64) -> io::Result<()> {
        let once = Itimerspec {
            it_interval: timespec(0),
            // Zero would switch it off.
            it_value: timespec(micros.max(1)),
        };
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expired = [0; 8];
            let read =
                |timer: &AsyncFd<OwnedFd>| Ok(rustix::io::read(timer.get_ref(), &mut expired)?);
            if let Ok(read) = ready.try_io(read) {
                return read.map(|_| ());
            }
        }
    }
}

fn timespec(micros: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(micros % 1_000_000 * 1_000).unwrap_or_default(),
    }
}
