//! The OpenAPI part of a CRD's schema, as a JSON schema.

use jsonschema::Draft;
use jsonschema::PatternOptions;
use jsonschema::ValidationError;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::LocationSegment;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::support::crd::schema::fault;
use crate::support::crd::schema::join;

/// Types, patterns, limits and required fields.
pub(crate) struct OpenApi(Validator);

impl OpenApi {
    pub(crate) fn of(schema: &Value) -> Self {
        // Draft 4 is what OpenAPI 3.0 stands on: there `exclusiveMinimum` is a boolean.
        let options = jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_pattern_options(PatternOptions::regex())
            .with_format("byte", is_base64)
            .should_validate_formats(true)
            .should_ignore_unknown_formats(false);
        Self(options.build(&json_schema(schema)).unwrap())
    }

    /// Names every fault; tells whether CEL rules can still be evaluated.
    pub(crate) fn check(&self, value: &Value, faults: &mut Vec<String>) -> bool {
        let mut is_sound = true;
        for error in self.0.iter_errors(value) {
            is_sound &= !is_blocking(error.kind());
            faults.push(fault(&path(&error), &message(&error)));
        }
        is_sound
    }
}

/// Whether an API server evaluates no CEL rules once it met this.
fn is_blocking(kind: &ValidationErrorKind) -> bool {
    matches!(
        kind,
        ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::MaxItems { .. }
            | ValidationErrorKind::MaxLength { .. }
            | ValidationErrorKind::MaxProperties { .. }
            | ValidationErrorKind::Required { .. }
            | ValidationErrorKind::Type { .. }
    )
}

fn message(error: &ValidationError<'_>) -> String {
    match error.instance().as_ref() {
        Value::Array(_) | Value::Object(_) => error.masked_with("this").to_string(),
        _ => error.to_string(),
    }
}

fn path(error: &ValidationError<'_>) -> String {
    let mut path = String::new();
    for segment in error.instance_path().segments() {
        path = match segment {
            LocationSegment::Index(index) => format!("{path}[{index}]"),
            LocationSegment::Property(name) => join(&path, &name),
        };
    }
    path
}

/// The schema without what Kubernetes added, and with what its additions mean.
fn json_schema(schema: &Value) -> Value {
    let schema = schema.as_object().unwrap();
    let is_int_or_string = schema.get("x-kubernetes-int-or-string") == Some(&json!(true));
    let mut written = Map::new();
    for (key, value) in schema {
        let value = match key.as_str() {
            "default" | "description" | "nullable" | "title" => continue,
            key if key.starts_with("x-") => continue,
            // Says the same once more.
            "anyOf" if is_int_or_string => continue,
            "additionalProperties" if value.is_boolean() => value.clone(),
            "additionalProperties" | "items" | "not" => json_schema(value),
            "allOf" | "anyOf" | "oneOf" => array(value).iter().map(json_schema).collect(),
            "properties" => {
                let fields = value.as_object().unwrap().iter();
                let fields = fields.map(|(name, schema)| (name.clone(), json_schema(schema)));
                Value::Object(fields.collect())
            }
            "format" => match value.as_str().unwrap() {
                // Of numbers, which a JSON schema limits by other means.
                "double" | "float" | "int32" | "int64" => continue,
                _ => value.clone(),
            },
            _ => value.clone(),
        };
        written.insert(key.clone(), value);
    }
    let mut also = Vec::new();
    match schema.get("format").and_then(Value::as_str) {
        Some("int32") => also.push(json!({"minimum": i32::MIN, "maximum": i32::MAX})),
        Some("int64") => also.push(json!({"minimum": i64::MIN, "maximum": i64::MAX})),
        _ => {}
    }
    if is_int_or_string {
        also.push(json!({"type": ["integer", "string"]}));
    }
    if !also.is_empty() {
        let all = written.entry("allOf").or_insert_with(|| json!([]));
        all.as_array_mut().unwrap().extend(also);
    }
    if schema.get("nullable") == Some(&json!(true)) {
        allow_null(&mut written);
    }
    Value::Object(written)
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.clone(), "null"]);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let is_digit = |c: char| c.is_ascii_alphanumeric() || c == '+' || c == '/';
    text.len().is_multiple_of(4) && text.len() - digits.len() <= 2 && digits.chars().all(is_digit)
}
