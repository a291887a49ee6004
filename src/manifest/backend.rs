//! `Backend` of Envoy Gateway.

use serde::Deserialize;
use serde::Serialize;

use crate::manifest::ENVOY_GATEWAY;
use crate::manifest::Spec;

/// Where requests go.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendSpec {
    /// What it speaks besides HTTP/1.1, such as [`H2C`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub app_protocols: Vec<String>,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
    /// TLS to it; none means in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<BackendTls>,
}

impl Spec for BackendSpec {
    const API_VERSION: &'static str = ENVOY_GATEWAY;
    const KIND: &'static str = "Backend";
}

/// The group of the kind, for references to it.
pub const GROUP: &str = "gateway.envoyproxy.io";

/// HTTP/2, also without TLS.
pub const H2C: &str = "gateway.envoyproxy.io/h2c";

/// One place where a backend listens: a name or an address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// A name and a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<FqdnEndpoint>,
    /// An address and a port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpEndpoint>,
    /// The zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// A DNS name and a port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FqdnEndpoint {
    /// The name, of at least two labels.
    pub hostname: String,
    /// The port.
    pub port: u16,
}

/// An IP address and a port.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpEndpoint {
    /// The address.
    pub address: String,
    /// The port.
    pub port: u16,
}

/// How to speak TLS to a backend.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendTls {
    /// Sends the endpoint's own name; excludes `sni`.
    #[serde(
        default,
        rename = "autoSNIFromEndpointHostname",
        skip_serializing_if = "Option::is_none"
    )]
    pub auto_sni_from_endpoint_hostname: Option<bool>,
    /// Takes any certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// The name that is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Trusts what the system trusts, when it is `System`.
    #[serde(
        default,
        rename = "wellKnownCACertificates",
        skip_serializing_if = "Option::is_none"
    )]
    pub well_known_ca_certificates: Option<String>,
}
