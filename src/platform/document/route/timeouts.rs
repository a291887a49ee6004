//! `timeouts` of a route, which are Gateway API's, and `timeout`, which is Envoy Gateway's.

use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
use crate::platform::document::traffic::timeout;
use crate::platform::traffic::Timeout;
use crate::platform::traffic::Timeouts;

pub(super) fn read(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Timeouts {
    let Some(at) = fields.optional("timeouts") else {
        return Timeouts::default();
    };
    let Some(mut fields) = at.mapping(faults) else {
        return Timeouts::default();
    };
    let request = fields.optional("request");
    let request = request.and_then(|at| text::span(&at, faults));
    let backend_at = fields.optional("backend_request");
    let backend_request = backend_at.as_ref().and_then(|at| text::span(at, faults));
    fields.finish(faults);
    if let (Some(at), Some(whole), Some(one)) = (&backend_at, &request, &backend_request)
        && !whole.length().is_zero()
        && one.length() > whole.length()
    {
        faults.push(at.fault(format!(
            "`{one}` is longer than the whole request may take: `{whole}`"
        )));
    }
    Timeouts {
        request,
        backend_request,
    }
}

/// `timeout`, which has to agree with `timeouts` about what both can say.
pub(super) fn inline(
    timeouts: &Timeouts,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Timeout {
    let Some(at) = fields.optional("timeout") else {
        return Timeout::default();
    };
    let timeout = timeout::read(&at, faults).unwrap_or_default();
    if let (Some(here), Some(there)) = (&timeout.request, &timeouts.request)
        && here.length() != there.length()
    {
        faults.push(at.fault(format!(
            "`request_timeout` is `{here}`, but `timeouts.request` is `{there}`: expected one of \
             them"
        )));
    }
    timeout
}
