//! How long things may take on the way to backends: `timeout`, a policy of that type, or the
//! milliseconds of a backend.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::document::traffic::number;
use crate::platform::document::traffic::positive;
use crate::platform::span::Span;
use crate::platform::traffic::Timeout;

pub(in crate::platform::document) fn read(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Timeout> {
    let mut fields = at.mapping(faults)?;
    let request = fields.optional("request_timeout");
    let idle = fields.optional("idle_timeout");
    let connect = fields.optional("connect_timeout");
    fields.finish(faults);
    if request.is_none() && idle.is_none() && connect.is_none() {
        let expected = "expected at least one of request_timeout, idle_timeout and connect_timeout";
        faults.push(at.fault(expected));
    }
    Some(Timeout {
        request: request.and_then(|at| text::span(&at, faults)),
        idle: idle.and_then(|at| text::span(&at, faults)),
        connect: connect.and_then(|at| positive(&at, faults)),
    })
}

/// What a backend says, in milliseconds.
pub(in crate::platform::document) fn milliseconds(
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Timeout {
    let mut span = |key, min| {
        let millis = number(key, min, Span::MAX_MILLIS, fields, faults)?;
        Some(Span::of_millis(millis))
    };
    Timeout {
        connect: span("connect_timeout_ms", 1),
        request: span("timeout_ms", 0),
        idle: span("idle_timeout_ms", 0),
    }
}
