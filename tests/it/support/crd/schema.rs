//! What of a CRD's schema is Kubernetes' own: its structure, defaults, kinds of lists and rules.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;

use crate::support::crd::rules::Compiler;
use crate::support::crd::rules::Rule;

/// A node of a structural schema.
#[derive(Default)]
pub(crate) struct Structural {
    /// `object`, `array`, `string`…; none where any value may stand, and for int-or-string.
    pub(crate) kind: Option<String>,
    pub(crate) properties: BTreeMap<String, Self>,
    /// The schema of the values of a map.
    pub(crate) values: Option<Box<Self>>,
    pub(crate) items: Option<Box<Self>>,
    pub(crate) default: Option<Value>,
    pub(crate) is_nullable: bool,
    pub(crate) keeps_unknown: bool,
    pub(crate) list: List,
    pub(crate) rules: Vec<Rule>,
}

/// What makes the items of a list distinct.
#[derive(Default)]
pub(crate) enum List {
    /// Nothing.
    #[default]
    Atomic,
    /// The values of these keys.
    Map(Vec<String>),
    /// Their whole value.
    Set,
}

impl Structural {
    /// The schema of a resource, whose metadata is not for the CRD to describe.
    pub(crate) fn root(schema: &Value, compiler: &mut Compiler) -> Self {
        let mut root = Self::of(schema, compiler);
        let metadata = root.properties.entry("metadata".to_owned()).or_default();
        metadata.keeps_unknown = true;
        root
    }

    /// Reads a schema. Fails on what this judge does not know, so that nothing is left unjudged.
    fn of(schema: &Value, compiler: &mut Compiler) -> Self {
        let schema = schema.as_object().unwrap();
        let unknown = schema.keys().find(|key| !KNOWN.contains(&key.as_str()));
        assert!(unknown.is_none(), "schema has {unknown:?}");
        let mut of = |schema: &Value| Box::new(Self::of(schema, compiler));
        let items = schema.get("items").map(&mut of);
        let mut keeps_unknown = is_true(schema, "x-kubernetes-preserve-unknown-fields");
        let values = match schema.get("additionalProperties") {
            Some(Value::Bool(any)) => {
                keeps_unknown |= any;
                None
            }
            values => values.map(&mut of),
        };
        let empty = Map::new();
        let properties = schema.get("properties").map_or(&empty, object).iter();
        Self {
            kind: schema.get("type").map(text),
            items,
            values,
            properties: properties
                .map(|(name, schema)| (name.clone(), Self::of(schema, compiler)))
                .collect(),
            default: schema.get("default").cloned(),
            is_nullable: is_true(schema, "nullable"),
            keeps_unknown,
            list: list(schema),
            rules: compiler.rules(schema.get("x-kubernetes-validations")),
        }
    }

    /// The schema of a field of an object or of a value in a map.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.values.as_deref())
    }

    /// Shows every value below this one that has a schema, itself first, with its path.
    pub(crate) fn visit(
        &self,
        value: &Value,
        path: &str,
        visitor: &mut impl FnMut(&Self, &Value, &str),
    ) {
        visitor(self, value, path);
        match value {
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    if let Some(items) = &self.items {
                        items.visit(value, &format!("{path}[{index}]"), visitor);
                    }
                }
            }
            Value::Object(values) => {
                for (name, value) in values {
                    if let Some(field) = self.field(name) {
                        field.visit(value, &self.below(path, name), visitor);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The path of a field of the object at `path`.
    fn below(&self, path: &str, name: &str) -> String {
        if self.values.is_some() {
            format!("{path}[{name}]")
        } else {
            join(path, name)
        }
    }
}

/// Names every field that no schema knows.
pub(crate) fn refuse_unknown(schema: &Structural, value: &Value, faults: &mut Vec<String>) {
    schema.visit(value, "", &mut |schema, value, path| {
        let is_object = schema.kind.as_deref() == Some("object");
        let (true, Some(fields)) = (is_object && !schema.keeps_unknown, value.as_object()) else {
            return;
        };
        let unknown = fields.keys().filter(|name| schema.field(name).is_none());
        faults.extend(unknown.map(|name| fault(&join(path, name), "unknown field")));
    });
}

/// What is wrong, after where.
pub(crate) fn fault(path: &str, message: &str) -> String {
    if path.is_empty() {
        message.to_owned()
    } else {
        format!("{path}: {message}")
    }
}

pub(crate) fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn list(schema: &Map<String, Value>) -> List {
    match schema.get("x-kubernetes-list-type").map(text).as_deref() {
        None | Some("atomic") => List::Atomic,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().unwrap();
            List::Map(keys.iter().map(text).collect())
        }
        Some("set") => List::Set,
        Some(other) => panic!("no type of lists: {other}"),
    }
}

fn is_true(schema: &Map<String, Value>, key: &str) -> bool {
    schema.get(key).is_some_and(|value| value == true)
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The keywords that are judged here, in [`crate::support::crd::openapi`], or that say nothing.
const KNOWN: &[&str] = &[
    "additionalProperties",
    "allOf",
    "anyOf",
    "default",
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];
