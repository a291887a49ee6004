//! The TLS of the gRPC port and of the link to an xDS server, which follow their files.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::ServerName;
use tracing::info;

use crate::limiter::clock::Clock;
use crate::limiter::clock::SystemClock;
use crate::metrics::Metrics;
use crate::server::connection;
use crate::settings::Serve;
use crate::settings::xds::Xds;
use crate::shutdown::TaskError;
use crate::shutdown::Tasks;
use crate::source::xds::connect;
use crate::tls::Files;
use crate::tls::Kept;
use crate::tls::Unusable;
use crate::tls::client::ClientFiles;

/// What the gRPC port is secured with, if it is.
pub(super) fn port(
    settings: &Serve,
    tasks: &mut Tasks,
    metrics: &Metrics,
    clock: SystemClock,
) -> Result<Option<connection::Tls>, TaskError> {
    let Some(files) = settings.tls.files() else {
        info!("the gRPC port speaks plain text: no --tls-cert was given");
        return Ok(None);
    };
    match &files.clients {
        Some(clients) => {
            let authorities = clients.authorities.display();
            info!(%authorities, name = clients.name, "clients must show a certificate");
        }
        None => info!("clients need no certificate: no --tls-client-ca was given"),
    }
    let kept = keep(files, tasks, clock)?;
    let failed = metrics.service().handshakes_failed;
    Ok(Some(connection::Tls::new(kept, failed)))
}

/// What the link to the xDS server at `host` is secured with, if it is.
pub(super) fn link(
    settings: &Xds,
    host: &str,
    tasks: &mut Tasks,
    clock: SystemClock,
) -> Result<Option<connect::Tls>, TaskError> {
    if !settings.is_secured() {
        return Ok(None);
    }
    let name = settings.xds_server_name.as_deref().unwrap_or(host);
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|error| format!("`{name}` is no name that a certificate can carry: {error}"))?;
    let files = ClientFiles {
        authorities: settings.xds_ca.clone(),
        pair: settings.xds_cert.clone().zip(settings.xds_key.clone()),
        any_name: false,
    };
    Ok(Some(connect::Tls {
        files: keep(files, tasks, clock)?,
        server_name,
    }))
}

/// Reads files, and follows them.
pub(super) fn keep<F: Files>(
    files: F,
    tasks: &mut Tasks,
    clock: SystemClock,
) -> Result<Arc<Kept<F>>, Unusable> {
    let kept = Arc::new(Kept::new(files)?);
    let seconds = move || clock.now().wall.0 / 1_000_000;
    tasks.spawn(
        "certificates",
        Arc::clone(&kept).follow(seconds, tasks.stop_token()),
    );
    Ok(kept)
}
