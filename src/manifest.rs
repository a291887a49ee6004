//! The Kubernetes resources that carry a platform: as types, written and in order.
//!
//! Of each resource the types hold what we emit and what the translation to rules needs. When a
//! manifest is read, other fields are left to the API server, but where all of them decide about limits.

pub mod backend;
pub mod burst;
pub mod client_policy;
pub mod cluster;
pub mod emit;
pub mod explain;
pub mod filter;
pub mod gateway;
mod grpc_route;
pub mod namespace;
pub mod origin;
pub mod read;
pub mod route;
pub mod rules;
pub mod security_policy;
pub mod settings;
pub mod traffic_policy;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;

use crate::manifest::backend::BackendSpec;
use crate::manifest::client_policy::ClientTrafficPolicySpec;
use crate::manifest::gateway::GatewayClassSpec;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::namespace::NamespaceSpec;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::security_policy::SecurityPolicySpec;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::platform::hostname::is_dns_label;

/// A Kubernetes resource of a kind that we know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Manifest {
    /// Whose gateways are meant.
    GatewayClass(Object<GatewayClassSpec>),
    /// Listeners.
    Gateway(Object<GatewaySpec>),
    /// How clients are met.
    ClientTrafficPolicy(Object<ClientTrafficPolicySpec>),
    /// Where requests go.
    Backend(Object<BackendSpec>),
    /// What belongs together; it is read only.
    Namespace(Object<NamespaceSpec>),
    /// Which requests go where. A `GRPCRoute` is here too, as the `HTTPRoute` that Envoy Gateway makes
    /// of it; its kind tells it.
    HttpRoute(Object<HttpRouteSpec>),
    /// Who may call.
    SecurityPolicy(Object<SecurityPolicySpec>),
    /// Limits, among others.
    BackendTrafficPolicy(Object<BackendTrafficPolicySpec>),
}

/// What every Kubernetes resource has.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Object<S> {
    /// The API group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: Metadata,
    /// What the resource says.
    pub spec: S,
}

/// The specification of a kind of resource.
pub trait Spec {
    /// The API group and version.
    const API_VERSION: &'static str;
    /// The kind.
    const KIND: &'static str;
}

/// Name, namespace, labels and annotations of a resource.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The name, unique for its kind and namespace.
    pub name: String,
    /// The namespace; none means `default`, or that the kind has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// When a cluster got it, in RFC 3339 and UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_timestamp: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The name of a Kubernetes namespace, an RFC 1123 label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespace(String);

/// The text is no name of a namespace.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a namespace: expected at most 63 of a-z, 0-9 and inner hyphens")]
pub struct InvalidNamespace(String);

/// The version of Gateway API.
pub const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// The version of Envoy Gateway's API.
pub const ENVOY_GATEWAY: &str = "gateway.envoyproxy.io/v1alpha1";

// === impl Manifest ===

impl Manifest {
    /// The kind.
    pub fn kind(&self) -> &str {
        match self {
            Self::GatewayClass(object) => &object.kind,
            Self::Gateway(object) => &object.kind,
            Self::ClientTrafficPolicy(object) => &object.kind,
            Self::Backend(object) => &object.kind,
            Self::HttpRoute(object) => &object.kind,
            Self::Namespace(object) => &object.kind,
            Self::SecurityPolicy(object) => &object.kind,
            Self::BackendTrafficPolicy(object) => &object.kind,
        }
    }

    /// The resource's name, namespace and labels.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::GatewayClass(object) => &object.metadata,
            Self::Gateway(object) => &object.metadata,
            Self::ClientTrafficPolicy(object) => &object.metadata,
            Self::Backend(object) => &object.metadata,
            Self::HttpRoute(object) => &object.metadata,
            Self::Namespace(object) => &object.metadata,
            Self::SecurityPolicy(object) => &object.metadata,
            Self::BackendTrafficPolicy(object) => &object.metadata,
        }
    }
}

/// As `Kind namespace/name`.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, metadata) = (self.kind(), self.metadata());
        write!(f, "{kind} {}/{}", metadata.namespace(), metadata.name)
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::GatewayClass(object) => object.serialize(serializer),
            Self::Gateway(object) => object.serialize(serializer),
            Self::ClientTrafficPolicy(object) => object.serialize(serializer),
            Self::Backend(object) => object.serialize(serializer),
            Self::HttpRoute(object) => object.serialize(serializer),
            Self::Namespace(object) => object.serialize(serializer),
            Self::SecurityPolicy(object) => object.serialize(serializer),
            Self::BackendTrafficPolicy(object) => object.serialize(serializer),
        }
    }
}

// === impl Object ===

impl<S: Spec> Object<S> {
    /// A resource of the specification's kind.
    pub fn new(metadata: Metadata, spec: S) -> Self {
        Self {
            api_version: S::API_VERSION.to_owned(),
            kind: S::KIND.to_owned(),
            metadata,
            spec,
        }
    }
}

// === impl Metadata ===

impl Metadata {
    /// The namespace that a namespaced resource is in.
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }
}

// === impl Namespace ===

impl Namespace {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Namespace {
    type Error = InvalidNamespace;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        if is_dns_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidNamespace(text.to_owned()))
    }
}

/// Writes manifests as one YAML stream, in the order given.
///
/// Strings that a reader of YAML 1.1 would take for something else are quoted.
pub fn write(manifests: &[Manifest]) -> String {
    let mut text = String::new();
    for manifest in manifests {
        write_next(&mut text, manifest);
    }
    text
}

/// Writes a manifest as the next document of a YAML stream.
pub fn write_next(text: &mut String, manifest: &Manifest) {
    text.push_str("---\n");
    write_to(text, manifest);
}

/// Writes a manifest as one YAML document, without a `---`.
pub fn write_one(manifest: &Manifest) -> String {
    let mut text = String::new();
    write_to(&mut text, manifest);
    text
}

fn write_to(text: &mut String, manifest: &Manifest) {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
    };
    serde_saphyr::to_fmt_writer_with_options(text, manifest, options)
        .expect("a manifest holds nothing but strings, numbers, lists and maps with string keys");
}

#[cfg(test)]
mod tests;
