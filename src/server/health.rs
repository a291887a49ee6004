//! Health: whether this process can decide, over gRPC and for the probes of plain HTTP.

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

/// What health depends on.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether the store answers.
    pub store: watch::Receiver<bool>,
    /// How many domains have rules; none before the first rules.
    pub domains: watch::Receiver<Option<usize>>,
    /// Whether health of either kind fails without rules.
    pub needs_rules: bool,
    /// Whether plain HTTP fails while the store does not answer.
    pub needs_store: bool,
    /// Whether gRPC is content with a store that has answered once.
    pub forgives_store: bool,
}

impl Health {
    /// Whether a probe of plain HTTP is answered well.
    pub fn is_well(&self) -> bool {
        self.has_rules() && (!self.needs_store || *self.store.borrow())
    }

    fn has_rules(&self) -> bool {
        !self.needs_rules || self.domains.borrow().is_some_and(|n| n > 0)
    }
}

/// A reporter that says NOT_SERVING until [`report`] knows better.
pub async fn reporter() -> HealthReporter {
    let reporter = HealthReporter::new();
    set(&reporter, ServingStatus::NotServing).await;
    reporter
}

/// Reports whether the service serves until it is told to stop. `connected` shows whether the store
/// answers.
pub async fn report(
    mut reporter: HealthReporter,
    mut health: Health,
    connected: Gauge,
    stop: CancellationToken,
) -> Result<(), TaskError> {
    let follow = async {
        let mut was_up = false;
        loop {
            let is_up = *health.store.borrow_and_update();
            was_up |= is_up;
            health.domains.borrow_and_update();
            let has_store = is_up || (health.forgives_store && was_up);
            let status = if has_store && health.has_rules() {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            connected.set(if is_up { 1.0 } else { 0.0 });
            set(&reporter, status).await;
            tokio::select! {
                () = changed(&mut health.store) => {}
                () = changed(&mut health.domains) => {}
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

/// Waits for a change; for ever when nobody is left to say otherwise.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
