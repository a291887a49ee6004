//! `kind: ApiService`.

use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::ApiService;
use crate::platform::document::entities::Read;
use crate::platform::document::text;

pub(super) fn read(
    name: &str,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Read<ApiService> {
    let version = fields.optional("version");
    let version = version.and_then(|at| text::label(&at, faults));
    let is_active = status(fields, faults);
    let entity = Some(ApiService {
        name: name.to_owned(),
        version,
    });
    Read { entity, is_active }
}

/// Whether an entity is active, which it is when it does not say.
pub(super) fn status(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> bool {
    let names = [("active", true), ("inactive", false)];
    let status = fields.optional("status");
    status.is_none_or(|at| at.one_of(&names, faults).unwrap_or(true))
}
