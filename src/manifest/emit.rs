//! Platform → manifests.
//!
//! A policy of Envoy Gateway replaces what less specific ones say, so each route gets one policy of
//! its own that holds everything that is in force for it. Only counts that span routes stand in
//! policies for several routes or for all gateways.

mod backend;
mod client_policy;
mod cluster;
mod filter;
mod gateway;
mod rate_limit;
mod route;
mod security_policy;
pub(in crate::manifest) mod traffic_policy;

use std::collections::BTreeMap;

use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Namespace;
use crate::platform::ApiService;
use crate::platform::Platform;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::effective::policies::Policies;
use crate::platform::effective::traffic::Traffic;

/// The resources of a platform, in the order in which they are written.
pub fn manifests(platform: &Platform, namespace: &Namespace) -> Vec<Manifest> {
    Emission::of(platform, namespace).manifests().collect()
}

/// The resources of a platform, each made when it is asked for: all of them together take more memory
/// than the platform.
#[derive(Debug)]
pub struct Emission<'p> {
    platform: &'p Platform,
    namespace: &'p Namespace,
    effective: Effective<'p>,
    policies: Policies<'p>,
}

impl<'p> Emission<'p> {
    /// What a platform becomes in a namespace.
    pub fn of(platform: &'p Platform, namespace: &'p Namespace) -> Self {
        let effective = Effective::new(platform);
        let policies = Policies::of(platform, &effective);
        Self {
            platform,
            namespace,
            effective,
            policies,
        }
    }

    /// The resources, in the order in which they are written: what is referred to before what refers,
    /// then by name, as the platform has its entities.
    pub fn manifests(&self) -> impl Iterator<Item = Manifest> {
        let Self {
            platform,
            namespace,
            effective,
            policies,
        } = self;
        let classes = gateway::classes(platform).into_iter();
        let gateways = platform.gateways.iter();
        let clients = client_policy::objects(platform, namespace);
        let routes = platform.routes.iter();
        let security = platform.routes.iter();
        let security =
            security.filter_map(|route| security_policy::object(route, effective, namespace));
        classes
            .map(Manifest::GatewayClass)
            .chain(gateways.map(|it| Manifest::Gateway(gateway::object(it, namespace))))
            .chain(clients.map(Manifest::ClientTrafficPolicy))
            .chain(backend::objects(platform, namespace).map(Manifest::Backend))
            .chain(routes.map(|it| Manifest::HttpRoute(route::object(it, effective, namespace))))
            .chain(security.map(Manifest::SecurityPolicy))
            .chain(
                traffic_policy::objects(platform, policies, namespace)
                    .map(Manifest::BackendTrafficPolicy),
            )
    }

    /// Whether there are backends among them.
    pub fn has_backends(&self) -> bool {
        !self.platform.backends.is_empty()
    }

    /// Whether there are limits among them that a service counts.
    pub fn has_limits(&self) -> bool {
        let Policies {
            of_gateways,
            of_services,
            of_routes,
        } = &self.policies;
        // Services have policies only for limits that their routes share.
        let is_limited = |it: &Traffic<'_>| it.rate_limit.is_some();
        of_gateways.is_some() || !of_services.is_empty() || of_routes.iter().any(is_limited)
    }
}

/// The label that says who made a resource.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The annotation that says which entity a resource comes from.
pub const FROM: &str = "slidegate/from";

/// The metadata of a resource, with the labels that all have.
fn metadata(name: &str, namespace: &Namespace, from: String) -> Metadata {
    Metadata {
        name: name.to_owned(),
        namespace: Some(namespace.as_str().to_owned()),
        creation_timestamp: None,
        labels: labels(),
        annotations: annotations(from),
    }
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([(MANAGED_BY.to_owned(), "slidegate".to_owned())])
}

fn annotations(from: String) -> BTreeMap<String, String> {
    BTreeMap::from([(FROM.to_owned(), from)])
}

/// Where a resource comes from that has several sources, each once.
fn from_all<'p>(sources: impl IntoIterator<Item = Source<'p>>) -> String {
    let mut names: Vec<String> = Vec::new();
    for source in sources {
        let name = source.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// The labels of what belongs to an API service.
fn service_labels(service: &ApiService) -> impl Iterator<Item = (String, String)> {
    let part_of = ("app.kubernetes.io/part-of", Some(&service.name));
    let version = ("app.kubernetes.io/version", service.version.as_ref());
    let labels = [part_of, version].into_iter();
    labels.filter_map(|(key, value)| Some((key.to_owned(), value?.clone())))
}
