//! The script that counts in Redis: its call and its answer, typed.

use std::borrow::Cow;
use std::sync::Arc;

use ::redis::Cmd;
use ::redis::Script;
use ::redis::Value;

use crate::algorithm::Booked;
use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::LogId;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Timestamp;
use crate::algorithm::fixed;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Window;
use crate::store::Answer;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// The script, with its hash.
pub(super) struct TakeScript(Script);

/// One call of the script, as it grows: operations are executed in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Call {
    keys: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
    operations: Vec<Operation>,
    n_takes: usize,
    n_resets: usize,
}

impl TakeScript {
    pub(super) fn new() -> Self {
        Self(Script::new(include_str!("take.lua")))
    }

    /// The command that loads the script.
    pub(super) fn load(&self) -> Cmd {
        let mut command = ::redis::cmd("SCRIPT");
        command.arg("LOAD").arg(include_str!("take.lua"));
        command
    }

    /// The command that executes `call`, at `time` or on the server's clock.
    pub(super) fn command(&self, call: &Call, time: Option<Timestamp>) -> Cmd {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(call.operations.len());
        let mut begin = 0;
        for &end in &call.ends {
            command.arg(&call.keys[begin..end]);
            begin = end;
        }
        match time {
            Some(time) => command.arg(time.0),
            None => command.arg(""),
        };
        command.arg(fastrand::u64(..).to_le_bytes().as_slice());
        for operation in &call.operations {
            command.arg(&operation.bytes[..operation.length]);
        }
        command
    }
}

impl Call {
    /// How many operations it has.
    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }

    /// How many of them are answered.
    pub(super) fn n_takes(&self) -> usize {
        self.n_takes
    }

    /// Whether nothing is lost with it but its answers.
    pub(super) fn only_takes(&self) -> bool {
        self.n_takes == self.len()
    }

    /// Whether it must not stand with others: logs that begin in one call have one id, and what was
    /// booked before a reset is not to be given back to the log after it.
    pub(super) fn is_alone(&self) -> bool {
        self.n_resets > 0
    }

    /// Adds the operations of another behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        let begin = self.keys.len();
        self.keys.extend_from_slice(&other.keys);
        self.ends.extend(other.ends.iter().map(|end| begin + end));
        self.operations.extend_from_slice(&other.operations);
        self.n_takes += other.n_takes;
        self.n_resets += other.n_resets;
    }

    /// Adds hits that are to be taken back.
    pub(super) fn give_back(&mut self, unused: &GiveBack) {
        let mut operation = Operation::of_kind(GIVE_BACK);
        operation.number(u64::from(unused.limit), 4);
        operation.number(u64::from(unused.burst), 4);
        operation.number(unused.hits.min(MAX_HITS), 5);
        operation.number(unused.window.micros(), 7);
        operation.number(unused.booked.date.0, 7);
        operation.number(unused.booked.id.0, 8);
        self.push(&unused.key, operation);
    }

    /// Adds the takes of one request, which are decided together.
    pub(super) fn take(&mut self, group: &[Take], expiry: Expiry) {
        for (index, take) in group.iter().enumerate() {
            let (kind, window) = match (take.algorithm, take.hits) {
                (Algorithm::FixedWindow, _) => (FIXED, expiry.seconds(take)),
                (Algorithm::SlidingWindow, Hits::Ask(_)) => (ASK, take.window.micros()),
                (Algorithm::SlidingWindow, Hits::Report(_)) => (REPORT, take.window.micros()),
            };
            let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
            let terms = take.terms();
            let mut operation = Operation::of_kind(kind);
            operation.flag(index + 1 == group.len());
            operation.number(veto(take.veto), 1);
            operation.flag(terms.keeps);
            operation.number(u64::from(take.limit), 4);
            operation.number(u64::from(take.burst), 4);
            operation.number(window, 7);
            for hits in [hits, terms.least, terms.largest, terms.extra] {
                operation.number(hits.min(MAX_HITS), 5);
            }
            operation.number(terms.life, 4);
            self.push(&take.key, operation);
        }
        self.n_takes += group.len();
    }

    /// Adds a reset.
    pub(super) fn reset(&mut self, key: &[u8], window: Window) {
        let mut operation = Operation::of_kind(RESET);
        operation.number(window.micros(), 7);
        self.push(key, operation);
        self.n_resets += 1;
    }

    fn push(&mut self, key: &[u8], operation: Operation) {
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
        self.operations.push(operation);
    }
}

/// What the script answered to one of the requests of a call.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// To all of them.
    pub(super) answer: Arc<Value>,
    /// How many takes of others come first.
    pub(super) skip: usize,
}

impl Part {
    /// The records of its takes.
    ///
    /// # Errors
    ///
    /// The answer is none of the script's.
    pub(super) fn records(&self) -> Result<Records<'_>, StoreError> {
        let mut records = records(&self.answer)?;
        let rest = self.skip * RECORD;
        records.records = records.records.get(rest..).unwrap_or_default();
        Ok(records)
    }
}

/// A record for each take, in their order.
fn records(answer: &Value) -> Result<Records<'_>, StoreError> {
    let parts = match answer {
        Value::Array(parts) => parts.as_slice(),
        _ => &[],
    };
    let (records, undecided) = match parts {
        [Value::BulkString(records)] => (records, &[][..]),
        [Value::BulkString(records), Value::BulkString(why)]
        | [
            Value::BulkString(records),
            Value::BulkString(why),
            Value::Int(_),
        ] => (records, &why[..]),
        _ => return Err(unexpected(format!("{answer:?}"))),
    };
    Ok(Records {
        records,
        undecided: String::from_utf8_lossy(undecided),
    })
}

/// How many logs a call has set back, as their hits were ahead of the server's clock; nothing if none.
pub(super) fn n_shifted(answer: &Value) -> Option<u64> {
    match answer {
        Value::Array(parts) => match parts.get(2)? {
            Value::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Records of takes, to be read group by group.
pub(super) struct Records<'a> {
    records: &'a [u8],
    /// Why some groups could not be decided.
    undecided: Cow<'a, str>,
}

impl Records<'_> {
    /// The answers for the next group.
    ///
    /// # Errors
    ///
    /// The script could not decide it, or answered fewer takes.
    pub(super) fn answers(&mut self, group: &[Take], now: Now) -> Result<Vec<Answer>, StoreError> {
        let mut answers = Vec::with_capacity(group.len());
        let mut failed = None;
        for take in group {
            let Some((mut record, rest)) = self.records.split_at_checked(RECORD) else {
                return Err(unexpected(format!("too few records, {take:?}")));
            };
            self.records = rest;
            let fits = number(&mut record, 1);
            let granted = number(&mut record, 5);
            let remaining = number(&mut record, 5);
            let reset = number(&mut record, 7);
            let date = Timestamp(number(&mut record, 7));
            let id = LogId(number(&mut record, 8));
            if fits == UNDECIDED {
                let why = self.undecided.clone().into_owned();
                failed = Some(StoreError::Uncountable(why));
            }
            answers.push(match take.algorithm {
                Algorithm::FixedWindow => counted(take, remaining, now),
                Algorithm::SlidingWindow => Answer {
                    decision: Decision {
                        fits: fits == FIT,
                        remaining,
                        reset,
                    },
                    granted,
                    booked: Booked { id, date },
                },
            });
        }
        failed.map_or(Ok(answers), Err)
    }
}

/// What a fixed window says of a take, `after` being its count with it.
pub(super) fn counted(take: &Take, after: u64, now: Now) -> Answer {
    let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
    Answer {
        decision: fixed::decision(take.limit, take.window, after, now.wall),
        granted: hits,
        booked: Booked::default(),
    }
}

fn veto(veto: Veto) -> u64 {
    match veto {
        Veto::Never => 0,
        Veto::Alone => 1,
        Veto::Together => 2,
    }
}

/// When the keys of fixed windows expire, as envoyproxy/ratelimit has it: after the window and a
/// random part of so many seconds more, none if that is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) jitter: u64,
}

impl Expiry {
    /// In how many seconds the key of a take expires.
    pub(super) fn seconds(self, take: &Take) -> u64 {
        let jitter = match self.jitter {
            0 => 0,
            jitter => fastrand::u64(..jitter),
        };
        take.window.seconds() + jitter
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self { jitter: 300 }
    }
}

/// An answer that is not of the form that was asked for.
pub(super) fn unexpected(error: impl std::fmt::Display) -> StoreError {
    StoreError::Protocol(error.to_string())
}

/// One operation as the script unpacks it.
#[derive(Clone, Copy, Debug)]
struct Operation {
    bytes: [u8; 45],
    length: usize,
}

impl Operation {
    fn of_kind(kind: u8) -> Self {
        let mut bytes = [0; 45];
        bytes[0] = kind;
        Self { bytes, length: 1 }
    }

    fn flag(&mut self, is_set: bool) {
        self.number(u64::from(is_set), 1);
    }

    /// Appends the lower bytes of a number, little-endian.
    fn number(&mut self, number: u64, n_bytes: usize) {
        let end = self.length + n_bytes;
        self.bytes[self.length..end].copy_from_slice(&number.to_le_bytes()[..n_bytes]);
        self.length = end;
    }
}

/// Reads and skips a number of so many bytes, little-endian.
fn number(record: &mut &[u8], n_bytes: usize) -> u64 {
    let (head, rest) = record.split_at(n_bytes);
    *record = rest;
    head.iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

const ASK: u8 = 0;
const REPORT: u8 = 1;
const FIXED: u8 = 2;
const GIVE_BACK: u8 = 3;
const RESET: u8 = 4;

const FIT: u64 = 1;
const UNDECIDED: u64 = 2;

/// The bytes of a record.
const RECORD: usize = 33;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_could_not_be_decided_and_what_was_set_back() {
        let text = |text: &str| Value::BulkString(text.into());
        for (more, undecided, shifted) in [
            (vec![], "", None),
            (vec![text("why")], "why", None),
            (vec![text(""), Value::Int(3)], "", Some(3)),
            (vec![text("why"), Value::Int(1)], "why", Some(1)),
        ] {
            let answer = Value::Array([vec![text("")], more].concat());
            let read = records(&answer).unwrap();
            assert_eq!(read.undecided, undecided, "{answer:?}");
            assert_eq!(n_shifted(&answer), shifted, "{answer:?}");
        }
    }

    #[test]
    fn an_answer_of_another_form_is_refused() {
        for answer in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![Value::BulkString(Vec::new()), Value::Int(1)]),
        ] {
            assert!(records(&answer).is_err(), "{answer:?}");
        }
    }
}
