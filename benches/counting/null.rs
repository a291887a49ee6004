//! The limit that the service is measured against: the same frame, the same messages, and an answer
//! without looking.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use slidegate::metrics::Metrics;
use slidegate::server::connection::Connecting;
use slidegate::server::grpc;
use slidegate::server::grpc::Serving;
use slidegate::server::listener::Listener;
use slidegate::server::services::Services;
use slidegate::shutdown::TaskError;
use slidegate::shutdown::Tasks;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::server::HealthReporter;

/// Serves on so many threads until it is killed.
pub(crate) fn serve(address: SocketAddr, threads: NonZeroUsize) -> Result<(), TaskError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let mut tasks = Tasks::default();
        let services = Services::new(Null, HealthReporter::new())?;
        let metrics = Metrics::new().service();
        let serving = Serving {
            threads,
            connecting: Connecting {
                tls: None,
                max_age: DAY,
                grace: DAY,
            },
            stop: tasks.stop_token(),
            drained: CancellationToken::new().drop_guard(),
        };
        println!("listening on {}", listener.local_addr()?);
        let listener = Listener::Tcp(listener);
        grpc::start(&mut tasks, listener, &services, &metrics, serving)?;
        let never = async || std::future::pending().await;
        Ok(tasks.run(never, Duration::ZERO).await?)
    })
}

/// As [`serve`], on one runtime that moves connections and requests between its threads; what the
/// frame of the service was chosen over.
pub(crate) fn serve_stealing(address: SocketAddr) -> Result<(), TaskError> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let services = Services::new(Null, HealthReporter::new())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on {}", listener.local_addr()?);
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let services = services.clone();
            connections.spawn(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_concurrent_streams(1_024)
                    .serve_connection(
                        TokioIo::new(stream),
                        service_fn(move |request| services.call(request)),
                    ),
            );
        }
    })
}

/// Answers OK.
#[derive(Clone, Copy, Debug)]
struct Null;

#[tonic::async_trait]
impl RateLimitService for Null {
    async fn should_rate_limit(
        &self,
        _: tonic::Request<RateLimitRequest>,
    ) -> Result<tonic::Response<RateLimitResponse>, tonic::Status> {
        let response = RateLimitResponse {
            overall_code: Code::Ok.into(),
            ..RateLimitResponse::default()
        };
        Ok(tonic::Response::new(response))
    }
}

const DAY: Duration = Duration::from_secs(86_400);
