//! How requests are sent on to backends: what policies, routes and backends say of it.

pub(in crate::platform::document) mod circuit_breaker;
pub(in crate::platform::document) mod health_check;
pub(in crate::platform::document) mod load_balancer;
pub(in crate::platform::document) mod retry;
pub(in crate::platform::document) mod timeout;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::span::Span;

/// A length of time that is more than nothing.
fn positive(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Span> {
    let span = text::span(at, faults)?;
    if span.length().is_zero() {
        faults.push(at.fault(format!("`{span}` is no time at all: expected more")));
        return None;
    }
    Some(span)
}

/// A whole number, if it is there.
fn number(
    key: &'static str,
    min: u32,
    max: u32,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<u32> {
    let at = fields.optional(key)?;
    let number = at.number(u64::from(min), u64::from(max), faults)?;
    u32::try_from(number).ok()
}

/// The status of an answer.
fn status(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<u16> {
    let number = at.number(100, 599, faults)?;
    u16::try_from(number).ok()
}

/// The greatest number in a field of Kubernetes that has 32 bits and a sign.
const MAX_INT32: u32 = i32::MAX.unsigned_abs();
