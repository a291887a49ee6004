//! Says what goes wrong again and again: at once when it is new, else once a minute, and never more
//! than a few lines a minute.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

use crate::store;

/// What was said in the last minute, and when.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<(String, Instant)>);

impl Complaints {
    /// Says an error with its causes, unless that was said a short while ago, or much else; whether it
    /// did.
    pub(super) fn say(&mut self, error: &dyn Error, say: impl FnOnce(&str)) -> bool {
        let reason = store::in_full(error);
        self.0.retain(|(_, at)| at.elapsed() < AGAIN);
        if self.0.len() == MOST || self.0.iter().any(|(known, _)| *known == reason) {
            return false;
        }
        say(&reason);
        self.0.push((reason, Instant::now()));
        true
    }

    /// Forgets all of it if it has gone well for long enough: what comes and goes all the time is said
    /// once a minute as well.
    pub(super) fn goes_well_since(&mut self, begin: Instant) {
        if begin.elapsed() >= SETTLED {
            self.0.clear();
        }
    }
}

const AGAIN: Duration = Duration::from_secs(60);
/// How much is said in a minute.
const MOST: usize = 5;
const SETTLED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_minute_and_something_else_at_once() {
        let mut complaints = Complaints::default();
        let says = |complaints: &mut Complaints, text: &'static str| {
            let mut said = false;
            let is_said = complaints.say(&io::Error::other(text), |_| said = true);
            assert_eq!(said, is_said);
            said
        };
        assert!(says(&mut complaints, "a"));
        assert!(!says(&mut complaints, "a"));
        assert!(says(&mut complaints, "b"));
        assert!(!says(&mut complaints, "a"), "they take turns");
        tokio::time::advance(AGAIN).await;
        assert!(says(&mut complaints, "b"));

        let begin = Instant::now();
        complaints.goes_well_since(begin);
        assert!(!says(&mut complaints, "b"));
        tokio::time::advance(SETTLED).await;
        complaints.goes_well_since(begin);
        assert!(says(&mut complaints, "b"));
        let others = ["c", "d", "e", "f", "g", "h"];
        let n_said = others.iter().filter(|it| says(&mut complaints, it)).count();
        assert_eq!(n_said, MOST - 1, "not more, however much is new");
    }
}
