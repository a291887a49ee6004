//! Keeps what happens again and again from flooding the log.

use parking_lot::Mutex;

use crate::algorithm::Timestamp;

/// Lets a few lines a minute pass.
#[derive(Debug, Default)]
pub(super) struct Restraint(Mutex<Vec<Timestamp>>);

impl Restraint {
    /// Whether one may be written now.
    pub(super) fn allows(&self, now: Timestamp) -> bool {
        let mut written = self.0.lock();
        written.retain(|at| now.since(*at) < MINUTE);
        let is_allowed = written.len() < MOST;
        if is_allowed {
            written.push(now);
        }
        is_allowed
    }
}

/// In microseconds.
const MINUTE: u64 = 60_000_000;
/// How many a minute.
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_minute_pass() {
        let restraint = Restraint::default();
        let allowed = |micros| restraint.allows(Timestamp(micros));
        assert_eq!((0..100).filter(|n| allowed(*n)).count(), MOST);
        assert!(!allowed(MINUTE - 1));
        let later = (0..100).filter(|n| allowed(MINUTE + 50 + *n)).count();
        assert_eq!(later, MOST);
    }
}
