//! `GRPCRoute` of Gateway API, and the `HTTPRoute` that Envoy Gateway makes of one.

use serde::Deserialize;

use crate::manifest::route::HttpRouteSpec;
use crate::manifest::route::ParentRef;
use crate::manifest::route::PathMatch;
use crate::manifest::route::PathMatchType;
use crate::manifest::route::RouteMatch;
use crate::manifest::route::RouteRule;
use crate::manifest::route::ValueMatch;
use crate::manifest::route::ValueMatchType;

/// Which calls go where.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GrpcRouteSpec {
    #[serde(default)]
    parent_refs: Vec<ParentRef>,
    #[serde(default)]
    hostnames: Vec<String>,
    #[serde(default)]
    rules: Vec<GrpcRule>,
}

#[derive(Clone, Debug, Deserialize)]
struct GrpcRule {
    name: Option<String>,
    #[serde(default)]
    matches: Vec<GrpcMatch>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrpcMatch {
    method: Option<MethodMatch>,
    #[serde(default)]
    headers: Vec<ValueMatch>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MethodMatch {
    #[serde(rename = "type")]
    match_type: Option<ValueMatchType>,
    service: Option<String>,
    method: Option<String>,
}

/// The kind of the manifest.
pub(super) const KIND: &str = "GRPCRoute";

// === impl HttpRouteSpec ===

/// Where calls go does not matter for their limits, and is left out.
impl From<GrpcRouteSpec> for HttpRouteSpec {
    fn from(spec: GrpcRouteSpec) -> Self {
        let rule = |rule: GrpcRule| RouteRule {
            name: rule.name,
            matches: rule.matches.into_iter().map(RouteMatch::from).collect(),
            filters: Vec::new(),
            backend_refs: Vec::new(),
            timeouts: None,
        };
        Self {
            parent_refs: spec.parent_refs,
            hostnames: spec.hostnames,
            rules: spec.rules.into_iter().map(rule).collect(),
        }
    }
}

impl From<GrpcMatch> for RouteMatch {
    fn from(wanted: GrpcMatch) -> Self {
        let (path, header) = wanted.method.map_or((None, None), |it| it.as_path());
        let mut headers = wanted.headers;
        headers.extend(header);
        // Of a call without a path to compare, Envoy Gateway compares none, not even `/`.
        let any = || path_match(PathMatchType::PathPrefix, String::new());
        Self {
            path: Some(path.unwrap_or_else(any)),
            method: None,
            headers,
            query_params: Vec::new(),
        }
    }
}

impl MethodMatch {
    /// The path `/service/method` of a call: as a whole, or only its end as a header.
    fn as_path(&self) -> (Option<PathMatch>, Option<ValueMatch>) {
        let (service, method) = (self.service.as_deref(), self.method.as_deref());
        let is_expression = self.match_type == Some(ValueMatchType::RegularExpression);
        let path = match (service, method) {
            (None, None) => None,
            (Some(service), Some(method)) if !is_expression => {
                Some((PathMatchType::Exact, format!("/{service}/{method}")))
            }
            (Some(service), None) if !is_expression => {
                Some((PathMatchType::PathPrefix, format!("/{service}")))
            }
            (None, Some(method)) if !is_expression => {
                let end = ValueMatch {
                    match_type: Some(ValueMatchType::RegularExpression),
                    name: ":path".to_owned(),
                    value: format!(".*/{}", regex::escape(method)),
                };
                return (None, Some(end));
            }
            (service, method) => {
                let (service, method) = (service.unwrap_or(SERVICE), method.unwrap_or(METHOD));
                let expression = format!("/{service}/{method}");
                Some((PathMatchType::RegularExpression, expression))
            }
        };
        (path.map(|(kind, path)| path_match(kind, path)), None)
    }
}

fn path_match(kind: PathMatchType, value: String) -> PathMatch {
    PathMatch {
        match_type: Some(kind),
        value: Some(value),
    }
}

/// What the name of a service looks like.
const SERVICE: &str = r"(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*";

/// What the name of a method looks like.
const METHOD: &str = "[A-Za-z_][A-Za-z_0-9]*";
