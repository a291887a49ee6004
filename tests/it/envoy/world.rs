//! Everything around one test: Redis, replicas of the service, a backend, and Envoy.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use serde_json::Value;
use serde_json::json;
use slidegate::manifest;
use slidegate::source::file;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::envoy::backend;
use crate::envoy::bootstrap::Surroundings;
use crate::envoy::bootstrap::bootstrap;
use crate::envoy::proxy::Envoy;
use crate::envoy::translate::listeners;
use crate::support::certificates::Authority;
use crate::support::http::Answer;
use crate::support::http::Call;
use crate::support::in_project;
use crate::support::redis::Redis;
use crate::support::sample;
use crate::support::service::Service;

/// How a test's world differs from the others'.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many replicas of the service share the Redis.
    pub(crate) replicas: usize,
    /// Whether Envoy refuses requests when the service does not answer.
    pub(crate) fail_closed: bool,
    /// A rule file in place of the platform's limits.
    pub(crate) rules: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            replicas: 1,
            fail_closed: false,
            rules: None,
        }
    }
}

/// Envoy → service → Redis; all of it ends with the test.
#[derive(Debug)]
pub(crate) struct World {
    envoy: Envoy,
    listeners: BTreeMap<String, SocketAddr>,
    authority: Authority,
    services: Vec<Service>,
    _redis: Redis,
    _folder: TempDir,
}

impl World {
    /// Starts everything; `None`, after saying so, when Redis or Envoy is missing.
    #[track_caller]
    pub(crate) fn start(options: Options) -> Option<Self> {
        let redis = Redis::start()?;
        let folder = TempDir::new().unwrap();
        let rules = folder.path().join("rules.yaml");
        let source = match options.rules {
            None => ["--platform", PLATFORM],
            Some(text) => {
                fs::write(&rules, text).unwrap();
                ["--rules", rules.to_str().unwrap()]
            }
        };
        let services: Vec<_> = (0..options.replicas)
            .map(|_| start_service(&redis, source))
            .collect();
        let grpc: Vec<_> = services.iter().map(Service::grpc).collect();
        let authority = Authority::new();
        let around = Surroundings {
            services: &grpc,
            backend: backend::start(),
            authority: &authority,
            fail_closed: options.fail_closed,
        };
        let listeners = listeners(&manifests());
        let envoy = Envoy::start(&bootstrap(&listeners, around))?;
        let domains = listeners.iter().map(|it| &it.domain);
        let addresses = domains.map(|domain| (domain.clone(), envoy.address(domain)));
        Some(Self {
            listeners: addresses.collect(),
            envoy,
            authority,
            services,
            _redis: redis,
            _folder: folder,
        })
    }

    /// Sends a request through Envoy, to the first listener.
    #[track_caller]
    pub(crate) fn send(&self, call: &Call) -> Answer {
        self.send_to(DOMAIN, call)
    }

    /// Sends a request to a listener, by its domain.
    #[track_caller]
    pub(crate) fn send_to(&self, domain: &str, call: &Call) -> Answer {
        call.send(self.listeners[domain])
    }

    /// The domains of all listeners.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &str> {
        self.listeners.keys().map(String::as_str)
    }

    /// The certificate of who issued those of listeners, in PEM.
    pub(crate) fn authority(&self) -> String {
        self.authority.certificate()
    }

    /// What remains of a route's one bucket, asked of the service itself at no cost.
    #[track_caller]
    pub(crate) fn check(&self, route: &str) -> u64 {
        let entries = [
            json!({"key": route, "value": route}),
            json!({"key": "rule-0-match--1", "value": "rule-0-match--1"}),
        ];
        let message = json!({
            "domain": DOMAIN,
            "descriptors": [{"entries": entries, "hitsAddend": "0"}],
        });
        let answer = self.services[0].json(&message.to_string());
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        // Zero values are left out.
        body["statuses"][0]["limitRemaining"].as_u64().unwrap_or(0)
    }

    /// How many requests Envoy has sent to each replica.
    pub(crate) fn requests_by_replica(&self) -> Vec<u64> {
        self.envoy.requests_by_endpoint("ratelimit_cluster")
    }

    /// Stops every replica, as Kubernetes would.
    #[track_caller]
    pub(crate) fn stop_services(&mut self) {
        for service in &mut self.services {
            assert!(service.terminate().success(), "{}", service.log());
        }
    }
}

#[track_caller]
fn start_service(redis: &Redis, source: [&str; 2]) -> Service {
    let service = Service::start(&[source[0], source[1], "--store", &redis.url()]);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(service.serves());
    service
}

/// The manifests of the sample platform, as they are written.
#[track_caller]
fn manifests() -> Vec<Value> {
    let files = file::read(&[in_project(PLATFORM)]).unwrap();
    let manifests = sample::manifests(files).unwrap();
    serde_saphyr::from_multiple(&manifest::write(&manifests)).unwrap()
}

const PLATFORM: &str = "config/imprun";
const DOMAIN: &str = "default/api-gw/http";
