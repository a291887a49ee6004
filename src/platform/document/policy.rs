//! `kind: Policy`.

use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::platform::ApiService;
use crate::platform::Policy;
use crate::platform::PolicySpec;
use crate::platform::Route;
use crate::platform::Scope;
use crate::platform::document::cors;
use crate::platform::document::entities::Entities;
use crate::platform::document::entities::Found;
use crate::platform::document::entities::Read;
use crate::platform::document::filter;
use crate::platform::document::rate_limit;
use crate::platform::document::text;
use crate::platform::document::traffic::circuit_breaker;
use crate::platform::document::traffic::retry;
use crate::platform::document::traffic::timeout;
use crate::platform::limit::Limit;

/// What policies can be for.
#[derive(Clone, Copy)]
pub(super) struct Targets<'p> {
    pub api_services: &'p Entities<ApiService>,
    pub routes: &'p Entities<Route>,
}

pub(super) fn read(
    targets: &Targets<'_>,
    name: &str,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Read<Policy> {
    let target = target(targets, fields, faults);
    let priority = fields.optional("priority");
    let priority = priority.and_then(|at| text::priority(&at, faults));
    let is_enabled = fields.optional("enabled");
    let is_enabled = is_enabled.and_then(|at| at.boolean(faults)) != Some(false);
    let kind = policy_type(fields, faults);
    let spec = fields.required("spec", faults);
    // The spec of another type would only seem to be full of unknown keys.
    let spec = spec.zip(kind).and_then(|(at, kind)| match kind {
        Type::CircuitBreaker => circuit_breaker::read(&at, faults).map(PolicySpec::CircuitBreaker),
        Type::Cors => cors::read(&at, faults).map(PolicySpec::Cors),
        Type::HeaderModifier => {
            filter::header_modifier(&at, faults).map(PolicySpec::HeaderModifier)
        }
        Type::RateLimit => rate_limit::read(&at, faults).map(|limit| match limit {
            Limit::Global(limit) => PolicySpec::RateLimit(limit),
            Limit::Local(limit) => PolicySpec::LocalRateLimit(limit),
        }),
        Type::RequestRedirect => {
            filter::request_redirect(&at, faults).map(PolicySpec::RequestRedirect)
        }
        Type::Retry => retry::read(&at, faults).map(PolicySpec::Retry),
        Type::Timeout => timeout::read(&at, faults).map(PolicySpec::Timeout),
        Type::UrlRewrite => filter::url_rewrite(&at, faults).map(PolicySpec::UrlRewrite),
    });
    let is_active = is_enabled && target.as_ref().is_none_or(|target| target.is_active);
    let entity = target.and_then(|target| target.scope).zip(spec);
    let entity = entity.map(|(scope, spec)| Policy {
        name: name.to_owned(),
        scope,
        priority: priority.unwrap_or(0),
        spec,
    });
    Read { entity, is_active }
}

#[derive(Clone, Copy)]
enum Type {
    CircuitBreaker,
    Cors,
    HeaderModifier,
    RateLimit,
    RequestRedirect,
    Retry,
    Timeout,
    UrlRewrite,
}

fn policy_type(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Type> {
    let at = fields.required("type", faults)?;
    let names = [
        ("rate-limit", Type::RateLimit),
        ("cors", Type::Cors),
        ("retry", Type::Retry),
        ("timeout", Type::Timeout),
        ("circuit-breaker", Type::CircuitBreaker),
        ("header-modifier", Type::HeaderModifier),
        ("url-rewrite", Type::UrlRewrite),
        ("request-redirect", Type::RequestRedirect),
    ];
    at.one_of(&names, faults)
}

/// What a policy is for, as far as it has been found.
struct Target {
    scope: Option<Scope>,
    is_active: bool,
}

#[derive(Clone, Copy)]
enum ScopeName {
    Global,
    Route,
    Service,
}

fn target(
    targets: &Targets<'_>,
    fields: &mut Mapping<'_>,
    faults: &mut Vec<Fault>,
) -> Option<Target> {
    let names = [
        ("global", ScopeName::Global),
        ("service", ScopeName::Service),
        ("route", ScopeName::Route),
    ];
    let scope = fields.required("scope", faults);
    let scope = scope.and_then(|at| at.one_of(&names, faults));
    let route = fields.optional("route");
    let service = fields.optional("api_service");
    let scope = scope?;
    let mut misplaced = |at: &Option<At<'_>>, key: &str, scope: &str| {
        if let Some(at) = at {
            faults.push(at.fault(format!("`{key}` is for scope {scope}")));
        }
    };
    match scope {
        ScopeName::Global => {
            misplaced(&route, "route", "route");
            misplaced(&service, "api_service", "service");
            Some(Target {
                scope: Some(Scope::Global),
                is_active: true,
            })
        }
        ScopeName::Route => {
            misplaced(&service, "api_service", "service");
            let at = fields.required("route", faults)?;
            Some(found(targets.routes.resolve(&at, faults)?, Scope::Route))
        }
        ScopeName::Service => {
            misplaced(&route, "route", "route");
            let at = fields.required("api_service", faults)?;
            let service = targets.api_services.resolve(&at, faults)?;
            Some(found(service, Scope::Service))
        }
    }
}

fn found<T>(found: &Found<T>, scope: impl Fn(Arc<T>) -> Scope) -> Target {
    Target {
        scope: found
            .entity
            .as_ref()
            .map(|entity| scope(Arc::clone(entity))),
        is_active: found.is_active,
    }
}
