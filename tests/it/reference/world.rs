//! The service in the place of envoyproxy/ratelimit, with questions that take one line.

use std::cell::RefCell;
use std::fs;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::RateLimitOverride;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::r#type::v3::RateLimitUnit;
use envoy_types::pb::google::protobuf::UInt64Value;
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::dropin::local;
use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::raw;
use crate::support::rls::Rls;
use crate::support::rls::channel;
use crate::support::rls::descriptor;
use crate::support::rls::said;
use crate::support::service::Service;
use crate::support::service::slidegate;

/// A running service and a connection to it.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) folder: TempDir,
    rls: RefCell<Rls>,
    runtime: Runtime,
}

impl World {
    /// Starts it with one rule file and these variables.
    #[track_caller]
    pub(crate) fn start(rules: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let files = folder.path().join("ratelimit/config");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("rules"), rules).unwrap();
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs([
            ("RUNTIME_ROOT", folder.path().to_str().unwrap()),
            ("RUNTIME_SUBDIRECTORY", "ratelimit"),
            ("RUNTIME_WATCH_ROOT", "false"),
        ]);
        command.envs(environment.iter().copied());
        Self::of(Service::of_unhealthy(Process::start(&mut command)), folder)
    }

    /// Around a service that has been started.
    #[track_caller]
    pub(crate) fn of(service: Service, folder: TempDir) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let rls = RefCell::new(runtime.block_on(service.rls()));
        Self {
            service,
            folder,
            rls,
            runtime,
        }
    }

    /// Waits until its store has answered.
    pub(crate) fn serves(self) -> Self {
        self.runtime.block_on(self.service.serves());
        self
    }

    /// What it says to a request as [`request`] reads it.
    #[track_caller]
    pub(crate) fn ask(&self, text: &str) -> String {
        said(&self.answer(text))
    }

    /// The same request several times, and what is said to the last.
    #[track_caller]
    pub(crate) fn ask_times(&self, times: usize, text: &str) -> String {
        for _ in 1..times {
            self.answer(text).ok();
        }
        self.ask(text)
    }

    #[track_caller]
    pub(crate) fn answer(&self, text: &str) -> Result<RateLimitResponse, Status> {
        self.send(request(text))
    }

    /// Sends a message that [`request`] cannot say.
    #[track_caller]
    pub(crate) fn send(&self, message: RateLimitRequest) -> Result<RateLimitResponse, Status> {
        self.runtime.block_on(self.rls.borrow_mut().ask(message))
    }

    /// The code with which gRPC ends when a method gets these bytes.
    #[track_caller]
    pub(crate) fn call(&self, method: &'static str, bytes: &[u8]) -> String {
        let ended = self.runtime.block_on(async {
            let channel = channel(self.service.grpc()).await;
            raw::send(channel, method, bytes).await
        });
        ended.map_or_else(|it| format!("{:?}", it.code()), |()| "Ok".to_owned())
    }

    /// What gRPC health says of a service.
    #[track_caller]
    pub(crate) fn health(&self, service: &str) -> String {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = self.runtime.block_on(async {
            let mut client = HealthClient::new(channel(self.service.grpc()).await);
            client.check(request).await
        });
        match answer {
            Ok(response) => response.into_inner().status().as_str_name().to_owned(),
            Err(status) => format!("{:?}", status.code()),
        }
    }

    /// The headers of an answer, the last without its value, which depends on the time.
    #[track_caller]
    pub(crate) fn headers(&self, text: &str) -> String {
        let response = self.answer(text).unwrap();
        let headers = response.response_headers_to_add.iter();
        let headers = headers.map(|it| format!("{}: {}", it.key, it.value));
        let headers = headers.collect::<Vec<_>>().join(", ");
        headers.rsplit_once(": ").map_or("", |it| it.0).to_owned()
    }

    /// Status and body of a page of the main HTTP port.
    #[track_caller]
    pub(crate) fn http(&self, call: &Call) -> String {
        let answer = call.send(self.service.http());
        format!("{} {}", answer.status, answer.body)
    }

    /// Status and body of a page of the debug port.
    #[track_caller]
    pub(crate) fn debug(&self, path: &str) -> String {
        let answer = Call::get(path).send(self.service.debug());
        format!("{} {}", answer.status, answer.body)
    }

    /// A series' value as it is printed; `absent` where there is none.
    #[track_caller]
    pub(crate) fn metric(&self, series: &str) -> String {
        let page = Call::get("/metrics").send(self.service.metrics()).body;
        let value = |line: &str| {
            let value = line.strip_prefix(series)?.strip_prefix(' ')?;
            Some(value.to_owned())
        };
        page.lines()
            .find_map(value)
            .unwrap_or_else(|| "absent".to_owned())
    }

    /// The five counters of a rule, given its labels: total, within, near, over, shadow.
    #[track_caller]
    pub(crate) fn hits(&self, labels: &str) -> String {
        let counted = [
            "total_hits",
            "within_limit",
            "near_limit",
            "over_limit",
            "shadow_mode",
        ];
        let values = counted
            .map(|name| self.metric(&format!("ratelimit_service_rate_limit_{name}{{{labels}}}")));
        values.join(" ")
    }
}

/// A request: `domain hits=2 | key=value,key=value hits=0 limit=3/HOUR | key=value`.
#[track_caller]
pub(crate) fn request(text: &str) -> RateLimitRequest {
    let mut parts = text.split('|').map(str::trim);
    let mut words = parts.next().unwrap_or_default().split(' ');
    RateLimitRequest {
        domain: words.next().unwrap_or_default().to_owned(),
        hits_addend: option(words, "hits=").map_or(0, |it| it.parse().unwrap()),
        descriptors: parts.map(of_text).collect(),
    }
}

#[track_caller]
fn of_text(text: &str) -> RateLimitDescriptor {
    let words = text.split(' ');
    let entries = words.clone().next().filter(|it| !it.is_empty());
    let entries = entries.into_iter().flat_map(|it| it.split(','));
    let entries: Vec<_> = entries.map(|it| it.split_once('=').unwrap()).collect();
    let limit = option(words.clone(), "limit=").map(|limit| {
        let (requests, unit) = limit.split_once('/').unwrap();
        let number = || unit.parse().unwrap();
        RateLimitOverride {
            requests_per_unit: requests.parse().unwrap(),
            unit: RateLimitUnit::from_str_name(unit).map_or_else(number, i32::from),
        }
    });
    let hits = option(words, "hits=").map(|it| it.parse().unwrap());
    RateLimitDescriptor {
        limit,
        hits_addend: hits.map(|value| UInt64Value { value }),
        ..descriptor(&entries)
    }
}

fn option<'t>(mut words: impl Iterator<Item = &'t str>, name: &str) -> Option<&'t str> {
    words.find_map(|word| word.strip_prefix(name))
}
