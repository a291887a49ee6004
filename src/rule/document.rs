//! The YAML form of rules: envoyproxy/ratelimit's format and our additions, read and written.

mod limit;
mod metadata;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::node;
use crate::document::node::Node;
use crate::document::quoted;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Value;

/// Reads a file: one domain a YAML document. What has faults is left out of the answer.
pub fn read(file: &Arc<str>, text: &str, faults: &mut Vec<Fault>) -> Vec<Domain> {
    match node::parse(file, text) {
        Ok(documents) => distinct(domains(file, &documents, faults), faults),
        Err(fault) => {
            faults.push(fault);
            Vec::new()
        }
    }
}

/// Writes one YAML document a domain; only keys that differ from their default are written.
///
/// What is written reads back as it was, but for what the format cannot say: an exact value that
/// is empty or has a `*` in it.
pub fn write(domains: &[Domain]) -> String {
    write::domains(domains)
}

/// How many rules there are: descriptors that have a limit or are unlimited.
pub fn count(domains: &[Domain]) -> usize {
    fn below(descriptors: &[Descriptor]) -> usize {
        let here = |it: &Descriptor| usize::from(it.allowance.is_some()) + below(&it.descriptors);
        descriptors.iter().map(here).sum()
    }
    domains.iter().map(|it| below(&it.descriptors)).sum()
}

/// A domain with the place where it is written.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The domain.
    pub domain: Domain,
    /// The file, or what else it comes from.
    pub file: Arc<str>,
    /// The line of its name; 0 when it stands in no file itself.
    pub line: usize,
}

/// Reads the documents of a file, each of which is a domain. Equal names are left to [`distinct`].
pub fn domains(file: &Arc<str>, documents: &[Node], faults: &mut Vec<Fault>) -> Vec<Placed> {
    let read = |document| domain(&At::root(file, document), faults);
    documents.iter().filter_map(read).collect()
}

/// The domains, with a fault for each whose name another has already.
pub fn distinct(placed: Vec<Placed>, faults: &mut Vec<Fault>) -> Vec<Domain> {
    let mut seen: HashMap<String, (Arc<str>, usize)> = HashMap::new();
    let mut domains = Vec::with_capacity(placed.len());
    for Placed { domain, file, line } in placed {
        if let Some((first_file, first_line)) = seen.get(&domain.name) {
            let place = match first_line {
                0 => format!("in {first_file}"),
                line if *first_file == file => format!("on line {line}"),
                line => format!("in {first_file}:{line}"),
            };
            faults.push(Fault {
                file,
                line,
                path: "domain".to_owned(),
                message: format!("domain {} stands {place} already", quoted(&domain.name)),
            });
            continue;
        }
        seen.insert(domain.name.clone(), (file, line));
        domains.push(domain);
    }
    domains
}

/// The domains, those of one name as one, with a fault for each descriptor that another of the same
/// name has already.
pub fn merged(placed: Vec<Placed>, faults: &mut Vec<Fault>) -> Vec<Domain> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut domains: Vec<Domain> = Vec::with_capacity(placed.len());
    for Placed { domain, file, line } in placed {
        let Some(index) = places.get(&domain.name) else {
            places.insert(domain.name.clone(), domains.len());
            domains.push(domain);
            continue;
        };
        let first = &mut domains[*index];
        for descriptor in domain.descriptors {
            let is_it = |it: &Descriptor| {
                it.key == descriptor.key && it.value.text() == descriptor.value.text()
            };
            if !first.descriptors.iter().any(is_it) {
                first.descriptors.push(descriptor);
                continue;
            }
            let what = called(&descriptor.key, descriptor.value.text());
            faults.push(Fault {
                file: Arc::clone(&file),
                line,
                path: "descriptors".to_owned(),
                message: format!("{what} stands in another file of this domain already"),
            });
        }
    }
    domains
}

/// A descriptor as faults call it.
fn called(key: &str, value: Option<&str>) -> String {
    match value {
        None => format!("key {} without a value", quoted(key)),
        Some(value) => format!("key {} with value {}", quoted(key), quoted(value)),
    }
}

fn domain(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Placed> {
    let mut fields = at.mapping(faults)?;
    let name_at = fields.required("domain", faults);
    let name = name_at.as_ref().and_then(|at| name(at, faults));
    let descriptors = descriptors(&mut fields, faults);
    fields.finish(faults);
    Some(Placed {
        domain: Domain {
            name: name?.to_owned(),
            descriptors,
        },
        file: Arc::clone(at.file()),
        line: name_at?.line(),
    })
}

fn descriptors(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Vec<Descriptor> {
    let Some(list) = fields.optional("descriptors") else {
        return Vec::new();
    };
    let mut seen = HashMap::new();
    let mut descriptors = Vec::new();
    for at in list.items(faults) {
        let Some(descriptor) = descriptor(&at, faults) else {
            continue;
        };
        let identity = (
            descriptor.key.clone(),
            descriptor.value.text().map(str::to_owned),
        );
        if let Some(line) = seen.get(&identity) {
            let what = called(&identity.0, identity.1.as_deref());
            faults.push(at.fault(format!("{what} stands on line {line} already")));
            continue;
        }
        seen.insert(identity, at.line());
        descriptors.push(descriptor);
    }
    descriptors
}

fn descriptor(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Descriptor> {
    let mut fields = at.mapping(faults)?;
    let key = fields.required("key", faults);
    let key = key.and_then(|at| name(&at, faults));
    let value = value(&mut fields, faults);
    let shadow = flag(&mut fields, "shadow_mode", faults);
    let quota = flag(&mut fields, "quota_mode", faults);
    let limit = fields.optional("rate_limit");
    let modes = Modes {
        shadow: shadow.is_some(),
        quota: quota.is_some(),
    };
    let rate_limit = limit
        .as_ref()
        .map(|at| limit::rate_limit(at, modes, faults))
        .unwrap_or_default();
    let metadata_at = fields.optional("metadata");
    let metadata = metadata_at
        .as_ref()
        .map(|at| metadata::read(at, faults))
        .unwrap_or_default();
    let value_to_metric = flag(&mut fields, "value_to_metric", faults);
    let detailed = flag(&mut fields, "detailed_metric", faults);
    let detailed_metric = detailed.is_some();
    let descriptors = descriptors(&mut fields, faults);
    // Envoy Gateway sets modes on every node above a limit, where they mean nothing.
    if limit.is_none() && descriptors.is_empty() {
        let of_limits = [shadow, quota, metadata_at, detailed];
        for at in of_limits.into_iter().flatten() {
            faults.push(
                at.fault("expected a `rate_limit` beside it: there is no limit to apply it to"),
            );
        }
    }
    fields.finish(faults);
    Some(Descriptor {
        key: key?.to_owned(),
        value: value?,
        allowance: rate_limit.allowance,
        replaces: rate_limit.replaces,
        metadata,
        value_to_metric: value_to_metric.is_some(),
        detailed_metric,
        descriptors,
    })
}

/// The modes of a limit, which stand on the descriptor that has it.
#[derive(Clone, Copy, Debug)]
struct Modes {
    shadow: bool,
    quota: bool,
}

/// The place of a flag that is set.
fn flag<'n>(
    fields: &mut Mapping<'n>,
    key: &'static str,
    faults: &mut Vec<Fault>,
) -> Option<At<'n>> {
    let at = fields.optional(key)?;
    (at.boolean(faults) == Some(true)).then_some(at)
}

fn value(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Value> {
    let value = fields.optional("value");
    let shared = flag(fields, "share_threshold", faults);
    let text = match value {
        Some(at) => text(&at, faults)?,
        None => "",
    };
    if text.contains('*') {
        return Some(Value::Wildcard {
            pattern: text.to_owned(),
            share_threshold: shared.is_some(),
        });
    }
    if let Some(shared) = shared {
        let message = "expected a `value` with `*` beside it: there are no values to share";
        faults.push(shared.fault(message));
    }
    Some(if text.is_empty() {
        Value::Any
    } else {
        Value::Exact(text.to_owned())
    })
}

/// Text that is not empty.
fn name<'n>(at: &At<'n>, faults: &mut Vec<Fault>) -> Option<&'n str> {
    let text = text(at, faults)?;
    if text.is_empty() {
        faults.push(at.fault("expected a string that is not empty"));
        return None;
    }
    Some(text)
}

/// Text, unless other readers take it for a fraction and refuse it or write it differently.
fn text<'n>(at: &At<'n>, faults: &mut Vec<Fault>) -> Option<&'n str> {
    let text = at.text(faults)?;
    if at.is_fraction() {
        faults.push(at.fault(format!(
            "{} is a number here: put it in quotes",
            quoted(text)
        )));
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests;
