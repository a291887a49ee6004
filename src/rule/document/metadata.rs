//! The `metadata` of a descriptor: free-form data.

use serde_json::Number;
use serde_json::Value;

use crate::document::At;
use crate::document::Fault;
use crate::document::node::Kind;
use crate::document::node::Scalar;
use crate::document::quoted;
use crate::rule::Metadata;

/// Reads the mapping. What stands there without quotes is what readers of YAML 1.1 take it for:
/// a number, a boolean (`yes` and `off` too) or nothing.
pub(super) fn read(at: &At<'_>, faults: &mut Vec<Fault>) -> Metadata {
    let Some(fields) = at.mapping(faults) else {
        return Metadata::new();
    };
    let field = |(name, at): (&str, At<'_>)| Some((name.to_owned(), value(&at, faults)?));
    fields.into_entries().filter_map(field).collect()
}

fn value(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Value> {
    match at.kind() {
        Kind::Mapping(_) => Some(Value::Object(read(at, faults))),
        Kind::Sequence(_) => {
            let items = at.items(faults).into_iter();
            Some(Value::Array(
                items.filter_map(|at| value(&at, faults)).collect(),
            ))
        }
        Kind::Scalar(it) if it.is_null() => Some(Value::Null),
        Kind::Scalar(Scalar { text, plain: true }) => match boolean(text) {
            Some(boolean) => Some(Value::Bool(boolean)),
            None => number(at, text, faults),
        },
        Kind::Scalar(Scalar { text, plain: false }) => Some(Value::String(text.clone())),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "on" => Some(true),
        "false" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

fn number(at: &At<'_>, text: &str, faults: &mut Vec<Fault>) -> Option<Value> {
    if !at.is_fraction() {
        let is_octal = text.len() > 1 && text.starts_with('0');
        let whole = text.parse::<i64>().ok().map(Number::from);
        let number = whole.or_else(|| text.parse::<u64>().ok().map(Number::from));
        return Some(match number.filter(|_| !is_octal) {
            Some(number) => Value::Number(number),
            None => Value::String(text.to_owned()),
        });
    }
    let number = text.parse().ok().and_then(Number::from_f64);
    if number.is_none() {
        faults.push(at.fault(format!("expected a finite number, found {}", quoted(text))));
    }
    number.map(Value::Number)
}

#[cfg(test)]
mod tests;
