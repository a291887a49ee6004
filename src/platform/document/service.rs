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
    let is_active = text::status(fields, faults);
    let entity = Some(ApiService {
        name: name.to_owned(),
        version,
    });
    Read { entity, is_active }
}
