//! Backends in parts, and the shares of a route's requests that the parts get.
//!
//! A backend of Envoy Gateway has no weights and holds either names or addresses, so one of ours
//! becomes as many as it has weights and sorts of endpoints.

use std::collections::BTreeMap;

use crate::platform::WeightedBackend;
use crate::platform::backend::Backend;
use crate::platform::backend::Endpoint;

/// Endpoints of a backend that Envoy Gateway can hold together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part<'p> {
    /// The name of the backend, and after a dot, which no entity has in its name, what tells the
    /// parts apart.
    pub name: String,
    /// At least one.
    pub endpoints: Vec<&'p Endpoint>,
    /// Its share relative to the other parts of the backend.
    pub weight: u32,
}

/// A part with its share of a route's requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Share<'p> {
    /// The part.
    pub part: Part<'p>,
    /// The share relative to the others, at most [`MAX_WEIGHT`]; none means that all get the same.
    pub weight: Option<u32>,
}

/// Weights whose common measure is too small.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the weights of the backends and of their endpoints make shares that have no common measure of \
     at most {MAX_WEIGHT}: expected rounder weights"
)]
pub struct Unshareable;

/// The greatest weight that Gateway API has.
pub const MAX_WEIGHT: u32 = 1_000_000;

impl Backend {
    /// The parts, names before addresses, then by weight.
    pub fn parts(&self) -> Vec<Part<'_>> {
        let mut groups: BTreeMap<(bool, Option<u8>), Vec<&Endpoint>> = BTreeMap::new();
        for endpoint in &self.endpoints {
            let sort = (!endpoint.is_named(), endpoint.weight);
            groups.entry(sort).or_default().push(endpoint);
        }
        let all: Vec<(bool, Option<u8>)> = groups.keys().copied().collect();
        let is_mixed = all.iter().any(|it| it.0 != all[0].0);
        let is_weighted = all.iter().any(|it| it.1 != all[0].1);
        let part = |((is_address, weight), endpoints): ((bool, Option<u8>), Vec<_>)| {
            let sort = if is_address { "addresses" } else { "names" };
            let sort = is_mixed.then(|| sort.to_owned());
            let mark = is_weighted.then(|| format!("weight-{}", weight.unwrap_or(1)));
            let marks: Vec<String> = sort.into_iter().chain(mark).collect();
            let name = match marks.as_slice() {
                [] => self.name.clone(),
                marks => format!("{}.{}", self.name, marks.join("-")),
            };
            let n_endpoints = u32::try_from(endpoints.len()).unwrap_or(u32::MAX);
            Part {
                name,
                weight: n_endpoints.saturating_mul(u32::from(weight.unwrap_or(1))),
                endpoints,
            }
        };
        groups.into_iter().map(part).collect()
    }
}

/// The parts of a route's backends with their shares, in the order of the backends.
///
/// Where no backend is in parts the weights are those of the route. Else they sum to the route's, or
/// to the smallest multiple of them in which every share is a whole number.
///
/// # Errors
///
/// One of the numbers would be greater than [`MAX_WEIGHT`].
pub fn shares(backends: &[WeightedBackend]) -> Result<Vec<Share<'_>>, Unshareable> {
    let parts: Vec<Vec<Part<'_>>> = backends.iter().map(|it| it.backend.parts()).collect();
    if parts.iter().all(|parts| parts.len() == 1) {
        let unchanged = |(part, weighted): (_, &WeightedBackend)| Share {
            part,
            weight: weighted.weight.map(u32::from),
        };
        return Ok(parts
            .into_iter()
            .flatten()
            .zip(backends)
            .map(unchanged)
            .collect());
    }
    let mut fractions = Vec::new();
    let mut measure: u64 = 1;
    for (parts, weighted) in parts.into_iter().zip(backends) {
        let whole: u64 = parts.iter().map(|part| u64::from(part.weight)).sum();
        // Alone, a backend's own weights can stay as they are.
        let equal = if backends.len() == 1 { whole } else { 1 };
        let of_backend = weighted.weight.map_or(equal, u64::from);
        for part in parts {
            let share = of_backend * u64::from(part.weight);
            let divisor = common_divisor(share, whole);
            let (share, whole) = (share / divisor, whole / divisor);
            let factor = whole / common_divisor(measure, whole);
            measure = measure.checked_mul(factor).ok_or(Unshareable)?;
            fractions.push((part, share, whole));
        }
    }
    let mut shares = Vec::with_capacity(fractions.len());
    for (part, share, whole) in fractions {
        let weight = share.checked_mul(measure / whole).ok_or(Unshareable)?;
        let weight = u32::try_from(weight).ok().filter(|it| *it <= MAX_WEIGHT);
        shares.push(Share {
            part,
            weight: Some(weight.ok_or(Unshareable)?),
        });
    }
    Ok(shares)
}

/// The greatest number that divides both, of which one is more than 0.
fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
