//! The way to backends, as Envoy Gateway says it.

use crate::manifest::cluster;
use crate::manifest::cluster::ActiveHealthCheck;
use crate::manifest::cluster::BackOff;
use crate::manifest::cluster::ConsistentHash;
use crate::manifest::cluster::GrpcHealthCheck;
use crate::manifest::cluster::HashCookie;
use crate::manifest::cluster::HashHeader;
use crate::manifest::cluster::HashType;
use crate::manifest::cluster::HealthCheckType;
use crate::manifest::cluster::HttpHealthCheck;
use crate::manifest::cluster::HttpTimeout;
use crate::manifest::cluster::LoadBalancerType;
use crate::manifest::cluster::PerRetry;
use crate::manifest::cluster::RETRIABLE_STATUS_CODES;
use crate::manifest::cluster::TcpHealthCheck;
use crate::manifest::cluster::TcpTimeout;
use crate::platform::span::Span;
use crate::platform::traffic::Backoff;
use crate::platform::traffic::CircuitBreaker;
use crate::platform::traffic::Hash;
use crate::platform::traffic::HealthCheck;
use crate::platform::traffic::LoadBalancer;
use crate::platform::traffic::Probe;
use crate::platform::traffic::Retry;
use crate::platform::traffic::RetryOn;

pub(super) fn retry(retry: &Retry) -> cluster::Retry {
    let per_retry = PerRetry {
        timeout: retry.per_try_timeout.as_ref().map(Span::to_string),
        back_off: retry.backoff.as_ref().map(back_off),
    };
    cluster::Retry {
        num_retries: retry.num_retries,
        per_retry: (per_retry != PerRetry::default()).then_some(per_retry),
        retry_on: retry_on(&retry.retry_on),
    }
}

fn back_off(backoff: &Backoff) -> BackOff {
    BackOff {
        base_interval: Some(backoff.base_interval.to_string()),
        max_interval: backoff.max_interval.as_ref().map(Span::to_string),
    }
}

fn retry_on(failures: &[RetryOn]) -> Option<cluster::RetryOn> {
    let mut retry_on = cluster::RetryOn::default();
    for failure in failures {
        match failure {
            RetryOn::Status(code) => retry_on.http_status_codes.push(*code),
            RetryOn::Trigger(name) => retry_on.triggers.push((*name).to_owned()),
        }
    }
    if !retry_on.http_status_codes.is_empty() {
        retry_on.triggers.push(RETRIABLE_STATUS_CODES.to_owned());
    }
    (retry_on != cluster::RetryOn::default()).then_some(retry_on)
}

pub(super) fn timeout(
    request: Option<&Span>,
    idle: Option<&Span>,
    connect: Option<&Span>,
) -> Option<cluster::Timeout> {
    let http = HttpTimeout {
        request_timeout: request.map(Span::to_string),
        connection_idle_timeout: idle.map(Span::to_string),
    };
    let tcp = TcpTimeout {
        connect_timeout: connect.map(Span::to_string),
    };
    let timeout = cluster::Timeout {
        tcp: (tcp != TcpTimeout::default()).then_some(tcp),
        http: (http != HttpTimeout::default()).then_some(http),
    };
    (timeout != cluster::Timeout::default()).then_some(timeout)
}

pub(super) fn circuit_breaker(breaker: &CircuitBreaker) -> cluster::CircuitBreaker {
    cluster::CircuitBreaker {
        max_connections: breaker.max_connections,
        max_pending_requests: breaker.max_pending_requests,
        max_parallel_requests: breaker.max_requests,
        max_parallel_retries: breaker.max_retries,
    }
}

pub(super) fn load_balancer(balancer: &LoadBalancer) -> cluster::LoadBalancer {
    let (balancer_type, consistent_hash) = match balancer {
        LoadBalancer::ConsistentHash(hash) => (
            LoadBalancerType::ConsistentHash,
            Some(consistent_hash(hash)),
        ),
        LoadBalancer::LeastRequest => (LoadBalancerType::LeastRequest, None),
        LoadBalancer::Random => (LoadBalancerType::Random, None),
        LoadBalancer::RoundRobin => (LoadBalancerType::RoundRobin, None),
    };
    cluster::LoadBalancer {
        balancer_type,
        consistent_hash,
    }
}

fn consistent_hash(hash: &Hash) -> ConsistentHash {
    let (hash_type, cookie, headers) = match hash {
        Hash::Cookie { name, ttl } => {
            let cookie = HashCookie {
                name: name.clone(),
                ttl: ttl.as_ref().map(Span::to_string),
            };
            (HashType::Cookie, Some(cookie), Vec::new())
        }
        Hash::Header(name) => {
            let name = name.clone();
            (HashType::Headers, None, vec![HashHeader { name }])
        }
        Hash::SourceIp => (HashType::SourceIp, None, Vec::new()),
    };
    ConsistentHash {
        hash_type,
        cookie,
        headers,
    }
}

pub(super) fn health_check(check: &HealthCheck) -> cluster::HealthCheck {
    let mut active = ActiveHealthCheck {
        check_type: HealthCheckType::Tcp,
        interval: check.interval.as_ref().map(Span::to_string),
        timeout: check.timeout.as_ref().map(Span::to_string),
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        http: None,
        tcp: None,
        grpc: None,
    };
    match &check.probe {
        Probe::Grpc { service } => {
            let service = service.clone();
            active.check_type = HealthCheckType::Grpc;
            active.grpc = service.is_some().then_some(GrpcHealthCheck { service });
        }
        Probe::Http {
            path,
            expected_statuses,
        } => {
            active.check_type = HealthCheckType::Http;
            active.http = Some(HttpHealthCheck {
                path: path.clone(),
                expected_statuses: expected_statuses.clone(),
            });
        }
        Probe::Tcp => active.tcp = Some(TcpHealthCheck {}),
    }
    cluster::HealthCheck {
        active: Some(active),
    }
}
