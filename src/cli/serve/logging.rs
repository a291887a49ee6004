//! Log lines on standard error.

use std::io;
use std::io::IsTerminal;

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::LogFormat;
use crate::settings::Serve;
use crate::shutdown::TaskError;

/// Starts to log as the settings say.
pub(super) fn start(settings: &Serve) -> Result<(), TaskError> {
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
