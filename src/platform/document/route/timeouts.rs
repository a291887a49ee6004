//! `timeouts` of a route.

use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::document::text;
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
