//! What goes wrong again and again is said at once when it is new, else once a minute, and never in more
//! than a few lines a minute.

use parking_lot::Mutex;
use tokio::time::Duration;
use tokio::time::Instant;

/// What was said in the last minute, and when; nothing where it is new each time.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<Vec<(Option<String>, Instant)>>);

impl Complaints {
    /// Whether this may be said now: unless it was a short while ago, or much else. It is then taken for
    /// said.
    pub fn allow(&self, what: &str) -> bool {
        self.note(Some(what))
    }

    /// The same for what is new each time.
    pub fn allow_anew(&self) -> bool {
        self.note(None)
    }

    /// Forgets all of it if it has gone well for long enough: what comes and goes all the time is said
    /// once a minute as well.
    pub fn goes_well_since(&self, begin: Instant) {
        if begin.elapsed() >= SETTLED {
            self.0.lock().clear();
        }
    }

    fn note(&self, what: Option<&str>) -> bool {
        let mut said = self.0.lock();
        said.retain(|(_, at)| at.elapsed() < AGAIN);
        let is_known = |what: &str| said.iter().any(|(known, _)| known.as_deref() == Some(what));
        if said.len() == MOST || what.is_some_and(is_known) {
            return false;
        }
        said.push((what.map(str::to_owned), Instant::now()));
        true
    }
}

const AGAIN: Duration = Duration::from_secs(60);
/// How much is said in a minute.
const MOST: usize = 5;
const SETTLED: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_minute_and_something_else_at_once() {
        let complaints = Complaints::default();
        assert!(complaints.allow("a"));
        assert!(!complaints.allow("a"));
        assert!(complaints.allow("b"));
        assert!(!complaints.allow("a"), "they take turns");
        tokio::time::advance(AGAIN).await;
        assert!(complaints.allow("b"));

        let begin = Instant::now();
        complaints.goes_well_since(begin);
        assert!(!complaints.allow("b"));
        tokio::time::advance(SETTLED).await;
        complaints.goes_well_since(begin);
        assert!(complaints.allow("b"));
        let others = ["c", "d", "e", "f", "g", "h"];
        let n_said = others.iter().filter(|it| complaints.allow(it)).count();
        assert_eq!(n_said, MOST - 1, "not more, however much is new");
    }

    #[tokio::test(start_paused = true)]
    async fn of_what_is_new_each_time_a_few_lines_a_minute_are_said() {
        let complaints = Complaints::default();
        let n_said = || (0..100).filter(|_| complaints.allow_anew()).count();
        assert_eq!(n_said(), MOST);
        tokio::time::advance(AGAIN - Duration::from_millis(1)).await;
        assert_eq!(n_said(), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(n_said(), MOST);
    }
}
