//! Rules from an xDS server, such as Envoy Gateway: connects, listens, applies, and connects again.

pub mod backoff;
pub mod connect;
pub mod judge;
pub mod push;
pub mod session;

use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tracing::debug;
use tracing::info;
use tracing::warn;

use crate::metrics::SourceMetrics;
use crate::rule::Domain;
use crate::shutdown::TaskError;
use crate::source::in_force;
use crate::source::xds::backoff::Backoff;
use crate::source::xds::connect::Dial;
use crate::source::xds::judge::Judge;
use crate::source::xds::judge::Judgement;
use crate::source::xds::session::Reply;
use crate::source::xds::session::Session;

/// A client of an xDS server.
#[derive(Debug)]
pub struct Client {
    /// How to reach the server.
    pub dial: Dial,
    /// What to tell it, and what was told.
    pub session: Session,
    /// What goes with the stream besides.
    pub headers: MetadataMap,
    /// Between attempts to connect.
    pub backoff: Backoff,
    /// The largest response that is read.
    pub max_message_bytes: usize,
}

impl Client {
    /// Applies what the server pushes until told to stop. While there is no server, the last good
    /// rules stay in force.
    ///
    /// # Errors
    ///
    /// None: whatever the server does, another attempt is made.
    pub async fn run(
        self,
        apply: impl Fn(Vec<Domain>),
        metrics: SourceMetrics,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut link = Link {
            client: self,
            judge: Judge::default(),
            apply,
            metrics,
            problem: String::new(),
        };
        stop.run_until_cancelled(link.keep()).await;
        Ok(())
    }
}

/// A client at work.
struct Link<A> {
    client: Client,
    judge: Judge,
    apply: A,
    metrics: SourceMetrics,
    /// Why the last attempt failed; the same is not logged twice.
    problem: String,
}

impl<A: Fn(Vec<Domain>)> Link<A> {
    async fn keep(&mut self) {
        loop {
            let problem = self.attempt().await;
            let wait = self.client.backoff.next(fastrand::f64());
            let server = &self.client.dial.address;
            if problem == self.problem {
                debug!(server, problem, ?wait, "still no xDS server");
            } else {
                warn!(
                    server,
                    problem,
                    ?wait,
                    "no xDS server, what is in force stays"
                );
                self.problem = problem;
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Connects and does what the server says until that ends, and says why it did.
    async fn attempt(&mut self) -> String {
        let (channel, fault) = match self.client.dial.connect().await {
            Ok(connected) => connected,
            Err(error) => return chain(error.as_ref()),
        };
        let ended = self.stream(channel).await;
        match (ended, fault.take()) {
            (Ok(()), _) => "the server closed the stream".to_owned(),
            (Err(_), Some(fault)) => fault,
            (Err(error), None) => match error.downcast_ref::<tonic::Status>() {
                Some(status) => status.message().to_owned(),
                None => chain(error.as_ref()),
            },
        }
    }

    async fn stream(&mut self, channel: Channel) -> Result<(), TaskError> {
        let mut client = AggregatedDiscoveryServiceClient::new(channel)
            .max_decoding_message_size(self.client.max_message_bytes);
        let (requests, queue) = mpsc::channel(MAX_QUEUED);
        requests.send(self.client.session.open()).await?;
        let mut request = Request::new(ReceiverStream::new(queue));
        *request.metadata_mut() = self.client.headers.clone();
        let server = &self.client.dial.address;
        info!(server, "subscribing to rules");
        // A server with nothing to say yet may leave this open for as long as that lasts.
        let responses = client.stream_aggregated_resources(request).await?;
        let mut responses = responses.into_inner();
        let mut kept_back = None;
        loop {
            let response = tokio::select! {
                response = responses.message() => response?,
                nack = due(&mut kept_back) => {
                    requests.send(nack).await?;
                    continue;
                }
            };
            let Some(response) = response else {
                return Ok(());
            };
            if !Session::concerns(&response) {
                warn!(of = response.type_url, "a response that was not asked for");
                continue;
            }
            let reply = self.take(response).await?;
            // A newer response makes an answer to an older one pointless.
            kept_back = None;
            if reply.after.is_zero() {
                requests.send(reply.request).await?;
            } else {
                let due = Box::pin(tokio::time::sleep(reply.after));
                kept_back = Some((due, reply.request));
            }
        }
    }

    /// Puts a push in force as far as it is good, and says what to answer.
    async fn take(&mut self, response: DiscoveryResponse) -> Result<Reply, TaskError> {
        // The server works: the next failure is a new one.
        self.client.backoff.reset();
        self.problem.clear();
        // Large ones are read aside: the thread may have other things to do.
        let mut judge = std::mem::take(&mut self.judge);
        let judged = tokio::task::spawn_blocking(move || {
            let judgement = judge.judge(&response.resources);
            (judge, judgement, response)
        });
        let (judge, judgement, response) = judged.await?;
        self.judge = judge;
        let Judgement {
            fingerprint,
            is_repeated,
            domains,
            refusal,
        } = judgement;
        if let Some(domains) = domains {
            in_force::put(domains, &self.apply, &self.metrics);
        }
        match &refusal {
            Some(reason) if is_repeated => debug!(reason, "the same bad push again"),
            Some(reason) => {
                self.metrics.refused.increment(1);
                let version = &response.version_info;
                warn!(
                    version,
                    reason, "push refused in part or whole: what was in force there stays"
                );
            }
            None => debug!(version = response.version_info, "push accepted"),
        }
        Ok(self.client.session.answer(&response, fingerprint, refusal))
    }
}

/// The answer that is kept back, when its time has come; never where there is none.
async fn due(
    kept_back: &mut Option<(std::pin::Pin<Box<tokio::time::Sleep>>, DiscoveryRequest)>,
) -> DiscoveryRequest {
    if let Some((due, _)) = kept_back {
        due.await;
    }
    match kept_back.take() {
        Some((_, request)) => request,
        None => std::future::pending().await,
    }
}

/// An error with its causes, on one line, each said once.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// Requests on their way to the server, which may be slow to read.
const MAX_QUEUED: usize = 4;

/// The largest response that is read unless a setting says otherwise.
pub const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Between attempts to connect unless a setting says otherwise.
pub const BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait between attempts unless a setting says otherwise.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);
