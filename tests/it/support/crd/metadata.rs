//! What every resource has beside what its CRD describes.

use serde_json::Map;
use serde_json::Value;

use crate::support::crd::schema::fault;

/// Where a kind of resource lives.
#[derive(Clone, Copy)]
pub(crate) enum Scope {
    Cluster,
    Namespaced,
}

/// Names what is wrong with the metadata of a manifest.
pub(crate) fn check(metadata: &Value, scope: Scope, faults: &mut Vec<String>) {
    let Some(fields) = metadata.as_object() else {
        faults.push("metadata: not an object".to_owned());
        return;
    };
    if !fields.contains_key("name") {
        faults.push("metadata.name: required".to_owned());
    }
    for (name, value) in fields {
        let mut refuse = |message: &str| faults.push(fault(&format!("metadata.{name}"), message));
        match (name.as_str(), scope) {
            ("name", _) if is_text(value, is_subdomain) => {}
            ("name", _) => refuse("not a lowercase RFC 1123 subdomain"),
            ("namespace", Scope::Namespaced) if is_text(value, is_dns_label) => {}
            ("namespace", Scope::Namespaced) => refuse("not a lowercase RFC 1123 label"),
            ("namespace", Scope::Cluster) => refuse("not allowed on a kind without namespaces"),
            ("annotations" | "labels", _) => match value.as_object() {
                Some(entries) => entries_of(name, entries, faults),
                None => refuse("not an object"),
            },
            _ => refuse("unknown field, or one that only servers set"),
        }
    }
}

fn entries_of(name: &str, entries: &Map<String, Value>, faults: &mut Vec<String>) {
    for (key, value) in entries {
        let mut refuse =
            |message: &str| faults.push(fault(&format!("metadata.{name}[{key}]"), message));
        if !is_qualified(key) {
            refuse("not a qualified name");
        }
        match value.as_str() {
            None => refuse("not a string"),
            Some(value) if name == "labels" && !value.is_empty() && !is_short_name(value) => {
                refuse("not a valid label value");
            }
            Some(_) => {}
        }
    }
    let values = entries
        .iter()
        .filter_map(|(key, value)| Some(key.len() + value.as_str()?.len()));
    if name == "annotations" && values.sum::<usize>() > MAX_ANNOTATIONS {
        faults.push(format!(
            "metadata.annotations: more than {MAX_ANNOTATIONS} bytes"
        ));
    }
}

fn is_text(value: &Value, is_right: fn(&str) -> bool) -> bool {
    value.as_str().is_some_and(is_right)
}

/// A key of a label or annotation: a name, perhaps after a domain and a slash.
fn is_qualified(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_short_name(name),
        None => is_short_name(key),
    }
}

fn is_short_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_outer = |c: char| c.is_ascii_alphanumeric();
    name.len() <= MAX_LABEL
        && name.chars().all(is_inner)
        && name.starts_with(is_outer)
        && name.ends_with(is_outer)
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

fn is_dns_label(name: &str) -> bool {
    name.len() <= MAX_LABEL && is_label(name)
}

fn is_label(name: &str) -> bool {
    let is_outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.chars().all(|c| is_outer(c) || c == '-')
        && name.starts_with(is_outer)
        && name.ends_with(is_outer)
}

const MAX_LABEL: usize = 63;

const MAX_NAME: usize = 253;

const MAX_ANNOTATIONS: usize = 256 << 10;
