//! Something odd that a server does with what was counted: each time is counted, and the log tells how
//! often once a minute at most.

use metrics::Counter;
use parking_lot::Mutex;

use crate::store::complaint::Complaints;

/// How often it happened, and how often the log has not told yet.
pub(super) struct Oddity {
    counter: Counter,
    untold: Mutex<u64>,
    complaints: Complaints,
}

impl Oddity {
    pub(super) fn new(counter: Counter) -> Self {
        Self {
            counter,
            untold: Mutex::default(),
            complaints: Complaints::default(),
        }
    }

    /// Takes note that it happened `n` times more; how often it is to be told that it did, if it is
    /// time for that.
    pub(super) fn note(&self, n: u64) -> Option<u64> {
        self.counter.increment(n);
        let mut untold = self.untold.lock();
        *untold += n;
        let is_told = *untold > 0 && self.complaints.allow("");
        is_told.then(|| std::mem::take(&mut *untold))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_time_is_counted_and_told_once_a_minute() {
        let count = Arc::new(AtomicU64::new(0));
        let oddity = Oddity::new(Counter::from_arc(Arc::clone(&count)));
        assert_eq!(oddity.note(0), None);
        assert_eq!(oddity.note(2), Some(2));
        assert_eq!([oddity.note(3), oddity.note(1)], [None, None]);
        assert_eq!(count.load(Ordering::Relaxed), 6);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(oddity.note(0), Some(4), "what was not told yet");
    }
}
