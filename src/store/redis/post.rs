//! How answers reach those who wait for them.
//!
//! Waking a task of another thread costs a system call, and a connection that is told of its answers
//! one by one writes them one by one. So of those who wait on one thread only one is woken from
//! outside, and hands on to the others what is theirs.

use std::thread::ThreadId;

use tokio::sync::oneshot;

use crate::store::StoreError;
use crate::store::redis::script::Part;

type Answer = Result<Part, StoreError>;

/// Where an answer goes.
#[derive(Debug)]
pub(super) struct Address {
    to: oneshot::Sender<Post>,
    thread: ThreadId,
}

/// What somebody waits for.
#[derive(Debug)]
pub(super) struct Mailbox(oneshot::Receiver<Post>);

/// An answer, with others for the same thread.
#[derive(Debug)]
struct Post {
    own: Option<Answer>,
    others: Vec<(Address, Answer)>,
}

impl Mailbox {
    /// The mailbox of a task on this thread, and its address.
    pub(super) fn new() -> (Address, Self) {
        let (to, from) = oneshot::channel();
        let thread = std::thread::current().id();
        (Address { to, thread }, Self(from))
    }

    /// Waits for the answer; none comes when the sender is gone for good. It has to be waited for
    /// by a task that does nothing else meanwhile, as others may get theirs by way of it.
    pub(super) async fn answer(self) -> Option<Answer> {
        let mut post = self.0.await.ok()?;
        post.own.take()
    }
}

impl Address {
    /// Whether nobody waits there any more.
    pub(super) fn is_left(&self) -> bool {
        self.to.is_closed()
    }
}

/// Gives everybody their answer, by way of one on each thread.
pub(super) fn deliver(answers: impl IntoIterator<Item = (Address, Answer)>) {
    let mut by_thread: Vec<Vec<(Address, Answer)>> = Vec::new();
    for (address, answer) in answers {
        let is_same = |others: &&mut Vec<(Address, Answer)>| {
            others
                .first()
                .is_some_and(|(other, _)| other.thread == address.thread)
        };
        match by_thread.iter_mut().find(is_same) {
            Some(others) => others.push((address, answer)),
            None => by_thread.push(vec![(address, answer)]),
        }
    }
    for mut others in by_thread {
        while let Some((address, answer)) = others.pop() {
            let own = Some(answer);
            match address.to.send(Post { own, others }) {
                Ok(()) => break,
                // It is left: another one hands on the rest.
                Err(mut post) => others = std::mem::take(&mut post.others),
            }
        }
    }
}

/// Hands on what is for others, even if nobody has opened it.
impl Drop for Post {
    fn drop(&mut self) {
        for (address, answer) in self.others.drain(..) {
            let post = Self {
                own: Some(answer),
                others: Vec::new(),
            };
            // It may be left.
            drop(address.to.send(post));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn everybody_gets_their_own_on_every_thread() {
        let (mut addresses, mut mailboxes) = (Vec::new(), Vec::new());
        let of_three_threads = (0..3).map(|_| {
            let made = std::thread::spawn(|| (0..5).map(|_| Mailbox::new()).collect::<Vec<_>>());
            made.join().unwrap()
        });
        for (address, mailbox) in of_three_threads.flatten() {
            addresses.push(address);
            mailboxes.push(mailbox);
        }
        deliver(addresses.into_iter().zip((0..).map(answer)));
        assert_eq!(
            opened(mailboxes.into_iter().map(Some)).await,
            (0..15).collect()
        );
    }

    #[tokio::test]
    async fn one_who_has_left_keeps_nobody_waiting() {
        for left in 0..4 {
            for before in [true, false] {
                let (addresses, mailboxes): (Vec<_>, Vec<_>) =
                    (0..4).map(|_| Mailbox::new()).unzip();
                let mut mailboxes: Vec<Option<Mailbox>> = mailboxes.into_iter().map(Some).collect();
                if before {
                    mailboxes[left] = None;
                    assert!(addresses[left].is_left());
                }
                deliver(addresses.into_iter().zip((0..).map(answer)));
                mailboxes[left] = None;
                let others = (0..4).filter(|n| *n != left).collect();
                assert_eq!(opened(mailboxes).await, others);
            }
        }
    }

    /// Who got their own, each waiting in a task of its own.
    async fn opened(mailboxes: impl IntoIterator<Item = Option<Mailbox>>) -> BTreeSet<usize> {
        let mut tasks = JoinSet::new();
        for (n, mailbox) in mailboxes.into_iter().enumerate() {
            if let Some(mailbox) = mailbox {
                tasks.spawn(async move {
                    assert_eq!(mailbox.answer().await.unwrap().unwrap().skip, n);
                    n
                });
            }
        }
        tasks.join_all().await.into_iter().collect()
    }

    fn answer(skip: usize) -> Answer {
        Ok(Part {
            answer: Arc::new(::redis::Value::Nil),
            skip,
        })
    }
}
