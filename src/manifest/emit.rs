//! Platform → manifests.
//!
//! A policy of Envoy Gateway replaces what less specific ones say, so each route gets one policy of
//! its own that holds everything that is in force for it. Only counts that span routes stand in
//! policies for several routes or for all gateways.

mod backend;
mod cluster;
mod filter;
mod gateway;
mod rate_limit;
mod route;
mod security_policy;
pub(in crate::manifest) mod traffic_policy;

use std::collections::BTreeMap;

use crate::manifest;
use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Namespace;
use crate::platform::ApiService;
use crate::platform::Platform;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;

/// The resources of a platform, in the order in which they are written.
pub fn manifests(platform: &Platform, namespace: &Namespace) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    for object in gateway::classes(platform) {
        manifests.push(Manifest::GatewayClass(object));
    }
    for gateway in &platform.gateways {
        let object = gateway::object(gateway, namespace);
        manifests.push(Manifest::Gateway(object));
    }
    for backend in &platform.backends {
        let objects = backend::objects(backend, namespace);
        manifests.extend(objects.into_iter().map(Manifest::Backend));
    }
    let effective = Effective::new(platform);
    for route in &platform.routes {
        let object = route::object(route, &effective, namespace);
        manifests.push(Manifest::HttpRoute(object));
        if let Some(object) = security_policy::object(route, &effective, namespace) {
            manifests.push(Manifest::SecurityPolicy(object));
        }
    }
    let objects = traffic_policy::objects(platform, &effective, namespace);
    manifests.extend(objects.into_iter().map(Manifest::BackendTrafficPolicy));
    manifest::sort(&mut manifests);
    manifests
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
