//! The statsd server that gets metrics, if there is one.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::metrics::Metrics;
use crate::metrics::statsd::Protocol;
use crate::metrics::statsd::Statsd;
use crate::settings::stats::Stats;
use crate::settings::stats::StatsdProtocol;
use crate::shutdown::Tasks;

/// Sends metrics until `drained`, when the last of them are counted.
pub(super) fn send(
    settings: &Stats,
    metrics: &Arc<Metrics>,
    tasks: &mut Tasks,
    drained: CancellationToken,
) {
    let Some(address) = settings.statsd_addr.clone() else {
        return;
    };
    info!(server = address, "metrics go to statsd");
    let statsd = Statsd {
        address,
        protocol: match settings.statsd_protocol {
            StatsdProtocol::Tcp => Protocol::Tcp,
            StatsdProtocol::Dog | StatsdProtocol::Udp => Protocol::Udp,
        },
        interval: settings.statsd_interval,
        tags: settings.statsd_tag.iter().cloned().collect(),
        renames: settings.renames.clone(),
        dog: settings.statsd_protocol == StatsdProtocol::Dog,
    };
    let metrics = Arc::clone(metrics);
    tasks.spawn("statsd", async move {
        statsd.run(metrics, drained).await;
        Ok(())
    });
}
