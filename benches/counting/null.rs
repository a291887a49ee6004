//! The limit that the service is measured against: the same frame, the same messages, and an answer
//! without looking.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitServiceServer;
use slidegate::metrics::Metrics;
use slidegate::server::connection::Connecting;
use slidegate::server::grpc;
use slidegate::server::grpc::Serving;
use slidegate::shutdown::Tasks;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Serves until it is killed.
pub(crate) fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let mut tasks = Tasks::default();
        let routes = Routes::new(RateLimitServiceServer::new(Null)).prepare();
        let metrics = Metrics::new().service();
        let serving = Serving {
            threads: thread::available_parallelism()?,
            connecting: Connecting {
                tls: None,
                max_age: DAY,
                grace: DAY,
            },
            stop: tasks.stop_token(),
            drained: CancellationToken::new().drop_guard(),
        };
        println!("listening on {}", listener.local_addr()?);
        grpc::start(&mut tasks, listener, &routes, &metrics, serving)?;
        let never = async || std::future::pending().await;
        Ok(tasks.run(never, Duration::ZERO).await?)
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
