//! Takes of one request that are counted in several places.
//!
//! Each place decides its own on its own; what was granted goes back if that refuses the request.

use crate::algorithm::Hits;
use crate::rule::limit::Algorithm;
use crate::store::Answer;
use crate::store::BoxFuture;
use crate::store::GiveBack;
use crate::store::Now;
use crate::store::StoreError;
use crate::store::Take;
use crate::store::Veto;
use crate::store::all;

/// What one place is asked.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) unused: Vec<GiveBack>,
    pub(super) takes: Vec<Take>,
    /// The indices of the takes among all of the request.
    indices: Vec<usize>,
}

/// The parts of a request by their places, in the order in which these come first; none where all
/// of it is in one place.
pub(super) fn parts<P: Copy + Eq>(
    unused: &[GiveBack],
    takes: &[Take],
    place_of_unused: impl Fn(&GiveBack) -> P,
    place_of_take: impl Fn(&Take) -> P,
) -> Option<Vec<(P, Part)>> {
    let places = || {
        unused
            .iter()
            .map(&place_of_unused)
            .chain(takes.iter().map(&place_of_take))
    };
    let first = places().next()?;
    if places().all(|place| place == first) {
        return None;
    }
    let mut parts: Vec<(P, Part)> = Vec::new();
    for unused in unused {
        part(&mut parts, place_of_unused(unused))
            .unused
            .push(unused.clone());
    }
    for (index, take) in takes.iter().enumerate() {
        let part = part(&mut parts, place_of_take(take));
        part.takes.push(Take {
            veto: Veto::Never,
            ..take.clone()
        });
        part.indices.push(index);
    }
    Some(parts)
}

fn part<P: Copy + Eq>(parts: &mut Vec<(P, Part)>, place: P) -> &mut Part {
    let known = parts.iter().position(|(known, _)| *known == place);
    let index = known.unwrap_or(parts.len());
    if known.is_none() {
        parts.push((place, Part::default()));
    }
    &mut parts[index].1
}

/// Counts in several places.
pub(super) trait Places<P>: Sync {
    /// What [`Store::take`](crate::store::Store::take) says, of what is all in one place.
    fn ask<'a>(
        &'a self,
        place: P,
        unused: &'a [GiveBack],
        takes: &'a [Take],
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Answer>, StoreError>>;
}

/// Asks every place at once, and gives back what was granted if the request is refused or a place
/// fails.
pub(super) async fn decide<P: Copy + Eq + Send + Sync>(
    places: &impl Places<P>,
    parts: &[(P, Part)],
    takes: &[Take],
    now: Now,
) -> Result<Vec<Answer>, StoreError> {
    let asked = parts
        .iter()
        .map(|(place, part)| places.ask(*place, &part.unused, &part.takes, now));
    let mut failure = None;
    let mut answers: Vec<Option<Answer>> = vec![None; takes.len()];
    for ((_, part), answered) in parts.iter().zip(all(asked.collect()).await) {
        match answered {
            Ok(answered) => {
                for (index, answer) in part.indices.iter().zip(answered) {
                    answers[*index] = Some(answer);
                }
            }
            Err(error) => failure = Some(error),
        }
    }
    let is_of_use =
        |(take, answer): (&Take, &Option<Answer>)| answer.is_some_and(|it| is_of_use(take, &it));
    let vetoes = takes.iter().map(|take| take.veto);
    let is_admitted =
        failure.is_none() && Veto::admits(vetoes.zip(takes.iter().zip(&answers).map(is_of_use)));
    if !is_admitted {
        for (place, part) in parts {
            let granted = part.indices.iter().filter_map(|index| {
                let answer = answers[*index].as_mut()?;
                returned(&takes[*index], answer)
            });
            let granted: Vec<GiveBack> = granted.collect();
            if !granted.is_empty() {
                places.ask(*place, &granted, &[], now).await?;
            }
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let answered = answers.into_iter().collect::<Option<Vec<_>>>();
    answered.ok_or_else(|| StoreError::Protocol("fewer answers than takes".to_owned()))
}

/// Whether a take that nothing else could refuse got as much as is of use.
fn is_of_use(take: &Take, answer: &Answer) -> bool {
    match (take.algorithm, take.hits) {
        (Algorithm::SlidingWindow, Hits::Ask(1..)) => answer.granted > 0,
        _ => answer.decision.fits,
    }
}

/// What of a take goes back; its answer then says what remains without it.
fn returned(take: &Take, answer: &mut Answer) -> Option<GiveBack> {
    let is_ask = matches!(take.hits, Hits::Ask(_));
    if !is_ask || take.algorithm == Algorithm::FixedWindow || answer.granted == 0 {
        return None;
    }
    let hits = std::mem::take(&mut answer.granted);
    answer.decision.remaining += hits;
    Some(GiveBack {
        key: take.key.clone(),
        limit: take.limit,
        burst: take.burst,
        window: take.window,
        hits,
        booked: answer.booked,
    })
}
