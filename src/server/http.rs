//! Plain HTTP ports, version 1.1.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;
use tracing::debug;
use tracing::error;

use crate::server::accept_one;
use crate::shutdown::TaskError;

/// Serves until it is told to stop, then lets requests in flight end.
///
/// A bounded number of connections is open; further ones wait in the kernel's queue.
pub async fn serve(
    listener: TcpListener,
    pages: Router,
    stop: CancellationToken,
) -> Result<(), TaskError> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            (stream, place) = accept(&listener, &places) => {
                let (pages, stop) = (pages.clone(), stop.clone());
                open.spawn(async move {
                    connection(stream, pages, &stop).await;
                    drop(place);
                });
            }
            Some(ended) = open.join_next() => report(ended),
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    while let Some(ended) = open.join_next().await {
        report(ended);
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.expect("nobody closes the semaphore");
    (accept_one(listener).await, place)
}

async fn connection(stream: TcpStream, pages: Router, stop: &CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| pages.clone().call(request)),
        );
    tokio::pin!(connection);
    let served = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let ended = tokio::time::timeout(LAST_REQUEST, connection).await;
            ended.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = served {
        debug!(%error, "connection broken");
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection's task panicked");
    }
}

const MAX_CONNECTIONS: usize = 1_024;
/// How long a request may take to end that was under way, or only half sent, when it was time to
/// stop.
const LAST_REQUEST: Duration = Duration::from_secs(2);
/// How long a client may take to send its request's head; idle connections are closed after it.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
