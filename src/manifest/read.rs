//! YAML documents → manifests, with every fault in what decides about limits.
//!
//! A manifest of a kind that decides nothing about limits is passed over; one of a kind that nobody
//! knows in the groups that we read is a fault.

mod typed;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Faults;
use crate::document::Mapping;
use crate::document::near;
use crate::document::node;
use crate::document::node::Node;
use crate::document::quoted;
use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::client_policy::ClientTrafficPolicySpec;
use crate::manifest::grpc_route::GrpcRouteSpec;
use crate::manifest::namespace;
use crate::manifest::read::typed::typed;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::traffic_policy::BackendTrafficPolicySpec;
use crate::manifest::traffic_policy::TargetRef;

/// A manifest with where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Placed {
    /// The file's name.
    pub file: Arc<str>,
    /// The line at which it begins.
    pub line: usize,
    /// What stands there.
    pub manifest: Manifest,
}

/// What documents hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Found {
    /// The manifests that decide about limits, or about what has them.
    pub manifests: Vec<Placed>,
    /// Those that may change what the others say, and are not looked at.
    pub unread: Vec<Fault>,
    /// How many there were of kinds that decide nothing.
    pub passed_over: BTreeMap<String, usize>,
}

/// Reads a stream of manifests.
///
/// # Errors
///
/// Every fault of every document.
pub fn read(file: &Arc<str>, text: &str) -> Result<Vec<Manifest>, Faults> {
    let (mut found, mut faults) = (Found::default(), Vec::new());
    for document in node::stream(file, text) {
        match document {
            Ok(document) => found.add(file, &document, &mut faults),
            Err(fault) => faults.push(fault),
        }
    }
    let manifests = found.manifests.into_iter();
    Faults::none_or(faults, manifests.map(|placed| placed.manifest).collect())
}

// === impl Found ===

impl Found {
    /// Adds what a document is, or what a `List` holds.
    pub fn add(&mut self, file: &Arc<str>, document: &Node, faults: &mut Vec<Fault>) {
        self.add_at(&At::root(file, document), faults);
    }

    fn add_at(&mut self, at: &At<'_>, faults: &mut Vec<Fault>) {
        let Some(mut fields) = at.mapping(faults) else {
            return;
        };
        let version = fields.required("apiVersion", faults);
        let version_text = version.as_ref().and_then(|at| at.string(faults));
        let kind = fields.required("kind", faults);
        let kind_text = kind.as_ref().and_then(|at| at.string(faults));
        let (Some(version), Some(version_at), Some(kind), Some(kind_at)) =
            (version_text, version, kind_text, kind)
        else {
            return;
        };
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        let Some(known) = GROUPS.iter().find(|known| known.name == group) else {
            match (group, kind) {
                ("", "List") => self.add_items(&mut fields, faults),
                ("", "Namespace") => self.push(at, namespace::read(fields, faults)),
                _ => *self.passed_over.entry(kind.to_owned()).or_default() += 1,
            }
            return;
        };
        if let Some((_, reason)) = known.unread.iter().find(|(name, _)| *name == kind) {
            match reason {
                Some(reason) => self.unread.push(at.fault(format!(
                    "a manifest of kind `{kind}` is not looked at: {reason}"
                ))),
                None => *self.passed_over.entry(kind.to_owned()).or_default() += 1,
            }
            return;
        }
        let Some((_, of_kind)) = known.read.iter().find(|(name, _)| *name == kind) else {
            let read = known.read.iter().map(|(name, _)| *name);
            let names: Vec<&str> = read
                .chain(known.unread.iter().map(|(name, _)| *name))
                .collect();
            let instead = near::instead(kind, &names, "");
            let kind = quoted(kind);
            faults.push(kind_at.fault(format!("unknown kind {kind} of {group}: {instead}")));
            return;
        };
        if !known.versions.contains(&version) {
            let expected = known.versions.join(" or ");
            let version = quoted(version);
            let message = format!("unknown version {version} of {group}: expected {expected}");
            faults.push(version_at.fault(message));
            return;
        }
        let n_faults = faults.len();
        let manifest = of_kind(at, faults);
        if faults.len() == n_faults {
            self.push(at, manifest);
            self.note_unread(known, kind, &mut fields);
        }
    }

    /// Notes the fields of a manifest that are not looked at.
    fn note_unread(&mut self, known: &Group, kind: &str, fields: &mut Mapping<'_>) {
        let spec = fields.optional("spec");
        let Some(mut spec) = spec.and_then(|at| at.mapping(&mut Vec::new())) else {
            return;
        };
        let of_kind = known.unread_fields.iter().filter(|(of, ..)| *of == kind);
        for (_, field, reason) in of_kind {
            let at = spec.optional(field);
            let note = |at: At<'_>| at.fault(format!("is not looked at: {reason}"));
            self.unread.extend(at.map(note));
        }
    }

    fn add_items(&mut self, fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) {
        let items = fields.required("items", faults);
        for at in items
            .iter()
            .flat_map(|at| at.items(&mut *faults))
            .collect::<Vec<_>>()
        {
            self.add_at(&at, faults);
        }
    }

    fn push(&mut self, at: &At<'_>, manifest: Option<Manifest>) {
        self.manifests.extend(manifest.map(|manifest| Placed {
            file: Arc::clone(at.file()),
            line: at.line(),
            manifest,
        }));
    }
}

/// An API group whose kinds are known.
struct Group {
    name: &'static str,
    versions: &'static [&'static str],
    /// The kinds that are read, each with how.
    read: &'static [(&'static str, Read)],
    /// The kinds that are not, each with what it may change.
    unread: &'static [(&'static str, Option<&'static str>)],
    /// Fields below `spec` of kinds that are read which are not, each with what it may change.
    unread_fields: &'static [(&'static str, &'static str, &'static str)],
}

type Read = fn(&At<'_>, &mut Vec<Fault>) -> Option<Manifest>;

const GROUPS: &[Group] = &[
    Group {
        name: "gateway.networking.k8s.io",
        versions: &["v1", "v1beta1"],
        read: &[
            ("GatewayClass", |at, faults| {
                typed(at, faults).map(Manifest::GatewayClass)
            }),
            ("Gateway", |at, faults| {
                typed(at, faults).map(Manifest::Gateway)
            }),
            ("HTTPRoute", |at, faults| {
                typed(at, faults).map(Manifest::HttpRoute)
            }),
            ("GRPCRoute", |at, faults| {
                let route: Object<GrpcRouteSpec> = typed(at, faults)?;
                Some(Manifest::HttpRoute(Object {
                    api_version: route.api_version,
                    kind: route.kind,
                    metadata: route.metadata,
                    spec: HttpRouteSpec::from(route.spec),
                }))
            }),
        ],
        unread: &[
            ("BackendTLSPolicy", None),
            (
                "ListenerSet",
                Some("limits of routes at its listeners are missing"),
            ),
            ("ReferenceGrant", None),
            ("TCPRoute", None),
            ("TLSRoute", None),
            ("UDPRoute", None),
        ],
        unread_fields: &[],
    },
    Group {
        name: "gateway.envoyproxy.io",
        versions: &["v1alpha1"],
        read: &[
            ("Backend", |at, faults| {
                typed(at, faults).map(Manifest::Backend)
            }),
            ("BackendTrafficPolicy", traffic_policy),
            ("ClientTrafficPolicy", client_policy),
            ("SecurityPolicy", |at, faults| {
                typed(at, faults).map(Manifest::SecurityPolicy)
            }),
        ],
        unread: &[
            ("EnvoyExtensionPolicy", None),
            ("EnvoyGateway", None),
            (
                "EnvoyPatchPolicy",
                Some("it can change anything that Envoy does"),
            ),
            (
                "EnvoyProxy",
                Some("it can change the order of routes and of filters"),
            ),
            (
                "HTTPRouteFilter",
                Some("it can let a rule match fewer requests, or answer them itself"),
            ),
        ],
        unread_fields: &[
            ("ClientTrafficPolicy", "clientIPDetection", ADDRESS),
            ("ClientTrafficPolicy", "enableProxyProtocol", ADDRESS),
            (
                "ClientTrafficPolicy",
                "path",
                "it can change a path before routes are compared with it",
            ),
            ("ClientTrafficPolicy", "proxyProtocol", ADDRESS),
            (
                "ClientTrafficPolicy",
                "targetSelectors",
                "what the policy does to targets selected by label is missing",
            ),
        ],
    },
];

const ADDRESS: &str = "it can decide which address a client has";

fn client_policy(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Manifest> {
    let mut policy: Object<ClientTrafficPolicySpec> = typed(at, faults)?;
    let target = old_target(at, faults);
    policy.spec.target_refs.extend(target);
    Some(Manifest::ClientTrafficPolicy(policy))
}

/// The one target of the older form.
fn old_target(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<TargetRef> {
    let spec = at.mapping(faults)?.optional("spec")?;
    let target = spec.mapping(faults)?.optional("targetRef")?;
    typed(&target, faults)
}

fn traffic_policy(at: &At<'_>, faults: &mut Vec<Fault>) -> Option<Manifest> {
    let mut policy: Object<BackendTrafficPolicySpec> = typed(at, faults)?;
    let target = old_target(at, faults);
    policy.spec.target_refs.extend(target);
    let spec = at.mapping(faults)?.optional("spec")?;
    let mut spec = spec.mapping(faults)?;
    if let Some(selectors) = spec.optional("targetSelectors") {
        faults.push(selectors.fault("targets selected by label are not supported yet"));
    }
    Some(Manifest::BackendTrafficPolicy(policy))
}
