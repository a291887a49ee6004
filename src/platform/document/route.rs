//! `kind: Route`.

mod auth;
mod backends;
mod matching;
mod timeouts;

use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::platform::ApiService;
use crate::platform::Gateway;
use crate::platform::Route;
use crate::platform::backend::Backend;
use crate::platform::document::entities::Entities;
use crate::platform::document::entities::Read;
use crate::platform::document::rate_limit;
use crate::platform::document::text;
use crate::platform::document::text::at_most;
use crate::platform::document::traffic::retry;
use crate::platform::hostname::Hostname;
use crate::platform::limit::Limit;

/// What routes refer to.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'p> {
    pub gateways: &'p Entities<Gateway>,
    pub backends: &'p Entities<Backend>,
    pub api_services: &'p Entities<ApiService>,
}

pub(super) fn read(
    surroundings: &Surroundings<'_>,
    name: &str,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Read<Route> {
    let status = status(fields, faults);
    let service = fields.required("api_service", faults);
    let service = service.and_then(|at| surroundings.api_services.resolve(&at, faults));
    let gateway = fields.required("gateway", faults);
    let gateway = gateway.and_then(|at| surroundings.gateways.resolve(&at, faults));
    let is_active = status
        && service.is_none_or(|service| service.is_active)
        && gateway.is_none_or(|gateway| gateway.is_active);
    let gateway = gateway.and_then(|gateway| gateway.entity.clone());
    let listener = listener(gateway.as_deref(), fields, faults);
    let hostnames = hostnames(fields, faults);
    let path = matching::path(fields, faults);
    let methods = matching::methods(fields, faults);
    let headers = matching::headers(fields, faults);
    let query_params = matching::query_params(fields, faults);
    let backends = backends::read(surroundings.backends, is_active, fields, faults);
    let tags = fields.optional("tags");
    let tags = tags.map(|at| text::labels(&at, faults)).unwrap_or_default();
    let limit = fields.optional("rate_limit");
    let (rate_limit, local_rate_limit) = match limit.and_then(|at| rate_limit::read(&at, faults)) {
        None => (None, None),
        Some(Limit::Global(limit)) => (Some(limit), None),
        Some(Limit::Local(limit)) => (None, Some(limit)),
    };
    let priority = fields.optional("priority");
    let priority = priority.and_then(|at| text::priority(&at, faults));
    let timeouts = timeouts::read(fields, faults);
    let auth = auth::read(surroundings.backends, is_active, fields, faults);
    let retry = fields.optional("retry");
    let retry = retry.and_then(|at| retry::read(&at, faults));
    let timeout = timeouts::inline(&timeouts, fields, faults);
    let build = || {
        Some(Route {
            name: name.to_owned(),
            api_service: Arc::clone(service?.entity.as_ref()?),
            gateway: gateway?,
            listener,
            hostnames: hostnames.iter().map(|(_, name)| name.clone()).collect(),
            path: path?,
            methods,
            headers,
            query_params,
            backends: backends?,
            priority,
            timeouts,
            auth: auth?,
            tags,
            rate_limit,
            local_rate_limit,
            retry,
            timeout,
        })
    };
    let entity = build();
    if let Some(route) = &entity {
        attaches(route, &hostnames, fields.at(), faults);
    }
    Read { entity, is_active }
}

fn status(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> bool {
    let names = [("active", true), ("inactive", false), ("draft", false)];
    let status = fields.optional("status");
    status.is_none_or(|at| at.one_of(&names, faults).unwrap_or(true))
}

/// The index of the listener that the route names.
fn listener(
    gateway: Option<&Gateway>,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<usize> {
    let at = fields.optional("listener")?;
    let name = at.text(faults)?;
    let listeners = &gateway?.listeners;
    let index = listeners.iter().position(|listener| listener.name == name);
    match index.map(|index| &listeners[index]) {
        None => {
            let gateway = &gateway?.name;
            let names = listeners.iter().map(|listener| listener.name.as_str());
            let instead = near::instead(name, &names.collect::<Vec<_>>(), "it has none");
            let message = format!("unknown listener `{name}` of gateway `{gateway}`: {instead}");
            faults.push(at.fault(message));
        }
        Some(listener) if !listener.protocol.carries_routes() => {
            let message = format!("listener `{name}` is of protocol TLS: expected HTTP or HTTPS");
            faults.push(at.fault(message));
        }
        Some(_) => {}
    }
    index
}

fn hostnames<'n>(fields: &mut Mapping<'n>, faults: &mut Vec<Fault>) -> Vec<(At<'n>, Hostname)> {
    let Some(at) = fields.optional("hostnames") else {
        return Vec::new();
    };
    let items = at.items(faults);
    let instead = "make several routes of it, or use a wildcard";
    at_most(
        MAX_HOSTNAMES,
        "hostnames",
        instead,
        &at,
        items.len(),
        faults,
    );
    let mut hostnames: Vec<(At<'n>, Hostname)> = Vec::with_capacity(items.len());
    for item in items {
        let Some(hostname) = text::hostname(&item, faults) else {
            continue;
        };
        if hostnames.iter().any(|(_, seen)| *seen == hostname) {
            faults.push(item.fault(format!("`{hostname}` stands here twice")));
        }
        hostnames.push((item, hostname));
    }
    hostnames
}

/// How many hostnames Gateway API lets a route have.
const MAX_HOSTNAMES: usize = 16;

/// Reports what keeps a route from attaching to its gateway.
fn attaches(route: &Route, hostnames: &[(At<'_>, Hostname)], at: &At<'_>, faults: &mut Vec<Fault>) {
    let gateway = &route.gateway.name;
    if route.listeners().next().is_none() {
        let message = format!("gateway `{gateway}` has no listener of protocol HTTP or HTTPS");
        faults.push(at.fault(message));
        return;
    }
    for (at, hostname) in hostnames {
        let has_it = |own: &Option<Hostname>| {
            own.as_ref()
                .is_none_or(|own| own.intersection(hostname).is_some())
        };
        if !route.listeners().any(|listener| has_it(&listener.hostname)) {
            let own = route
                .listeners()
                .filter_map(|listener| listener.hostname.as_ref());
            let own: Vec<&str> = own.map(Hostname::as_str).collect();
            let instead = near::instead(hostname.as_str(), &own, "");
            let message = format!("`{hostname}` is no host of gateway `{gateway}`: {instead}");
            faults.push(at.fault(message));
        }
    }
}
