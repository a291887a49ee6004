//! What the plain HTTP ports answer: /healthcheck and /json, /rlconfig, /metrics.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::any;
use axum::routing::get;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use tokio_util::sync::CancellationToken;

use crate::limiter::Limiter;
use crate::metrics::Metrics;
use crate::rule::Allowance;
use crate::rule::limit::Algorithm;
use crate::rule::tree::Rule;
use crate::server::health::Health;
use crate::server::json;
use crate::server::rls::Rls;

/// The main port: `/healthcheck` says whether the process is to be kept, which depends on the store
/// only where that is asked for, and `/json` decides a request in protobuf's JSON form.
pub fn main(rls: Rls, health: Health, draining: CancellationToken) -> Router {
    Router::new()
        .route("/healthcheck", any(healthcheck))
        .with_state((health, draining))
        .merge(Router::new().route("/json", any(decide)).with_state(rls))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// The port for whoever operates the process: `/rlconfig` shows the rules in force.
pub fn debug(limiter: Arc<Limiter>) -> Router {
    Router::new()
        .route("/", get(INDEX))
        .route("/rlconfig", get(rules))
        .with_state(limiter)
}

/// The port for Prometheus: one page, at `path`, which begins with a slash.
pub fn metrics(path: &str, metrics: Arc<Metrics>) -> Router {
    Router::new().route(path, get(render)).with_state(metrics)
}

async fn healthcheck(State((health, draining)): State<(Health, CancellationToken)>) -> Response {
    if draining.is_cancelled() || !health.is_well() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    "OK".into_response()
}

async fn decide(State(rls): State<Rls>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return refused(rejection.status(), &rejection.body_text()),
    };
    let message = match json::read(&body) {
        Ok(message) => message,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let response = match rls.decide(&message, WAIT).await {
        Ok(response) => response,
        Err(status) => return refused(StatusCode::BAD_REQUEST, status.message()),
    };
    let code = match response.overall_code() {
        Code::Ok => StatusCode::OK,
        Code::OverLimit => StatusCode::TOO_MANY_REQUESTS,
        Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let as_json = [(CONTENT_TYPE, "application/json")];
    (code, as_json, json::write(&response)).into_response()
}

/// The reference service's body, such as `Bad Request`, with the reason on a second line.
fn refused(code: StatusCode, reason: &str) -> Response {
    let name = code.canonical_reason().unwrap_or_default();
    (code, format!("{name}\n{reason}\n")).into_response()
}

async fn rules(State(limiter): State<Arc<Limiter>>) -> String {
    let rules = limiter.rules();
    let rules = rules.iter().flat_map(|rules| rules.rules());
    let mut lines: Vec<String> = rules.map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

/// A rule as the reference service shows it; what that does not know follows at the end, and only
/// where it is not the default.
fn line(rule: &Rule) -> String {
    let mut line = format!("{}.{}: ", rule.domain, rule.label());
    let (unit, requests, shadow, quota) = match &rule.allowance {
        Allowance::Limited(limit) => (limit.unit.name(), limit.requests, limit.shadow, limit.quota),
        Allowance::Unlimited => ("unknown", 0, false, false),
    };
    line.push_str("unit=");
    line.push_str(&unit.to_ascii_uppercase());
    let written = write!(
        line,
        " requests_per_unit={requests}, shadow_mode: {shadow}, quota_mode: {quota}"
    );
    written.expect("a string takes everything");
    if let Allowance::Limited(limit) = &rule.allowance {
        if limit.unit_multiplier.get() > 1 {
            let multiplier = limit.unit_multiplier;
            line.push_str(&format!(", unit_multiplier: {multiplier}"));
        }
        if limit.burst > 0 {
            line.push_str(&format!(", burst: {}", limit.burst));
        }
        if let Some(algorithm) = limit.algorithm {
            let named = Algorithm::NAMES.iter().find(|(_, it)| *it == algorithm);
            line.push_str(", algorithm: ");
            line.push_str(named.map_or("", |(name, _)| name));
        }
        if let Some(choice) = limit.on_store_failure {
            line.push_str(", on_store_failure: ");
            line.push_str(choice.name());
        }
    }
    line.push('\n');
    line
}

async fn render(State(metrics): State<Arc<Metrics>>) -> Response {
    let as_text = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (as_text, metrics.render()).into_response()
}

const INDEX: &str = "/rlconfig: print out the currently loaded configuration for debugging\n";
/// As large as a gRPC message may be.
const MAX_BODY_BYTES: usize = 4 * 1_024 * 1_024;
/// HTTP brings no deadline, and whoever asks this way is no proxy in a hurry.
const WAIT: Duration = Duration::from_secs(1);
