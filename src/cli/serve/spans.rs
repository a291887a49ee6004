//! The collector that gets spans of requests, if there is one.

use std::time::Duration;

use tracing::info;

use crate::cli::serve::secure;
use crate::limiter::clock::SystemClock;
use crate::settings::tracing::OtlpProtocol;
use crate::settings::tracing::Tracing;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;
use crate::spans::Spans;
use crate::spans::collector;
use crate::spans::collector::Collector;
use crate::spans::collector::Protocol;
use crate::tls::client::ClientFiles;

/// Opens the collector that the settings name.
pub(super) fn open(
    settings: &Tracing,
    tasks: &mut Tasks,
    clock: SystemClock,
) -> Result<Option<Spans>, TaskError> {
    let Some(url) = settings.url() else {
        return Ok(None);
    };
    let tls = match collector::is_secured(&url)? {
        true => Some(secure::keep(files(settings), tasks, clock)?),
        false => None,
    };
    let instance = || format!("{:032x}", fastrand::u128(..));
    let instance = settings.trace_instance.clone().unwrap_or_else(instance);
    let mut identity = vec![
        ("service.name", settings.trace_service.clone()),
        ("service.instance.id", instance),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if let Some(namespace) = &settings.trace_namespace {
        identity.push(("service.namespace", namespace.clone()));
    }
    info!(collector = url, ratio = settings.trace_ratio, "tracing");
    let collector = Collector {
        url,
        protocol: match settings.otlp_protocol {
            OtlpProtocol::Grpc => Protocol::Grpc,
            OtlpProtocol::Http => Protocol::Http,
        },
        timeout: settings.otlp_timeout,
        tls,
        ratio: settings.trace_ratio,
        identity,
    };
    Ok(Some(collector.open()?))
}

/// Sends the last spans aside: the link to a collector may need this thread.
pub(super) async fn finish(spans: Option<Spans>) {
    if let Some(spans) = spans {
        let finished = tokio::task::spawn_blocking(move || spans.finish(LAST_SPANS));
        // Whatever becomes of them, this is the end.
        finished.await.unwrap_or_default();
    }
}

fn files(settings: &Tracing) -> ClientFiles {
    ClientFiles {
        authorities: settings.otlp_ca.clone(),
        pair: settings.otlp_cert.clone().zip(settings.otlp_key.clone()),
        any_name: false,
    }
}

/// How long the end waits for a collector to take the last spans.
const LAST_SPANS: Duration = Duration::from_secs(5);
