//! YAML → JSON as Kubernetes' tools read it, YAML 1.1: an unquoted `on` is true, an unquoted `010`
//! is eight.

use std::sync::Arc;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use slidegate::document::node;
use slidegate::document::node::Kind;
use slidegate::document::node::Node;
use slidegate::document::node::Scalar;

/// The documents of a stream.
#[track_caller]
pub(crate) fn documents(stream: &str) -> Vec<Value> {
    let nodes = node::parse(&Arc::from("stream"), stream);
    nodes.unwrap().iter().map(json).collect()
}

fn json(node: &Node) -> Value {
    match &node.kind {
        Kind::Mapping(entries) => {
            let mut fields = Map::new();
            for (key, value) in entries {
                let name = match json(key) {
                    Value::String(name) => name,
                    name => name.to_string(),
                };
                let line = key.line;
                let earlier = fields.insert(name, json(value));
                assert!(earlier.is_none(), "line {line}: a key for the second time");
            }
            Value::Object(fields)
        }
        Kind::Scalar(scalar) if scalar.plain => plain(scalar),
        Kind::Scalar(scalar) => Value::String(scalar.text.clone()),
        Kind::Sequence(items) => items.iter().map(json).collect(),
    }
}

fn plain(scalar: &Scalar) -> Value {
    let text = scalar.text.as_str();
    if scalar.is_null() {
        return Value::Null;
    }
    if TRUE.contains(&text) {
        return Value::Bool(true);
    }
    if FALSE.contains(&text) {
        return Value::Bool(false);
    }
    if let Some(number) = integer(text).or_else(|| float(text)) {
        return Value::Number(number);
    }
    let is_beyond_json = [".inf", "-.inf", "+.inf", ".nan"].contains(&text.to_lowercase().as_str());
    assert!(!is_beyond_json, "JSON has no {text}");
    Value::String(text.to_owned())
}

fn integer(text: &str) -> Option<Number> {
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(&text)),
    };
    let lower = digits.to_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if !digits.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).map(Number::from);
    let unsigned = || u64::from_str_radix(digits, radix).map(Number::from);
    match sign {
        "-" => signed.ok(),
        _ => signed.or_else(|_| unsigned()).ok(),
    }
}

fn float(text: &str) -> Option<Number> {
    let is_number = text.contains(|c: char| c.is_ascii_digit())
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.eE".contains(c))
        && !text.starts_with(['e', 'E']);
    let number: Option<f64> = is_number.then(|| text.parse().ok()).flatten();
    number.and_then(Number::from_f64)
}

const TRUE: &[&str] = &[
    "ON", "On", "TRUE", "True", "Y", "YES", "Yes", "on", "true", "y", "yes",
];

const FALSE: &[&str] = &[
    "FALSE", "False", "N", "NO", "No", "OFF", "Off", "false", "n", "no", "off",
];
