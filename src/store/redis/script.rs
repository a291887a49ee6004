//! The script that counts in Redis: its call and its answer, typed.

use ::redis::Cmd;
use ::redis::Script;
use ::redis::Value;

use crate::algorithm::Decision;
use crate::algorithm::Hits;
use crate::algorithm::MAX_HITS;
use crate::algorithm::Timestamp;
use crate::algorithm::fixed;
use crate::rule::limit::Algorithm;
use crate::store::Now;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;

/// The script, with its hash.
pub(super) struct TakeScript(Script);

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

    /// The command that decides `takes`, at `time` or on the server's clock.
    pub(super) fn call(&self, takes: &[Take], time: Option<Timestamp>) -> Cmd {
        let mut command = ::redis::cmd("EVALSHA");
        command.arg(self.0.get_hash()).arg(takes.len());
        for take in takes {
            command.arg(take.key.as_slice());
        }
        match time {
            Some(time) => command.arg(time.0),
            None => command.arg(""),
        };
        command.arg(fastrand::u64(..).to_le_bytes().as_slice());
        for take in takes {
            let (Hits::Ask(hits) | Hits::Report(hits)) = take.hits;
            let (kind, window) = match (take.algorithm, take.hits) {
                (Algorithm::FixedWindow, _) => ("f", time_to_live(take)),
                (Algorithm::SlidingWindow, Hits::Ask(_)) => ("a", take.window.micros()),
                (Algorithm::SlidingWindow, Hits::Report(_)) => ("r", take.window.micros()),
            };
            command
                .arg(kind)
                .arg(take.limit)
                .arg(take.burst)
                .arg(window)
                .arg(hits.min(MAX_HITS))
                .arg(veto(take.veto));
        }
        command
    }

    /// What the script answered.
    pub(super) fn answer(
        takes: &[Take],
        answer: &Value,
        now: Now,
    ) -> Result<Vec<Decision>, StoreError> {
        let numbers: Vec<u64> = ::redis::from_redis_value_ref(answer).map_err(unexpected)?;
        if numbers.len() != 3 * takes.len() {
            return Err(StoreError::Protocol(format!("{} numbers", numbers.len())));
        }
        let decision = |(take, numbers): (&Take, &[u64])| match take.algorithm {
            Algorithm::FixedWindow => {
                fixed::decision(take.limit, take.window, numbers[0], now.wall)
            }
            Algorithm::SlidingWindow => Decision {
                fits: numbers[0] == 1,
                remaining: numbers[1],
                reset: numbers[2],
            },
        };
        Ok(takes
            .iter()
            .zip(numbers.chunks_exact(3))
            .map(decision)
            .collect())
    }
}

fn veto(veto: Veto) -> &'static str {
    match veto {
        Veto::Alone => "1",
        Veto::Together => "2",
        Veto::Never => "0",
    }
}

/// The seconds after which the key of a fixed window expires: the window and a random part of
/// five minutes, as envoyproxy/ratelimit has it.
pub(super) fn time_to_live(take: &Take) -> u64 {
    take.window.seconds() + fastrand::u64(..300)
}

/// An answer that is not of the form that was asked for.
pub(super) fn unexpected(error: impl std::fmt::Display) -> StoreError {
    StoreError::Protocol(error.to_string())
}
