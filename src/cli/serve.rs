//! `slidegate serve`: wires settings, metrics, store, limiter, sources and servers.

use std::io;
use std::io::IsTerminal;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::metrics::Metrics;
use crate::settings::LogFormat;
use crate::settings::Serve;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;

/// Serves until a signal comes or a task fails.
pub fn run(settings: &Serve) -> Result<(), TaskError> {
    start_logging(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: &Serve) -> Result<(), TaskError> {
    let metrics = Metrics::new();
    let tasks = Tasks::default();
    tracing::info!(store = ?settings.store, bytes = metrics.render().len(), "starting");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let signals = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tasks.run(signals, settings.drain_timeout).await?;
    Ok(())
}

fn start_logging(settings: &Serve) -> Result<(), TaskError> {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let lines = match settings.log_format {
        LogFormat::Json => lines.json().boxed(),
        LogFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(settings.log_level.filter()))
        .try_init()?;
    Ok(())
}
