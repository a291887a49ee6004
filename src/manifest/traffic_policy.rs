//! `BackendTrafficPolicy` of Envoy Gateway.

use serde::Deserialize;
use serde::Serialize;

use crate::manifest::ENVOY_GATEWAY;
use crate::manifest::Spec;
use crate::manifest::cluster::CircuitBreaker;
use crate::manifest::cluster::HealthCheck;
use crate::manifest::cluster::LoadBalancer;
use crate::manifest::cluster::Retry;
use crate::manifest::cluster::Timeout;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::route::HttpRouteSpec;

/// What holds for the traffic of its targets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTrafficPolicySpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// How it meets the policies of the targets' parents; none means that it replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge_type: Option<String>,
    /// The limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What is sent again when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Retry>>,
    /// How long things may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// How much may be under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit_breaker: Option<CircuitBreaker>,
    /// Which endpoint gets a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<Box<LoadBalancer>>,
    /// Which endpoints are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<Box<HealthCheck>>,
}

impl Spec for BackendTrafficPolicySpec {
    const API_VERSION: &'static str = ENVOY_GATEWAY;
    const KIND: &'static str = "BackendTrafficPolicy";
}

/// A resource that a policy is for, in the policy's namespace.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// The API group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The name.
    pub name: String,
    /// A part of it: a listener or a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

impl TargetRef {
    /// A whole `Gateway`.
    pub fn gateway(name: &str) -> Self {
        Self::whole::<GatewaySpec>(name)
    }

    /// A whole `HTTPRoute`.
    pub fn http_route(name: &str) -> Self {
        Self::whole::<HttpRouteSpec>(name)
    }

    fn whole<S: Spec>(name: &str) -> Self {
        Self {
            group: "gateway.networking.k8s.io".to_owned(),
            kind: S::KIND.to_owned(),
            name: name.to_owned(),
            section_name: None,
        }
    }
}

/// The limits of a policy.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimit {
    /// `Global` or `Local`, and then the other limits are not looked at; none means both.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub limit_type: Option<String>,
    /// The limits that all of Envoy's instances hold together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<GlobalRateLimit>,
    /// The limits that each of Envoy's instances holds alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalRateLimit>,
}

/// The limits that all of Envoy's instances hold together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GlobalRateLimit {
    /// The limits; each that selects a request counts it.
    pub rules: Vec<RateLimitRule>,
}

/// The limits that each of Envoy's instances holds alone.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalRateLimit {
    /// The limits, of which at most one is for every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RateLimitRule>,
}

/// A limit with the requests that it is for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitRule {
    /// Which requests, all of it; none means every request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_selectors: Vec<ClientSelector>,
    /// The limit.
    pub limit: LimitValue,
    /// What a request costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Whether all targets share one count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
    /// Whether it counts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_mode: Option<bool>,
    /// Whether responses say what is left.
    #[serde(
        default,
        rename = "xRateLimitHeaders",
        skip_serializing_if = "Option::is_none"
    )]
    pub x_rate_limit_headers: Option<String>,
}

/// What a request must have, all of it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSelector {
    /// Its headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<ValueSelector>,
    /// One of these methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<MethodSelector>,
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathSelector>,
    /// Where it comes from.
    #[serde(
        default,
        rename = "sourceCIDR",
        skip_serializing_if = "Option::is_none"
    )]
    pub source_cidr: Option<SourceCidr>,
    /// Its query parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<ValueSelector>,
}

/// A header or query parameter with the values that are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValueSelector {
    /// How values are compared; none means whole.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub match_type: Option<ValueSelectorType>,
    /// The name.
    pub name: String,
    /// The value or expression, unless every value counts apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether the other values are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

/// How the values of a header or query parameter are compared.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum ValueSelectorType {
    /// Every value counts apart.
    Distinct,
    /// Whole.
    #[default]
    Exact,
    /// With an expression.
    RegularExpression,
}

/// A method.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MethodSelector {
    /// Its name.
    pub value: String,
    /// Whether the other methods are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

/// Which paths are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathSelector {
    /// How they are compared; none means by prefix.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub match_type: Option<String>,
    /// With what.
    pub value: String,
    /// Whether the other paths are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

/// Which client addresses are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SourceCidr {
    /// Whether the addresses count apart; none means that they do not.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub match_type: Option<SourceCidrType>,
    /// The block of addresses.
    pub value: String,
    /// Whether the other addresses are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert: Option<bool>,
}

/// Whether the addresses of a block count apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum SourceCidrType {
    /// Each address counts apart.
    Distinct,
    /// The block shares one count.
    #[default]
    Exact,
}

/// So many requests per unit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitValue {
    /// How many; 0 refuses all.
    pub requests: u32,
    /// The unit.
    pub unit: LimitUnit,
    /// Where a request's own limit stands, when it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_metadata: Option<MetadataKey>,
}

/// A unit of time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names of units")]
pub enum LimitUnit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// What a request costs.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// Before it goes on; none means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<CostSource>,
    /// After its response; none means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<CostSource>,
}

/// Where a cost comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostSource {
    /// Which of the two it is.
    pub from: CostFrom,
    /// The number itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Where the number stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataKey>,
}

/// Which kind of cost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum CostFrom {
    /// A number in the metadata of the request.
    Metadata,
    /// A fixed number.
    Number,
}

/// A place in the metadata that Envoy's filters leave with a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetadataKey {
    /// The filter's namespace.
    pub namespace: String,
    /// The key in it.
    pub key: String,
}
