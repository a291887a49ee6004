//! Requests at a steady rate, with every answer kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_client::RateLimitServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

use crate::now;

/// Asks for many keys of a limit that is never reached, which only the choice refuses, and for one of
/// a limit that is used up.
pub(crate) struct Traffic {
    seen: Arc<Mutex<Vec<Seen>>>,
    _clients: JoinSet<()>,
}

/// An answer, or that there was none.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    is_scarce: bool,
    pub(crate) begin: Instant,
    pub(crate) took: Duration,
    pub(crate) passes: bool,
}

impl Seen {
    /// Whether the choice decided, and not the store.
    pub(crate) fn is_by_choice(&self) -> bool {
        !self.is_scarce && !self.passes
    }

    pub(crate) fn is_scarce(&self) -> bool {
        self.is_scarce
    }
}

impl Traffic {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let mut clients = JoinSet::new();
        let endpoint = Endpoint::from_shared(format!("http://{to}")).expect("an address");
        for client in 0..CLIENTS {
            let channel = endpoint.connect().await.expect("the service listens");
            let mut rls = RateLimitServiceClient::new(channel);
            let seen = Arc::clone(&seen);
            clients.spawn(async move {
                let mut tick = tokio::time::interval(BETWEEN);
                for n in client.. {
                    tick.tick().await;
                    let is_scarce = client == 0;
                    let value = if is_scarce { 0 } else { n % KEYS };
                    let key = if is_scarce { "scarce" } else { "wide" };
                    let mut request = tonic::Request::new(request(key, &value.to_string()));
                    // Envoy's own timeout.
                    request.set_timeout(Duration::from_millis(20));
                    let begin = now();
                    let answer = rls.should_rate_limit(request).await;
                    let took = begin.elapsed();
                    let passes = answer.is_ok_and(|it| it.get_ref().overall_code() == Code::Ok);
                    seen.lock().expect("nobody panics").push(Seen {
                        is_scarce,
                        begin,
                        took,
                        passes,
                    });
                }
            });
        }
        Self {
            seen,
            _clients: clients,
        }
    }

    /// Waits until nothing was decided by choice for a while.
    pub(crate) async fn settles(&self) {
        loop {
            let from = now();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let seen = self.seen();
            let mut since = seen.iter().filter(|it| it.begin >= from);
            if since.all(|it| !it.is_by_choice()) {
                return;
            }
        }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("nobody panics").clone()
    }
}

fn request(key: &str, value: &str) -> RateLimitRequest {
    let entry = Entry {
        key: key.to_owned(),
        value: value.to_owned(),
    };
    RateLimitRequest {
        domain: "outage".to_owned(),
        descriptors: vec![RateLimitDescriptor {
            entries: vec![entry],
            ..RateLimitDescriptor::default()
        }],
        hits_addend: 0,
    }
}

/// N of the limit that is used up, by the hour, counted alone without the store.
pub(crate) const LIMIT: usize = 100;
pub(crate) const RULES: &str = "\
domain: outage
descriptors:
- {key: wide, rate_limit: {unit: hour, requests_per_unit: 1000000, on_store_failure: deny}}
- {key: scarce, rate_limit: {unit: hour, requests_per_unit: 100, on_store_failure: local}}
";
const CLIENTS: usize = 16;
/// Between two requests of a client: 3,200 a second in all.
const BETWEEN: Duration = Duration::from_millis(5);
/// So many that hardly any is leased.
const KEYS: usize = 100_000;
