//! Which failed requests are sent again: `retry`, or a policy of that type.

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::quoted;
use crate::platform::document::text;
use crate::platform::document::traffic::MAX_INT32;
use crate::platform::document::traffic::number;
use crate::platform::document::traffic::positive;
use crate::platform::document::traffic::status;
use crate::platform::traffic::Backoff;
use crate::platform::traffic::Retry;
use crate::platform::traffic::RetryOn;

pub(in crate::platform::document) fn read(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Retry> {
    let mut fields = at.mapping(faults)?;
    let num_retries = number("num_retries", 0, MAX_INT32, &mut fields, faults);
    let retry_on = retry_on(&mut fields, faults);
    let per_try = fields.optional("per_try_timeout");
    let per_try_timeout = per_try.and_then(|at| text::span(&at, faults));
    let backoff = fields.optional("backoff");
    let backoff = backoff.and_then(|at| backoff_of(&at, faults));
    fields.finish(faults);
    let retry = Retry {
        num_retries,
        retry_on,
        per_try_timeout,
        backoff,
    };
    Some(retry)
}

fn retry_on(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Vec<RetryOn> {
    let Some(at) = fields.optional("retry_on") else {
        return Vec::new();
    };
    let items = at.items(faults);
    if items.is_empty() {
        faults.push(at.fault("expected at least one failure, such as `5xx`, `reset` or `503`"));
    }
    let mut failures = Vec::with_capacity(items.len());
    for item in items {
        let Some(failure) = failure(&item, faults) else {
            continue;
        };
        if failures.contains(&failure) {
            let text = item.text(faults).unwrap_or_default();
            faults.push(item.fault(format!("`{text}` stands here twice")));
        }
        failures.push(failure);
    }
    failures
}

fn failure(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<RetryOn> {
    let text = at.text(faults)?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return status(at, faults).map(RetryOn::Status);
    }
    let mut known = RetryOn::TRIGGERS.into_iter();
    if let Some(name) = known.find(|name| *name == text) {
        return Some(RetryOn::Trigger(name));
    }
    let message = if text == "retriable-status-codes" {
        "`retriable-status-codes` has no codes: expected the codes in its place, such as `503`"
            .to_owned()
    } else {
        let instead = near::instead(text, &RetryOn::TRIGGERS, "");
        format!("unknown failure {}: {instead}", quoted(text))
    };
    faults.push(at.fault(message));
    None
}

fn backoff_of(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Backoff> {
    let mut fields = at.mapping(faults)?;
    let base = fields.required("base_interval", faults);
    let base = base.and_then(|at| positive(&at, faults));
    let max_at = fields.optional("max_interval");
    let max = max_at.as_ref().and_then(|at| positive(at, faults));
    fields.finish(faults);
    let base_interval = base?;
    if let (Some(at), Some(max)) = (max_at, &max)
        && max.length() < base_interval.length()
    {
        faults.push(at.fault(format!(
            "`{max}` is less than `base_interval`: `{base_interval}`"
        )));
    }
    Some(Backoff {
        base_interval,
        max_interval: max,
    })
}
