//! Concurrent requests go to the server together: many in one call of the script.

use std::sync::Arc;
use std::time::Duration;

use ::redis::Cmd;
use ::redis::Value;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tracing::warn;

use crate::algorithm::Timestamp;
use crate::store::StoreError;
use crate::store::redis::oddity::Oddity;
use crate::store::redis::post;
use crate::store::redis::post::Mailbox;
use crate::store::redis::queue::Pending;
use crate::store::redis::queue::Queue;
use crate::store::redis::queue::With;
use crate::store::redis::script;
use crate::store::redis::script::Call;
use crate::store::redis::script::Part;
use crate::store::redis::script::TakeScript;
use crate::store::redis::topology::Lane;
use crate::store::redis::topology::Link;

/// What requests and the task that sends them share.
pub(super) struct Batches {
    link: Arc<Link>,
    /// Of logs that the script set back.
    shifts: Oddity,
    script: TakeScript,
    /// The command that makes the script known.
    load: Cmd,
    queue: Mutex<Queue>,
    /// There is something to send.
    work: Notify,
}

impl Batches {
    pub(super) fn new(link: Arc<Link>, shifts: Oddity) -> Self {
        let script = TakeScript::new();
        Self {
            link,
            shifts,
            load: script.load(),
            script,
            queue: Mutex::default(),
            work: Notify::new(),
        }
    }

    /// Has the operations of a request executed together with those of others, at `time` or on the
    /// server's clock. They are sent once at most, and takes not at all if who waits for the answer
    /// gives up before. In a cluster, where hardly two keys are in one lane, each request has its own
    /// call, and only writes are shared.
    pub(super) async fn execute(
        &self,
        lane: Lane,
        call: Call,
        time: Option<Timestamp>,
    ) -> Result<Part, StoreError> {
        let with = With { lane, time };
        if !self.link.has_one_lane() {
            let answer = self.call(&call, with).await?;
            return Ok(Part { answer, skip: 0 });
        }
        if !self.link.is_connected(lane) {
            return Err(StoreError::Disconnected);
        }
        let (address, mailbox) = Mailbox::new();
        let pending = Pending {
            call,
            with,
            address,
        };
        let is_work = self.queue.lock().push(pending)?;
        if is_work {
            self.work.notify_one();
        }
        // None comes when the store is left for good.
        let answer = mailbox.answer().await;
        answer.unwrap_or(Err(StoreError::Disconnected))
    }

    /// Sends what comes, for ever.
    pub(super) async fn run(self: &Arc<Self>) {
        let mut calls = JoinSet::new();
        let slow = tokio::time::sleep(SLOW);
        tokio::pin!(slow);
        loop {
            loop {
                let batch = self.queue.lock().next();
                if batch.is_empty() {
                    break;
                }
                calls.spawn(Arc::clone(self).send(batch));
                slow.set(tokio::time::sleep(SLOW));
            }
            tokio::select! {
                () = self.work.notified() => {}
                Some(_) = calls.join_next() => {}
                () = &mut slow, if !calls.is_empty() => {
                    self.queue.lock().is_slow();
                    slow.set(tokio::time::sleep(SLOW));
                }
            }
        }
    }

    /// Sends a call for many requests, and gives each its part of the answer.
    async fn send(self: Arc<Self>, batch: Vec<Pending>) {
        let answer = match batch.first() {
            Some(first) => {
                let mut whole = Call::default();
                for pending in &batch {
                    whole.append(&pending.call);
                }
                self.call(&whole, first.with).await
            }
            None => Err(StoreError::Protocol("an empty call".to_owned())),
        };
        self.queue.lock().answered(batch.len());
        let mut skip = 0;
        post::deliver(batch.into_iter().map(|Pending { call, address, .. }| {
            let part = answer.as_ref().map(|answer| Part {
                answer: Arc::clone(answer),
                skip,
            });
            skip += call.n_takes();
            (address, part.map_err(StoreError::clone))
        }));
    }

    async fn call(&self, call: &Call, with: With) -> Result<Arc<Value>, StoreError> {
        let command = self.script.command(call, with.time);
        let answer = self.link.call(with.lane, &command, &self.load).await?;
        if let Some(logs) = script::n_shifted(&answer).and_then(|n| self.shifts.note(n)) {
            warn!(
                logs,
                "what was counted in redis lies ahead of its clock, and was set back to that: the clock \
                 has stepped back, or that of a server before it was ahead"
            );
        }
        Ok(Arc::new(answer))
    }
}

/// How long a call may be under way before others go without waiting for its answer.
const SLOW: Duration = Duration::from_millis(1);
