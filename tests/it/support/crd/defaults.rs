//! Fills in what a manifest leaves out, before anything else looks at it.

use serde_json::Value;

use crate::support::crd::schema::Structural;

/// Drops the nulls that may not stand and have no default, then puts every default in place.
pub(crate) fn apply(schema: &Structural, value: &mut Value) {
    drop_nulls(schema, value);
    fill(schema, value);
}

fn drop_nulls(schema: &Structural, value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|name, value| {
            let field = schema.field(name);
            let is_unwanted = field.is_some_and(|it| !it.is_nullable && it.default.is_none());
            !(value.is_null() && is_unwanted)
        });
    }
    below(schema, value, drop_nulls);
}

fn fill(schema: &Structural, value: &mut Value) {
    if let Value::Object(fields) = value {
        for (name, field) in &schema.properties {
            if let (None, Some(default)) = (fields.get(name), &field.default) {
                fields.insert(name.clone(), default.clone());
            }
        }
    }
    below(schema, value, |schema, value| {
        if let (true, Some(default)) = (value.is_null() && !schema.is_nullable, &schema.default) {
            *value = default.clone();
        }
        fill(schema, value);
    });
}

/// Does something with every value directly below that has a schema.
fn below(schema: &Structural, value: &mut Value, act: fn(&Structural, &mut Value)) {
    match value {
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                items.iter_mut().for_each(|item| act(schema, item));
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.field(name) {
                    act(schema, value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
