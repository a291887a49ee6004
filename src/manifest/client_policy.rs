//! `ClientTrafficPolicy` of Envoy Gateway: how clients are met.

use serde::Deserialize;
use serde::Serialize;

use crate::manifest::ENVOY_GATEWAY;
use crate::manifest::Spec;
use crate::manifest::filter::Header;
use crate::manifest::traffic_policy::TargetRef;

/// How the clients of its targets are met.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientTrafficPolicySpec {
    /// The gateways and listeners that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// What is done with headers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<HeaderSettings>,
}

impl Spec for ClientTrafficPolicySpec {
    const API_VERSION: &'static str = ENVOY_GATEWAY;
    const KIND: &'static str = "ClientTrafficPolicy";
}

/// What is done with headers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderSettings {
    /// Whether answers do not say what is left of limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_rate_limit_headers: Option<bool>,
    /// What is changed in a request before its route is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_request_headers: Option<EarlyHeaders>,
}

/// What is changed in a request before its route is looked for: first what is added, then what is
/// taken away.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EarlyHeaders {
    /// Added to what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Header>,
    /// Added where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_if_absent: Vec<Header>,
    /// In place of what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<Header>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Taken away as well, by what their names look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_on_match: Vec<NameMatch>,
}

/// What a name looks like.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameMatch {
    /// How it is compared; none means whole.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub match_type: Option<NameMatchType>,
    /// With what.
    pub value: String,
}

/// How a name is compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum NameMatchType {
    /// Whole.
    #[default]
    Exact,
    /// At its begin.
    Prefix,
    /// With an expression.
    RegularExpression,
    /// At its end.
    Suffix,
}
