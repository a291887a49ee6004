//! `backend_refs` of a route: where its requests go, and in which shares.

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::WeightedBackend;
use crate::platform::backend::Backend;
use crate::platform::document::entities::Entities;
use crate::platform::document::entities::Found;
use crate::platform::document::text::at_most;
use crate::platform::share;

/// The backends of a route, when all of them are good; none when there is no key for them.
pub(super) fn read(
    backends: &Entities<Backend>,
    is_active: bool,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Vec<WeightedBackend>> {
    let Some(at) = fields.optional("backend_refs") else {
        return Some(Vec::new());
    };
    let items = at.items(faults);
    if items.is_empty() {
        faults.push(at.fault("expected at least one backend"));
        return None;
    }
    let n_items = items.len();
    let mut lines = HashMap::new();
    let mut read = Vec::with_capacity(n_items);
    let mut weights = Vec::with_capacity(n_items);
    for item in &items {
        let Some(Ref { weight, weighted }) = backend_ref(backends, is_active, item, faults) else {
            continue;
        };
        weights.extend(weight.ok());
        let Some(weighted) = weighted else {
            continue;
        };
        let name = &weighted.backend.name;
        if let Some(line) = lines.insert(name.clone(), item.line()) {
            faults.push(item.fault(format!("backend `{name}` stands on line {line} already")));
        }
        read.push(weighted);
    }
    // Where a weight cannot be read, there is no sum.
    if weights.len() == n_items {
        weigh(&weights, &at, faults);
    }
    if read.len() < n_items {
        return None;
    }
    let parts = read.iter().map(|it| it.backend.parts().len()).sum();
    at_most_parts(parts, &at, faults);
    if let Err(error) = share::shares(&read) {
        faults.push(at.fault(error.to_string()));
    }
    Some(read)
}

/// Reports more parts of backends than can be referred to in one place.
pub(super) fn at_most_parts(n_parts: usize, at: &At<'_>, faults: &mut Vec<Fault>) {
    let what = "backends, and as many for one as it has weights and sorts of endpoints";
    let instead = "put endpoints with one weight and of one sort into one backend";
    at_most(MAX_BACKENDS, what, instead, at, n_parts, faults);
}

/// How many backends Gateway API lets a route have, and Envoy Gateway a policy for authentication.
const MAX_BACKENDS: usize = 16;

/// A reference to a backend, as far as it could be read.
struct Ref {
    weight: Result<Option<u8>, Unreadable>,
    weighted: Option<WeightedBackend>,
}

/// What stands there is no weight.
struct Unreadable;

fn backend_ref(
    backends: &Entities<Backend>,
    is_active: bool,
    at: &At<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Ref> {
    let mut fields = at.mapping(faults)?;
    let at = fields.required("backend", faults);
    let found = at.and_then(|at| resolve(backends, is_active, &at, faults));
    let weight_at = fields.optional("weight");
    let weight = weight_at.as_ref().and_then(|at| at.number(0, 100, faults));
    fields.finish(faults);
    let weight = match (weight_at, weight) {
        (Some(_), None) => Err(Unreadable),
        (_, weight) => Ok(weight.and_then(|weight| u8::try_from(weight).ok())),
    };
    let backend = found
        .and_then(|found| found.entity.as_ref())
        .map(Arc::clone);
    let weighted = match (&weight, backend) {
        (Ok(weight), Some(backend)) => Some(WeightedBackend {
            backend,
            weight: *weight,
        }),
        _ => None,
    };
    Some(Ref { weight, weighted })
}

/// What a reference leads to, with a fault when an active route would lose its requests there.
pub(super) fn resolve<'e>(
    backends: &'e Entities<Backend>,
    is_active: bool,
    at: &At<'_>,
    faults: &mut Vec<Fault>,
) -> Option<&'e Found<Backend>> {
    let found = backends.resolve(at, faults)?;
    if is_active && !found.is_active {
        let name = at.text(faults)?;
        faults.push(at.fault(format!(
            "backend `{name}` is inactive, but the route is active"
        )));
    }
    Some(found)
}

/// Reports weights that do not share out the whole.
fn weigh(all: &[Option<u8>], at: &At<'_>, faults: &mut Vec<Fault>) {
    let weights: Vec<u32> = all.iter().filter_map(|it| it.map(u32::from)).collect();
    if weights.is_empty() {
        return;
    }
    let sum: u32 = weights.iter().sum();
    if weights.len() < all.len() {
        faults.push(at.fault("expected a weight for each backend or for none"));
    } else if sum != 100 {
        faults.push(at.fault(format!("expected weights that sum to 100, found {sum}")));
    }
}
