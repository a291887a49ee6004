//! Which listeners a route attaches to, and for which hosts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::manifest::Manifest;
use crate::manifest::Object;
use crate::manifest::gateway::FromNamespaces;
use crate::manifest::gateway::GatewaySpec;
use crate::manifest::gateway::Listener;
use crate::manifest::gateway::Protocol;
use crate::manifest::namespace;
use crate::manifest::namespace::LabelSelector;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::route::ParentRef;
use crate::manifest::rules::Identity;
use crate::manifest::rules::identity;
use crate::manifest::rules::selector::Refused;
use crate::platform::hostname::Hostname;

/// The gateways among some manifests.
#[derive(Debug)]
pub(in crate::manifest) struct Gateways<'m> {
    by_name: BTreeMap<Identity<'m>, &'m Object<GatewaySpec>>,
    /// The labels of the namespaces that are given.
    namespaces: BTreeMap<&'m str, &'m BTreeMap<String, String>>,
}

/// A listener that a route attaches to.
#[derive(Debug)]
pub(in crate::manifest) struct Attachment<'m> {
    /// The gateway.
    pub gateway: &'m Object<GatewaySpec>,
    /// Its listener.
    pub listener: &'m Listener,
    /// The hosts, sorted; `*` stands for all.
    pub hostnames: BTreeSet<String>,
}

impl Attachment<'_> {
    /// The domain of the listener.
    pub(in crate::manifest) fn domain(&self) -> String {
        let (namespace, name) = identity(&self.gateway.metadata);
        format!("{namespace}/{name}/{}", self.listener.name)
    }
}

impl<'m> Gateways<'m> {
    pub(in crate::manifest) fn of(manifests: &'m [Manifest]) -> Self {
        let gateways = manifests.iter().filter_map(|manifest| match manifest {
            Manifest::Gateway(gateway) => Some((identity(&gateway.metadata), gateway)),
            _ => None,
        });
        let namespaces = manifests.iter().filter_map(|manifest| match manifest {
            Manifest::Namespace(it) => Some((it.metadata.name.as_str(), &it.metadata.labels)),
            _ => None,
        });
        Self {
            by_name: gateways.collect(),
            namespaces: namespaces.collect(),
        }
    }

    /// The gateway of that name.
    pub(super) fn named(&self, identity: Identity<'_>) -> Option<&'m Object<GatewaySpec>> {
        self.by_name.get(&identity).copied()
    }

    /// The listeners that a route attaches to for at least one host.
    pub(in crate::manifest) fn attachments(
        &self,
        route: &Object<HttpRouteSpec>,
    ) -> Result<Vec<Attachment<'m>>, Refused> {
        let mut attachments = Vec::new();
        let hostnames = hostnames(route)?;
        for (index, parent) in route.spec.parent_refs.iter().enumerate() {
            let field = format!("spec.parentRefs[{index}]");
            let kind = parent.kind.as_deref().unwrap_or("Gateway");
            if kind != "Gateway" {
                let reason = format!("a parent of kind `{kind}` is not supported yet");
                return Err((field, reason));
            }
            let namespace = parent.namespace.as_deref();
            let namespace = namespace.unwrap_or_else(|| route.metadata.namespace());
            let Some(gateway) = self.named((namespace, parent.name.as_str())) else {
                let reason = format!("gateway `{namespace}/{}` is not given", parent.name);
                return Err((field, reason));
            };
            for listener in gateway
                .spec
                .listeners
                .iter()
                .filter(|it| selects(parent, it))
            {
                if !self.admits(gateway, listener, route)? {
                    continue;
                }
                let hostnames = intersection(gateway, listener, &hostnames)?;
                if !hostnames.is_empty() {
                    attachments.push(Attachment {
                        gateway,
                        listener,
                        hostnames,
                    });
                }
            }
        }
        Ok(attachments)
    }

    /// Whether a listener takes a route.
    fn admits(
        &self,
        gateway: &Object<GatewaySpec>,
        listener: &Listener,
        route: &Object<HttpRouteSpec>,
    ) -> Result<bool, Refused> {
        if !matches!(listener.protocol, Protocol::Http | Protocol::Https) {
            return Ok(false);
        }
        let Some(allowed) = &listener.allowed_routes else {
            return Ok(gateway.metadata.namespace() == route.metadata.namespace());
        };
        if !allowed.kinds.is_empty() && allowed.kinds.iter().all(|it| it.kind != route.kind) {
            return Ok(false);
        }
        let namespaces = allowed.namespaces.as_ref();
        match namespaces
            .and_then(|it| it.from)
            .unwrap_or(FromNamespaces::Same)
        {
            FromNamespaces::All => Ok(true),
            FromNamespaces::None => Ok(false),
            FromNamespaces::Same => Ok(gateway.metadata.namespace() == route.metadata.namespace()),
            FromNamespaces::Selector => {
                let selector = namespaces.and_then(|it| it.selector.as_ref());
                let selector = selector.cloned().unwrap_or_default();
                self.chooses(&selector, gateway, listener, route)
            }
        }
    }

    /// Whether a listener chooses the namespace of a route by its labels.
    fn chooses(
        &self,
        selector: &LabelSelector,
        gateway: &Object<GatewaySpec>,
        listener: &Listener,
        route: &Object<HttpRouteSpec>,
    ) -> Result<bool, Refused> {
        let namespace = route.metadata.namespace();
        if let Some(labels) = self.namespaces.get(namespace) {
            return Ok(selector.selects(labels));
        }
        if selector.is_by_name() {
            let name = BTreeMap::from([(namespace::NAME.to_owned(), namespace.to_owned())]);
            return Ok(selector.selects(&name));
        }
        let (of_gateway, name) = identity(&gateway.metadata);
        let listener = &listener.name;
        let reason = format!(
            "listener `{listener}` of gateway `{of_gateway}/{name}` selects namespaces by label: \
             Namespace `{namespace}` is not given"
        );
        Err(("spec.parentRefs".to_owned(), reason))
    }
}

/// Whether a parent reference means a listener.
fn selects(parent: &ParentRef, listener: &Listener) -> bool {
    let is_named = parent
        .section_name
        .as_ref()
        .is_none_or(|name| *name == listener.name);
    let has_port = parent.port.is_none_or(|port| port == listener.port);
    is_named && has_port
}

fn hostnames(route: &Object<HttpRouteSpec>) -> Result<Vec<Hostname>, Refused> {
    let read = |(index, text): (usize, &String)| {
        let refused = |error| (format!("spec.hostnames[{index}]"), format!("{error}"));
        Hostname::try_from(text.as_str()).map_err(refused)
    };
    route.spec.hostnames.iter().enumerate().map(read).collect()
}

/// The hosts that a route and a listener have in common, without those that another listener of
/// the same port is named for.
fn intersection(
    gateway: &Object<GatewaySpec>,
    listener: &Listener,
    route: &[Hostname],
) -> Result<BTreeSet<String>, Refused> {
    let own = match &listener.hostname {
        None => None,
        Some(text) => {
            let (namespace, name) = identity(&gateway.metadata);
            let refused = |error| {
                let listener = &listener.name;
                let place = format!("listener `{listener}` of gateway `{namespace}/{name}`");
                ("spec.parentRefs".to_owned(), format!("{place}: {error}"))
            };
            Some(Hostname::try_from(text.as_str()).map_err(refused)?)
        }
    };
    let mut hostnames: BTreeSet<String> = match &own {
        None if route.is_empty() => return Ok(BTreeSet::from(["*".to_owned()])),
        Some(own) if route.is_empty() => return Ok(BTreeSet::from([own.to_string()])),
        None => route.iter().map(ToString::to_string).collect(),
        Some(own) => route
            .iter()
            .filter_map(|it| it.intersection(own))
            .map(|it| it.to_string())
            .collect(),
    };
    for other in &gateway.spec.listeners {
        let is_beside = other.name != listener.name && other.port == listener.port;
        if let Some(taken) = other.hostname.as_ref().filter(|_| is_beside) {
            hostnames.remove(taken);
        }
    }
    Ok(hostnames)
}
