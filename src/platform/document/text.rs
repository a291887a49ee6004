//! Texts of platform documents: names, hosts, labels, choices.

use std::collections::BTreeMap;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::hostname::Hostname;
use crate::platform::hostname::is_dns_label;
use crate::platform::hostname::is_dns_name;
use crate::platform::span::Span;

/// The name of an entity.
pub(super) fn name(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let expected = "a name: 2 to 63 of a-z, 0-9 and inner hyphens";
    checked(at, faults, expected, |text| {
        text.len() > 1 && is_dns_label(text)
    })
}

/// A text that fulfils a condition, else a fault that says what was expected.
pub(super) fn checked(
    at: &At<'_>,
    faults: &mut Vec<Fault>,
    expected: &str,
    holds: impl Fn(&str) -> bool,
) -> Option<String> {
    let text = at.text(faults)?;
    if !holds(text) {
        faults.push(at.fault(format!("`{text}` is not {expected}")));
        return None;
    }
    Some(text.to_owned())
}

/// A host name, with or without a wildcard.
pub(super) fn hostname(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Hostname> {
    match Hostname::try_from(at.text(faults)?) {
        Ok(hostname) => Some(hostname),
        Err(error) => {
            faults.push(at.fault(error.to_string()));
            None
        }
    }
}

/// A port.
pub(super) fn port(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<u16> {
    let number = at.number(1, u64::from(u16::MAX), faults)?;
    u16::try_from(number).ok()
}

/// A priority.
pub(super) fn priority(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<u32> {
    let number = at.number(0, u64::from(u32::MAX), faults)?;
    u32::try_from(number).ok()
}

/// The name of a header or query parameter.
pub(super) fn token(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let expected = "the name of a header or query parameter";
    checked(at, faults, expected, is_token)
}

/// Whether a text may be the name of a header or query parameter.
pub(super) fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=256).contains(&text.len()) && text.bytes().all(is_token)
}

/// Whether a text is one word of visible characters.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A length of time.
pub(super) fn span(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Span> {
    match Span::try_from(at.text(faults)?) {
        Ok(span) => Some(span),
        Err(error) => {
            faults.push(at.fault(error.to_string()));
            None
        }
    }
}

/// Texts that fulfil a condition, each of them once; none at all when there are faults.
pub(super) fn list(
    at: &At<'_>,
    expected: &str,
    holds: impl Fn(&str) -> bool,
    faults: &mut Vec<Fault>,
) -> Option<Vec<String>> {
    let n_faults = faults.len();
    let mut texts = Vec::new();
    for item in at.items(faults) {
        let Some(text) = checked(&item, faults, expected, &holds) else {
            continue;
        };
        if texts.contains(&text) {
            faults.push(item.fault(format!("`{text}` stands here twice")));
        }
        texts.push(text);
    }
    (faults.len() == n_faults).then_some(texts)
}

/// Reports a list that is longer than a CRD has it, with what to do instead.
pub(super) fn at_most(
    max: usize,
    what: &str,
    instead: &str,
    at: &At<'_>,
    found: usize,
    faults: &mut Vec<Fault>,
) {
    if found > max {
        faults.push(at.fault(format!(
            "expected at most {max} {what}, found {found}: {instead}"
        )));
    }
}

/// One of a few names; those that stand for nothing are not supported yet.
pub(super) fn supported<T: Copy>(
    at: &At<'_>,
    names: &[(&str, Option<T>)],
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let value = at.one_of(names, faults)?;
    if value.is_none() {
        let text = at.text(faults)?;
        faults.push(at.fault(format!("`{text}` is not supported yet")));
    }
    value
}

/// Whether an entity is active, which it is when it does not say.
pub(super) fn status(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> bool {
    let names = [("active", true), ("inactive", false)];
    let status = fields.optional("status");
    status.is_none_or(|at| at.one_of(&names, faults).unwrap_or(true))
}

/// Labels of a Kubernetes object.
pub(super) fn labels(at: &At<'_>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let Some(fields) = at.mapping(faults) else {
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for (key, at) in fields.into_entries() {
        if !is_label_key(key) {
            faults.push(at.fault(format!("`{key}` is not the key of a Kubernetes label")));
        } else if key.starts_with("app.kubernetes.io/") {
            faults.push(at.fault(format!(
                "`{key}` is not free: slidegate sets labels of that kind"
            )));
        } else if let Some(value) = label(&at, faults) {
            labels.insert(key.to_owned(), value);
        }
    }
    labels
}

/// The value of a Kubernetes label.
pub(super) fn label(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let expected = "a label: at most 63 letters, digits and inner `-`, `_` and `.`";
    checked(at, faults, expected, |text| {
        text.is_empty() || is_label_name(text)
    })
}

fn is_label_key(key: &str) -> bool {
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("x", key));
    is_dns_name(prefix) && is_label_name(name)
}

fn is_label_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().copied().all(is_inner)
        && is_end(bytes.first())
        && is_end(bytes.last())
}

/// A path as Gateway API has it, which is one that no proxy on the way writes differently.
pub(super) fn path(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let path = at.text(faults)?;
    let refused = ["//", "/./", "/../", "%2f", "%2F"];
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&byte);
    let reason = if !path.starts_with('/') {
        "begin with `/`".to_owned()
    } else if path.len() > MAX_PATH {
        format!("have at most {MAX_PATH} characters")
    } else if let Some(part) = refused.iter().find(|part| path.contains(**part)) {
        format!("not have `{part}` in it")
    } else if path.ends_with("/..") || path.ends_with("/.") {
        "not end with a dot as its last element".to_owned()
    } else if !path.bytes().all(is_plain) || !has_whole_escapes(path) {
        "be percent-encoded, without query and fragment".to_owned()
    } else {
        return Some(path.to_owned());
    };
    faults.push(at.fault(format!("`{path}` is not a path: it must {reason}")));
    None
}

/// How long Gateway API lets a path be.
pub(super) const MAX_PATH: usize = 1_024;

fn has_whole_escapes(path: &str) -> bool {
    let mut escapes = path.split('%').skip(1);
    escapes.all(|it| it.len() >= 2 && it.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}
