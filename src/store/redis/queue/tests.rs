//! What goes in one call, and when.

use std::num::NonZeroU32;

use super::*;
use crate::algorithm::Hits;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Unit;
use crate::rule::limit::Window;
use crate::store::Take;
use crate::store::Veto;
use crate::store::redis::post::Mailbox;
use crate::store::redis::script::Expiry;

#[test]
fn what_comes_to_an_idle_server_goes_at_once() {
    let mut queue = Queue::default();
    let _answered = push(&mut queue, 1);
    assert_eq!(queue.next().len(), 1);
    assert_eq!(queue.next().len(), 0);
    queue.answered(1);
    let _answered = push(&mut queue, 1);
    assert_eq!(queue.next().len(), 1);
}

#[test]
fn what_comes_while_a_call_is_under_way_goes_together_after_it() {
    let mut queue = Queue::default();
    let mut answered = vec![push(&mut queue, 1)];
    assert_eq!(queue.next().len(), 1);
    answered.extend((0..10).map(|_| push(&mut queue, 1)));
    assert_eq!(queue.next().len(), 0);
    queue.answered(1);
    assert_eq!(queue.next().len(), 10);
}

#[test]
fn a_full_call_does_not_wait() {
    let mut queue = Queue::default();
    let answered: Vec<Mailbox> = (0..200).map(|_| push(&mut queue, 1)).collect();
    let sizes: Vec<usize> = (0..5).map(|_| queue.next().len()).collect();
    assert_eq!(sizes, [64, 64, 64, 0, 0]);
    queue.answered(64);
    queue.answered(64);
    assert_eq!(queue.next().len(), 0);
    queue.answered(64);
    assert_eq!(queue.next().len(), 8);
    assert_eq!(answered.len(), 200);
}

#[test]
fn nobody_waits_long_for_the_answer_to_others() {
    let mut queue = Queue::default();
    let _first = push(&mut queue, 1);
    assert_eq!(queue.next().len(), 1);
    let _second = push(&mut queue, 1);
    queue.is_slow();
    assert_eq!(queue.next().len(), 1);
    // Nor who comes later: that is to be sent, and it is said.
    queue.is_slow();
    let (pending, _third) = pending(1, None);
    assert!(queue.push(pending).unwrap());
    assert_eq!(queue.next().len(), 1);
}

#[test]
fn it_is_said_once_that_there_is_something_to_send() {
    let mut queue = Queue::default();
    let mut said = Vec::new();
    let mut answered = Vec::new();
    for index in 0..130 {
        let (pending, receiver) = pending(1, None);
        answered.push(receiver);
        if queue.push(pending).unwrap() {
            said.push(index);
            while !queue.next().is_empty() {}
        }
    }
    assert_eq!(said, [0, 64, 128]);
}

#[test]
fn a_request_is_in_one_call_whatever_its_size() {
    let mut queue = Queue::default();
    let _answered = [60, 10, 1_000, 1].map(|size| push(&mut queue, size));
    let sizes = [(); 3].map(|()| queue.next().len());
    assert_eq!(sizes, [1, 1, 1]);
    queue.is_slow();
    assert_eq!(queue.next().len(), 1);
}

#[test]
fn requests_of_different_times_do_not_go_together() {
    let mut queue = Queue::default();
    let mut answered = Vec::new();
    for time in [7, 7, 8, 8, 8, 7] {
        let (pending, receiver) = pending(1, Some(Timestamp(time)));
        queue.push(pending).unwrap();
        answered.push(receiver);
    }
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let batch = queue.next();
        sizes.push(batch.len());
        queue.answered(batch.len());
    }
    assert_eq!(sizes, [2, 3, 1]);
}

#[test]
fn what_was_given_up_is_not_sent() {
    let mut queue = Queue::default();
    let mut answered: Vec<Mailbox> = (0..10).map(|_| push(&mut queue, 1)).collect();
    answered.drain(2..5);
    assert_eq!(queue.next().len(), 7);
    queue.answered(7);
    drop(push(&mut queue, 1));
    assert_eq!(queue.next().len(), 0);
}

#[test]
fn too_many_are_refused_until_some_are_answered_or_given_up() {
    let mut queue = Queue::default();
    let mut answered: Vec<Mailbox> = (0..MAX_WAITING).map(|_| push(&mut queue, 1)).collect();
    let refused = |queue: &mut Queue| queue.push(pending(1, None).0).is_err();
    assert!(refused(&mut queue));
    assert_eq!(queue.next().len(), FULL);
    assert!(refused(&mut queue), "they still wait for their answers");
    queue.answered(FULL);
    assert!(!refused(&mut queue));
    answered.drain(FULL..FULL + 100);
    assert!(!refused(&mut queue));
}

#[test]
fn so_many_calls_are_under_way_at_most() {
    let mut queue = Queue::default();
    let n = (MAX_CALLS + 2) * FULL;
    let answered: Vec<Mailbox> = (0..n).map(|_| push(&mut queue, 1)).collect();
    let calls = std::iter::from_fn(|| Some(queue.next()).filter(|it| !it.is_empty())).count();
    assert_eq!(calls, MAX_CALLS);
    queue.answered(FULL);
    assert_eq!(queue.next().len(), FULL);
    assert_eq!(answered.len(), n);
}

#[track_caller]
fn push(queue: &mut Queue, n_takes: usize) -> Mailbox {
    let (pending, answered) = pending(n_takes, None);
    queue.push(pending).unwrap();
    answered
}

fn pending(n_takes: usize, time: Option<Timestamp>) -> (Pending, Mailbox) {
    let (address, answered) = Mailbox::new();
    let mut call = Call::default();
    call.take(&vec![take(); n_takes], Expiry::default());
    let with = With {
        lane: Lane::default(),
        time,
    };
    let pending = Pending {
        call,
        with,
        address,
    };
    (pending, answered)
}

fn take() -> Take {
    Take {
        key: b"key".to_vec(),
        algorithm: Algorithm::SlidingWindow,
        limit: 1,
        burst: 0,
        window: Window::of(Unit::Hour, NonZeroU32::MIN).unwrap(),
        hits: Hits::Ask(1),
        terms: None,
        veto: Veto::Alone,
    }
}
