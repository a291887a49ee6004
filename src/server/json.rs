//! The messages in protobuf's JSON form.
//!
//! Both spellings of field names are read, `hitsAddend` and `hits_addend`; unknown fields are
//! refused. What is written has the first spelling and leaves zero values out.

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use envoy_types::pb::envoy::config::core::v3::HeaderValue;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::DescriptorStatus;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::RateLimit;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit;
use envoy_types::pb::google::protobuf::UInt64Value;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de;
use serde::de::Unexpected;
use serde::de::value::MapAccessDeserializer;

use crate::server::metadata;

/// Reads a `RateLimitRequest`.
///
/// # Errors
///
/// The body is no such message; the error says where.
pub fn read(body: &[u8]) -> Result<RateLimitRequest, serde_json::Error> {
    let Message(document): Message<RequestDocument> = serde_json::from_slice(body)?;
    Ok(document.into())
}

/// Writes a `RateLimitResponse`.
pub fn write(response: &RateLimitResponse) -> String {
    let document = ResponseDocument {
        overall_code: response.overall_code().as_str_name(),
        statuses: response.statuses.iter().map(status).collect(),
        response_headers_to_add: response
            .response_headers_to_add
            .iter()
            .map(header)
            .collect(),
        request_headers_to_add: response.request_headers_to_add.iter().map(header).collect(),
        dynamic_metadata: response.dynamic_metadata.as_ref().map(metadata::json),
    };
    serde_json::to_string(&document).expect("strings and numbers have a JSON form")
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RequestDocument {
    #[serde(deserialize_with = "or_default")]
    domain: String,
    #[serde(deserialize_with = "or_default")]
    descriptors: Vec<Message<DescriptorDocument>>,
    #[serde(alias = "hits_addend", deserialize_with = "or_default")]
    hits_addend: Number<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct DescriptorDocument {
    #[serde(deserialize_with = "or_default")]
    entries: Vec<Message<EntryDocument>>,
    limit: Option<Message<LimitDocument>>,
    #[serde(alias = "hits_addend")]
    hits_addend: Option<Number<u64>>,
    #[serde(alias = "is_negative_hits", deserialize_with = "or_default")]
    is_negative_hits: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EntryDocument {
    #[serde(deserialize_with = "or_default")]
    key: String,
    #[serde(deserialize_with = "or_default")]
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct LimitDocument {
    #[serde(alias = "requests_per_unit", deserialize_with = "or_default")]
    requests_per_unit: Number<u32>,
    #[serde(deserialize_with = "or_default")]
    unit: UnitNumber,
}

impl From<RequestDocument> for RateLimitRequest {
    fn from(document: RequestDocument) -> Self {
        let descriptors = document.descriptors.into_iter();
        Self {
            domain: document.domain,
            descriptors: descriptors.map(|it| it.0.into()).collect(),
            hits_addend: document.hits_addend.0,
        }
    }
}

impl From<DescriptorDocument> for RateLimitDescriptor {
    fn from(document: DescriptorDocument) -> Self {
        let entry = |Message(entry): Message<EntryDocument>| rate_limit_descriptor::Entry {
            key: entry.key,
            value: entry.value,
        };
        Self {
            entries: document.entries.into_iter().map(entry).collect(),
            limit: document.limit.map(|Message(limit)| RateLimitOverride {
                requests_per_unit: limit.requests_per_unit.0,
                unit: limit.unit.0,
            }),
            hits_addend: document.hits_addend.map(|it| UInt64Value { value: it.0 }),
            is_negative_hits: document.is_negative_hits,
        }
    }
}

/// A message, which is an object and nothing else. (Derived code reads a struct from a list, too.)
struct Message<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Message<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor(PhantomData))
    }
}

struct MessageVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for MessageVisitor<T> {
    type Value = Message<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Message)
    }
}

/// `null` stands for a field's default.
fn or_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A whole number, written as a number or in a string.
#[derive(Default)]
struct Number<T>(T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor(PhantomData))
    }
}

struct NumberVisitor<T>(PhantomData<T>);

impl<T: TryFrom<u64>> de::Visitor<'_> for NumberVisitor<T> {
    type Value = Number<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = 8 * size_of::<T>();
        write!(f, "a whole number of at most {bits} bits")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        let fits = T::try_from(number).map(Number);
        fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        // Protobuf reads 1.0 and 1e3 as well. Above 2^53 not every whole number has such a form.
        if number.fract() == 0.0 && (0.0..=MAX_EXACT).contains(&number) {
            return self.visit_u64(number as u64);
        }
        Err(E::invalid_value(Unexpected::Float(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_digits => self.visit_u64(number),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

/// The unit of an override, written as a number or by its name; which ones have a meaning is
/// decided where it is used.
#[derive(Default)]
struct UnitNumber(i32);

impl<'de> Deserialize<'de> for UnitNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnitVisitor)
    }
}

struct UnitVisitor;

impl de::Visitor<'_> for UnitVisitor {
    type Value = UnitNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a unit such as \"MINUTE\", or its number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        let fits = i32::try_from(number).map(UnitNumber);
        fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        let fits = i32::try_from(number).map(UnitNumber);
        fits.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let unit = rate_limit::Unit::from_str_name(text);
        unit.map(|unit| UnitNumber(unit as i32))
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResponseDocument<'a> {
    overall_code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<StatusDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    response_headers_to_add: Vec<HeaderDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_headers_to_add: Vec<HeaderDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_metadata: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct HeaderDocument<'a> {
    key: &'a str,
    value: &'a str,
}

fn header(header: &HeaderValue) -> HeaderDocument<'_> {
    HeaderDocument {
        key: &header.key,
        value: &header.value,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusDocument<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_limit: Option<CurrentLimitDocument<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    limit_remaining: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_until_reset: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CurrentLimitDocument<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    requests_per_unit: u32,
    unit: &'static str,
}

fn status(status: &DescriptorStatus) -> StatusDocument<'_> {
    let until_reset = status.duration_until_reset.as_ref();
    StatusDocument {
        code: status.code().as_str_name(),
        current_limit: status.current_limit.as_ref().map(current_limit),
        limit_remaining: status.limit_remaining,
        duration_until_reset: until_reset.map(|it| format!("{}s", it.seconds)),
    }
}

fn current_limit(limit: &RateLimit) -> CurrentLimitDocument<'_> {
    CurrentLimitDocument {
        name: &limit.name,
        requests_per_unit: limit.requests_per_unit,
        unit: limit.unit().as_str_name(),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// 2^53.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
