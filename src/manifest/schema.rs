//! What the CRDs let a manifest have, so that every fault in one is found, with its place.
//!
//! The files beside this one are the CRDs' schemas, condensed to a line a field: the name, `!` if
//! the field must be there, its type and its limits. Patterns and rules that span fields are left
//! to the API server.

use std::sync::LazyLock;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::quoted;

/// What a node must be.
#[derive(Debug)]
pub(super) enum Schema {
    /// Anything.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number in these bounds.
    Integer { min: i64, max: i64 },
    /// A list of so many items.
    List {
        item: Box<Self>,
        min: usize,
        max: usize,
    },
    /// Keys that the user chooses.
    Map(Box<Self>),
    /// These keys and no others.
    Object(Vec<Field>),
    /// A text of so many characters.
    Text { min: usize, max: usize },
    /// One of these texts.
    Choice(Vec<&'static str>),
}

/// A key of an object.
#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    is_required: bool,
    schema: Schema,
}

/// The schema of what stands under `spec` in a kind of manifest.
pub(super) type Of = LazyLock<Schema>;

pub(super) static BACKEND: Of = LazyLock::new(|| Schema::of(include_str!("schema/backend.txt")));
pub(super) static BACKEND_TRAFFIC_POLICY: Of =
    LazyLock::new(|| Schema::of(include_str!("schema/backendtrafficpolicy.txt")));
pub(super) static GATEWAY: Of = LazyLock::new(|| Schema::of(include_str!("schema/gateway.txt")));
pub(super) static GATEWAY_CLASS: Of =
    LazyLock::new(|| Schema::of(include_str!("schema/gatewayclass.txt")));
pub(super) static GRPC_ROUTE: Of =
    LazyLock::new(|| Schema::of(include_str!("schema/grpcroute.txt")));
pub(super) static HTTP_ROUTE: Of =
    LazyLock::new(|| Schema::of(include_str!("schema/httproute.txt")));
pub(super) static SECURITY_POLICY: Of =
    LazyLock::new(|| Schema::of(include_str!("schema/securitypolicy.txt")));

/// Reports what is wrong with a manifest of a kind: the fields that all kinds have, and its `spec`.
pub(super) fn check(spec: &Schema, mut manifest: Mapping<'_>, faults: &mut Vec<Fault>) {
    for key in ["apiVersion", "kind", "status"] {
        manifest.optional(key);
    }
    if let Some(metadata) = manifest.required("metadata", faults) {
        METADATA.check(&metadata, faults);
    }
    if let Some(at) = manifest.required("spec", faults) {
        spec.check(&at, faults);
    }
    manifest.finish(faults);
}

/// What an API server lets any resource have beside its specification.
static METADATA: Of = LazyLock::new(|| Schema::of(include_str!("schema/metadata.txt")));

// === impl Schema ===

impl Schema {
    /// Reads a condensed schema.
    fn of(text: &'static str) -> Self {
        let lines: Vec<Line> = text.lines().map(Line::of).collect();
        let (root, below) = lines.split_first().expect("a schema has a root");
        Self::read(root, below)
    }

    fn read(line: &Line, below: &[Line]) -> Self {
        let bound = |name: &str, default: i64| line.limit(name).map_or(default, number);
        let size = |name: &str, default: usize| {
            let limit = line.limit(name).map(number);
            limit.map_or(default, |it| it.try_into().expect("no size is negative"))
        };
        let only = || Box::new(Self::read(&below[0], &below[1..]));
        match line.kind {
            "boolean" => Self::Boolean,
            "integer" => Self::Integer {
                min: bound("minimum", i64::MIN),
                max: bound("maximum", i64::MAX),
            },
            "list" => Self::List {
                item: only(),
                min: size("minItems", 0),
                max: size("maxItems", usize::MAX),
            },
            "map" => Self::Map(only()),
            "object" => Self::Object(Field::all(below, line.depth + 1)),
            "string" => match line.limit("enum") {
                Some(names) => Self::Choice(names.split('|').collect()),
                None => Self::Text {
                    min: size("minLength", 0),
                    max: size("maxLength", usize::MAX),
                },
            },
            _ => Self::Any,
        }
    }

    /// Reports every way in which a node is not as it must be.
    fn check(&self, at: &At<'_>, faults: &mut Vec<Fault>) {
        match self {
            Self::Any => {}
            Self::Boolean => {
                at.boolean(faults);
            }
            Self::Integer { min, max } => {
                at.integer(*min, *max, faults);
            }
            Self::List { item, min, max } => {
                let items = at.items(faults);
                if at.is_list() && !(*min..=*max).contains(&items.len()) {
                    let found = items.len();
                    let expected = match found < *min {
                        true => format!("at least {min} of them"),
                        false => format!("at most {max} of them"),
                    };
                    faults.push(at.fault(format!("expected {expected}, found {found}")));
                }
                for at in items {
                    item.check(&at, faults);
                }
            }
            Self::Map(value) => {
                let entries = at.mapping(faults).into_iter();
                for (_, at) in entries.flat_map(Mapping::into_entries) {
                    value.check(&at, faults);
                }
            }
            Self::Object(fields) => {
                if let Some(found) = at.mapping(faults) {
                    check_fields(fields, found, faults);
                }
            }
            Self::Text { min, max } => {
                if let Some(text) = at.string(faults)
                    && !(*min..=*max).contains(&text.chars().count())
                {
                    let expected = match text.is_empty() {
                        true => "a text".to_owned(),
                        false => format!("at most {max} characters"),
                    };
                    let found = quoted(text);
                    faults.push(at.fault(format!("expected {expected}, found {found}")));
                }
            }
            Self::Choice(names) => {
                if let Some(text) = at.string(faults)
                    && !names.contains(&text)
                {
                    let instead = near::instead(text, names, "expected nothing");
                    let message = format!("unknown value {}: {instead}", quoted(text));
                    faults.push(at.fault(message));
                }
            }
        }
    }
}

/// Reports the keys that are unknown, missing or have another value than they may.
fn check_fields(fields: &[Field], found: Mapping<'_>, faults: &mut Vec<Fault>) {
    let at = found.at().clone();
    let mut seen = Vec::with_capacity(fields.len());
    for (name, value) in found.into_entries() {
        match fields.iter().find(|field| field.name == name) {
            // Kubernetes takes null for absent.
            Some(_) if value.is_null() => {}
            Some(field) => {
                seen.push(field.name);
                field.schema.check(&value, faults);
            }
            None => {
                let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
                let instead = near::instead(name, &names, "expected nothing");
                faults.push(value.fault(format!("unknown field {}: {instead}", quoted(name))));
            }
        }
    }
    let missing = fields
        .iter()
        .filter(|field| field.is_required && !seen.contains(&field.name));
    for field in missing {
        faults.push(at.fault(format!("`{}` is missing", field.name)));
    }
}

// === impl Field ===

impl Field {
    /// The fields at a depth, each with what is below it.
    fn all(lines: &[Line], depth: usize) -> Vec<Self> {
        let is_field = |(_, line): &(usize, &Line)| line.depth == depth;
        let fields = lines.iter().enumerate().filter(is_field);
        let read = |(index, line): (usize, &Line)| {
            let below = lines[index + 1..].split(|it| it.depth <= depth).next();
            Self {
                name: line.name,
                is_required: line.is_required,
                schema: Schema::read(line, below.unwrap_or_default()),
            }
        };
        fields.map(read).collect()
    }
}

/// A line of a condensed schema.
#[derive(Debug)]
struct Line {
    depth: usize,
    name: &'static str,
    is_required: bool,
    kind: &'static str,
    limits: Vec<(&'static str, &'static str)>,
}

// === impl Line ===

impl Line {
    fn of(text: &'static str) -> Self {
        let trimmed = text.trim_start();
        let mut words = trimmed.split(' ');
        let name = words.next().unwrap_or_default();
        Self {
            depth: (text.len() - trimmed.len()) / 2,
            name: name.trim_end_matches('!'),
            is_required: name.ends_with('!'),
            kind: words.next().unwrap_or_default(),
            limits: words.filter_map(|word| word.split_once('=')).collect(),
        }
    }

    fn limit(&self, name: &str) -> Option<&'static str> {
        let limit = self.limits.iter().find(|(it, _)| *it == name);
        limit.map(|(_, value)| *value)
    }
}

fn number(text: &str) -> i64 {
    text.parse().expect("limits are whole numbers")
}
