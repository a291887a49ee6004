//! Route → `HTTPRoute`.

use crate::manifest::Namespace;
use crate::manifest::Object;
use crate::manifest::emit::filter::Filters;
use crate::manifest::emit::from_all;
use crate::manifest::emit::metadata;
use crate::manifest::emit::service_labels;
use crate::manifest::route;
use crate::manifest::route::BackendRef;
use crate::manifest::route::HttpRouteSpec;
use crate::manifest::route::ParentRef;
use crate::manifest::route::PathMatchType;
use crate::manifest::route::RouteMatch;
use crate::manifest::route::RouteRule;
use crate::manifest::route::RouteTimeouts;
use crate::manifest::route::ValueMatch;
use crate::manifest::route::ValueMatchType;
use crate::platform::HeaderMatch;
use crate::platform::HeaderValue;
use crate::platform::Method;
use crate::platform::PathMatch;
use crate::platform::QueryMatch;
use crate::platform::QueryValue;
use crate::platform::Route;
use crate::platform::WeightedBackend;
use crate::platform::effective::Effective;
use crate::platform::effective::Source;
use crate::platform::share;
use crate::platform::share::Share;
use crate::platform::span::Span;
use crate::platform::traffic::Timeouts;

pub(super) fn object(
    route: &Route,
    effective: &Effective<'_>,
    namespace: &Namespace,
) -> Object<HttpRouteSpec> {
    let filters = Filters::of(route, effective);
    let own = Source::Route(&route.name);
    let from = from_all([own].into_iter().chain(filters.sources()));
    let mut metadata = metadata(&route.name, namespace, from);
    metadata.labels.extend(service_labels(&route.api_service));
    metadata.labels.extend(route.tags.clone());
    let rule = |matches| RouteRule {
        name: None,
        matches,
        filters: filters.written(),
        backend_refs: backend_refs(&route.backends),
        timeouts: timeouts(&route.timeouts),
    };
    let rules = if filters.replaces_prefix() {
        // Gateway API lets such a rule have one match only.
        matches(route)
            .into_iter()
            .map(|it| rule(vec![it]))
            .collect()
    } else {
        vec![rule(matches(route))]
    };
    let spec = HttpRouteSpec {
        parent_refs: vec![parent_ref(route)],
        hostnames: route.hostnames.iter().map(ToString::to_string).collect(),
        rules,
    };
    Object::new(metadata, spec)
}

fn timeouts(timeouts: &Timeouts) -> Option<RouteTimeouts> {
    let written = |span: &Option<Span>| span.as_ref().map(ToString::to_string);
    let timeouts = RouteTimeouts {
        request: written(&timeouts.request),
        backend_request: written(&timeouts.backend_request),
    };
    (timeouts != RouteTimeouts::default()).then_some(timeouts)
}

fn parent_ref(route: &Route) -> ParentRef {
    let listener = route.listener.map(|index| &route.gateway.listeners[index]);
    ParentRef {
        group: None,
        kind: None,
        namespace: None,
        name: route.gateway.name.clone(),
        section_name: listener.map(|listener| listener.name.clone()),
        port: None,
    }
}

/// One match a method, as Gateway API has them; each of them has limits of its own.
fn matches(route: &Route) -> Vec<RouteMatch> {
    let base = RouteMatch {
        path: Some(path(&route.path)),
        method: None,
        headers: route.headers.iter().map(header).collect(),
        query_params: route.query_params.iter().map(query_param).collect(),
    };
    if route.methods.is_empty() {
        return vec![base];
    }
    let with_method = |method: &Method| RouteMatch {
        method: Some(method.name().to_owned()),
        ..base.clone()
    };
    route.methods.iter().map(with_method).collect()
}

fn path(path: &PathMatch) -> route::PathMatch {
    let (match_type, value) = match path {
        PathMatch::Exact(value) => (PathMatchType::Exact, value),
        PathMatch::Prefix(value) => (PathMatchType::PathPrefix, value),
        PathMatch::Regex(value) => (PathMatchType::RegularExpression, value),
    };
    route::PathMatch {
        match_type: Some(match_type),
        value: Some(value.clone()),
    }
}

fn header(header: &HeaderMatch) -> ValueMatch {
    let (match_type, value) = match &header.value {
        HeaderValue::Exact(value) => (ValueMatchType::Exact, value.as_str()),
        HeaderValue::Present => (ValueMatchType::RegularExpression, ".*"),
        HeaderValue::Regex(value) => (ValueMatchType::RegularExpression, value.as_str()),
    };
    value_match(match_type, &header.name, value)
}

fn query_param(param: &QueryMatch) -> ValueMatch {
    let (match_type, value) = match &param.value {
        QueryValue::Exact(value) => (ValueMatchType::Exact, value),
        QueryValue::Regex(value) => (ValueMatchType::RegularExpression, value),
    };
    value_match(match_type, &param.name, value)
}

fn value_match(match_type: ValueMatchType, name: &str, value: &str) -> ValueMatch {
    ValueMatch {
        match_type: Some(match_type),
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn backend_refs(backends: &[WeightedBackend]) -> Vec<BackendRef> {
    let shares = share::shares(backends);
    let shares = shares.expect("a platform without faults has shares that can be written");
    let backend_ref = |share: &Share<'_>| BackendRef {
        weight: share.weight,
        ..BackendRef::backend(&share.part.name)
    };
    shares.iter().map(backend_ref).collect()
}
