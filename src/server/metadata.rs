//! The dynamic metadata of an answer: what was asked, and what the rules say of themselves.

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit;
use envoy_types::pb::google::protobuf::ListValue;
use envoy_types::pb::google::protobuf::Struct;
use envoy_types::pb::google::protobuf::Value;
use envoy_types::pb::google::protobuf::value::Kind;
use serde_json::Value as Json;

use crate::limiter::verdict::Status;
use crate::rule::Metadata;

/// The metadata of the answer to a request. `metadata` in it joins that of the descriptors that
/// pass; of two values for one name the first stands.
pub(super) fn of(request: &RateLimitRequest, statuses: &[Status]) -> Struct {
    let descriptors = request.descriptors.iter().map(descriptor).collect();
    let mut fields = vec![
        ("domain", text(request.domain.clone())),
        ("descriptors", list(descriptors)),
    ];
    if request.hits_addend > 0 {
        fields.push(("hitsAddend", number(f64::from(request.hits_addend))));
    }
    let mut joined = Metadata::new();
    for status in statuses {
        if let Status::Limited {
            over_limit: false,
            metadata: Some(metadata),
            ..
        } = status
        {
            join(&mut joined, metadata);
        }
    }
    if !joined.is_empty() {
        fields.push(("metadata", of_json(&Json::Object(joined))));
    }
    object(fields)
}

/// The JSON form of metadata.
pub(super) fn json(metadata: &Struct) -> Json {
    let fields = metadata.fields.iter();
    let field = |(name, value): (&String, &Value)| (name.clone(), to_json(value));
    Json::Object(fields.map(field).collect())
}

fn descriptor(descriptor: &RateLimitDescriptor) -> Value {
    let entries = descriptor.entries.iter();
    let entries = entries.map(|it| text(format!("{}={}", it.key, it.value)));
    let mut fields = vec![("entries", list(entries.collect()))];
    if let Some(limit) = descriptor.limit {
        let unit = rate_limit::Unit::try_from(limit.unit).unwrap_or_default();
        let requests = limit.requests_per_unit;
        let written = format!("requests_per_unit:{requests} unit:{}", unit.as_str_name());
        fields.push(("limit", text(written)));
    }
    if let Some(hits) = descriptor.hits_addend {
        fields.push(("hitsAddend", number(hits.value as f64)));
    }
    value(Kind::StructValue(object(fields)))
}

fn join(joined: &mut Metadata, more: &Metadata) {
    for (name, value) in more {
        match (joined.get_mut(name), value) {
            (None, _) => {
                joined.insert(name.clone(), value.clone());
            }
            (Some(Json::Object(known)), Json::Object(more)) => join(known, more),
            (Some(_), _) => {}
        }
    }
}

fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => value(Kind::NullValue(0)),
        Json::Bool(it) => value(Kind::BoolValue(*it)),
        Json::Number(it) => number(it.as_f64().unwrap_or_default()),
        Json::String(it) => text(it.clone()),
        Json::Array(items) => list(items.iter().map(of_json).collect()),
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, it)| (name.as_str(), of_json(it)));
            value(Kind::StructValue(object(fields)))
        }
    }
}

fn to_json(value: &Value) -> Json {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(it)) => Json::from(*it),
        Some(Kind::NumberValue(it)) if it.fract() == 0.0 && it.abs() < MAX_EXACT => {
            Json::from(*it as i64)
        }
        Some(Kind::NumberValue(it)) => Json::from(*it),
        Some(Kind::StringValue(it)) => Json::from(it.as_str()),
        Some(Kind::ListValue(it)) => it.values.iter().map(to_json).collect(),
        Some(Kind::StructValue(it)) => json(it),
    }
}

fn object<'n>(fields: impl IntoIterator<Item = (&'n str, Value)>) -> Struct {
    let fields = fields.into_iter();
    Struct {
        fields: fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn list(values: Vec<Value>) -> Value {
    value(Kind::ListValue(ListValue { values }))
}

fn text(text: String) -> Value {
    value(Kind::StringValue(text))
}

fn number(number: f64) -> Value {
    value(Kind::NumberValue(number))
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

/// Below it every whole number has a form of its own.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
