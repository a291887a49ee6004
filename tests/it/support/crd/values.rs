//! Values as CEL rules see them: by their schema, and without what the schema does not know.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::support::crd::schema::Structural;

/// A value of this schema.
pub(crate) fn cel(schema: &Structural, value: &Value) -> cel::Value {
    match value {
        Value::Array(items) => {
            let schema = schema.items.as_deref();
            let items = schema.map(|schema| items.iter().map(|item| cel(schema, item)));
            cel::Value::List(Arc::new(items.into_iter().flatten().collect()))
        }
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Null => cel::Value::Null,
        Value::Number(number) => match number.as_i64() {
            Some(integer) if schema.kind.as_deref() != Some("number") => cel::Value::Int(integer),
            _ => cel::Value::Float(number.as_f64().unwrap()),
        },
        Value::Object(fields) => {
            let fields = fields.iter().filter_map(|(name, value)| {
                let key = if schema.values.is_some() {
                    name.clone()
                } else {
                    escaped(name)
                };
                Some((key, cel(schema.field(name)?, value)))
            });
            cel::Value::from(fields.collect::<HashMap<_, _>>())
        }
        Value::String(text) => cel::Value::from(text.as_str()),
    }
}

/// The name under which rules find a field: CEL's own words and characters that its names cannot
/// have are written out.
fn escaped(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];
