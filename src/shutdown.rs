//! Background tasks and the end of them.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The program's long-lived tasks. The first to end, well or badly, ends the rest.
#[derive(Debug, Default)]
pub struct Tasks {
    running: JoinSet<(&'static str, Result<(), TaskError>)>,
    stop: CancellationToken,
}

/// What a task reports when it could not go on.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// How the tasks ended when they did not end well.
#[derive(Debug, thiserror::Error)]
pub enum EndedBadly {
    /// A second signal came before the tasks had stopped.
    #[error("told to stop at once, {0} tasks were cut off")]
    Aborted(usize),
    /// A task returned an error.
    #[error("`{name}` failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// Why.
        #[source]
        source: TaskError,
    },
    /// Some tasks did not stop in time and were cut off.
    #[error("{0} tasks outlived the grace period")]
    OutlivedGrace(usize),
    /// A task panicked.
    #[error("a task panicked")]
    Panicked(#[source] JoinError),
}

impl Tasks {
    /// A token that is cancelled when the program should stop.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task under a name for the log.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), TaskError>> + Send + 'static,
    ) {
        self.running.spawn(async move { (name, task.await) });
    }

    /// Waits for a signal or for a task to end, then stops the rest within `grace`, or until the
    /// next signal.
    pub async fn run(
        mut self,
        mut signal: impl AsyncFnMut(),
        grace: Duration,
    ) -> Result<(), EndedBadly> {
        let mut outcome = tokio::select! {
            () = signal() => Ok(()),
            Some(ended) = self.running.join_next() => verdict(ended),
        };
        self.stop.cancel();
        let grace = tokio::time::sleep(grace);
        tokio::pin!(grace);
        loop {
            tokio::select! {
                biased;
                ended = self.running.join_next() => match ended {
                    Some(ended) => outcome = outcome.and(verdict(ended)),
                    None => return outcome,
                },
                () = signal() => {
                    return outcome.and(Err(EndedBadly::Aborted(self.running.len())));
                }
                () = &mut grace => {
                    return outcome.and(Err(EndedBadly::OutlivedGrace(self.running.len())));
                }
            }
        }
    }
}

fn verdict(
    ended: Result<(&'static str, Result<(), TaskError>), JoinError>,
) -> Result<(), EndedBadly> {
    let (name, result) = ended.map_err(EndedBadly::Panicked)?;
    result.map_err(|source| EndedBadly::Failed { name, source })
}
