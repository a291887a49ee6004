//! Tests of the end of tasks, on a paused clock.

use std::future;
use std::time::Duration;

use crate::shutdown::EndedBadly;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(start_paused = true)]
async fn a_signal_stops_every_task() {
    let mut tasks = Tasks::default();
    for name in ["one", "two"] {
        let stop = tasks.stop_token();
        tasks.spawn(name, async move {
            stop.cancelled().await;
            Ok(())
        });
    }
    let outcome = tasks.run(signals(1), GRACE).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_task_that_fails_ends_the_rest_and_is_named() {
    let mut tasks = Tasks::default();
    let stop = tasks.stop_token();
    tasks.spawn("patient", async move {
        stop.cancelled().await;
        Ok(())
    });
    tasks.spawn("hasty", async { Err(TaskError::from("no luck")) });
    let outcome = tasks.run(signals(0), GRACE).await;
    assert!(
        matches!(outcome, Err(EndedBadly::Failed { name: "hasty", .. })),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_while_stopping_is_reported() {
    let mut tasks = Tasks::default();
    let stop = tasks.stop_token();
    tasks.spawn("late", async move {
        stop.cancelled().await;
        Err(TaskError::from("no luck"))
    });
    let outcome = tasks.run(signals(1), GRACE).await;
    assert!(
        matches!(outcome, Err(EndedBadly::Failed { name: "late", .. })),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_stop_is_cut_off_after_the_grace() {
    let mut tasks = Tasks::default();
    tasks.spawn("deaf", future::pending());
    let outcome = tasks.run(signals(1), GRACE).await;
    assert!(
        matches!(outcome, Err(EndedBadly::OutlivedGrace(1))),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_cuts_off_at_once() {
    let mut tasks = Tasks::default();
    tasks.spawn("deaf", future::pending());
    let outcome = tasks.run(signals(2), Duration::MAX).await;
    assert!(
        matches!(outcome, Err(EndedBadly::Aborted(1))),
        "{outcome:?}"
    );
}

/// A source of `left` signals, which then stays silent.
fn signals(mut left: u32) -> impl AsyncFnMut() {
    async move || {
        if left == 0 {
            future::pending::<()>().await;
        }
        left -= 1;
    }
}
