//! gRPC health: whether this process can decide.

use metrics::Gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::shutdown::TaskError;

/// The services that health speaks for; the first is the process as a whole.
pub const SERVICES: [&str; 3] = [
    "",
    "ratelimit",
    "envoy.service.ratelimit.v3.RateLimitService",
];

/// A reporter that says NOT_SERVING until [`report`] knows better.
pub async fn reporter() -> HealthReporter {
    let reporter = HealthReporter::new();
    set(&reporter, ServingStatus::NotServing).await;
    reporter
}

/// Reports that the service serves while the store answers, until it is told to stop. `connected`
/// shows the same.
pub async fn report(
    mut reporter: HealthReporter,
    mut store: watch::Receiver<bool>,
    connected: Gauge,
    stop: CancellationToken,
) -> Result<(), TaskError> {
    let follow = async {
        loop {
            let is_up = *store.borrow_and_update();
            let status = if is_up {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            connected.set(if is_up { 1.0 } else { 0.0 });
            set(&reporter, status).await;
            if store.changed().await.is_err() {
                // Nobody is left to say otherwise.
                std::future::pending::<()>().await;
            }
        }
    };
    stop.run_until_cancelled(follow).await;
    set(&reporter, ServingStatus::NotServing).await;
    // Ends the streams of those who watch, once they have seen that: a connection with an open
    // stream would not drain.
    for service in SERVICES {
        reporter.clear_service_status(service).await;
    }
    Ok(())
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
