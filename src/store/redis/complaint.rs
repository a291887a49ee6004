//! Says what goes wrong again and again: at once when it is new, else once a minute.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;

use crate::store;

/// What was said last, and when.
#[derive(Debug, Default)]
pub(super) struct Complaints(Option<(String, Instant)>);

impl Complaints {
    /// Says an error with its causes, unless that was said a short while ago.
    pub(super) fn say(&mut self, error: &dyn Error, say: impl FnOnce(&str)) {
        let reason = store::in_full(error);
        let is_known = |(known, at): &(String, Instant)| *known == reason && at.elapsed() < AGAIN;
        if self.0.as_ref().is_some_and(is_known) {
            return;
        }
        say(&reason);
        self.0 = Some((reason, Instant::now()));
    }

    /// Forgets it, because it goes well.
    pub(super) fn clear(&mut self) {
        self.0 = None;
    }
}

const AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_a_minute_and_something_else_at_once() {
        let mut complaints = Complaints::default();
        let mut said = Vec::new();
        let mut say = |complaints: &mut Complaints, text: &'static str| {
            complaints.say(&io::Error::other(text), |it| said.push(it.to_owned()));
        };
        say(&mut complaints, "a");
        say(&mut complaints, "a");
        say(&mut complaints, "b");
        tokio::time::advance(AGAIN).await;
        say(&mut complaints, "b");
        complaints.clear();
        say(&mut complaints, "b");
        assert_eq!(said, ["a", "b", "b", "b"]);
    }
}
