//! `GatewayClass` and `Gateway` of Gateway API.

use serde::Deserialize;
use serde::Serialize;

use crate::manifest::GATEWAY_API;
use crate::manifest::Spec;
use crate::manifest::namespace::LabelSelector;

/// Whose gateways are meant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClassSpec {
    /// The controller that takes care of them.
    pub controller_name: String,
}

impl Spec for GatewayClassSpec {
    const API_VERSION: &'static str = GATEWAY_API;
    const KIND: &'static str = "GatewayClass";
}

/// Listeners.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The name of the `GatewayClass`.
    pub gateway_class_name: String,
    /// The ports.
    pub listeners: Vec<Listener>,
}

impl Spec for GatewaySpec {
    const API_VERSION: &'static str = GATEWAY_API;
    const KIND: &'static str = "Gateway";
}

/// A port of a gateway.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// The port.
    pub port: u16,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// The hosts that it answers for; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// How TLS ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Which routes may attach; none means those of the gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names of protocols")]
pub enum Protocol {
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
}

/// How TLS ends at a listener.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// Whether it ends here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The certificates, when it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<SecretRef>,
}

/// Whether TLS ends at a listener.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum TlsMode {
    /// A backend ends it.
    Passthrough,
    /// It does.
    Terminate,
}

/// A secret with a certificate and its key.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The secret's name.
    pub name: String,
}

/// Which routes may attach to a listener.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// From which namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<RouteNamespaces>,
    /// Of which kinds; none means those that suit the protocol.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RouteKind>,
}

/// A kind of route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteKind {
    /// The API group; none means that of `HTTPRoute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    pub kind: String,
}

/// From which namespaces routes may attach.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    /// Whose; none means the gateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<FromNamespaces>,
    /// Their labels, where these decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A choice of namespaces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum FromNamespaces {
    /// All of them.
    All,
    /// None.
    None,
    /// The gateway's own.
    Same,
    /// Those with certain labels.
    Selector,
}
