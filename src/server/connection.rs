//! One gRPC connection: its TLS, its requests, and its end by GOAWAY.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_service_server::RateLimitService;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use metrics::Counter;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use tracing::warn;

use crate::server::listener::Stream;
use crate::server::services::Services;
use crate::shutdown::TaskError;
use crate::tls::Kept;
use crate::tls::server::ServerFiles;

/// How connections are taken, and for how long they are kept.
#[derive(Clone, Debug)]
pub struct Connecting {
    /// What each of them is secured with, if it is.
    pub tls: Option<Tls>,
    /// After so long, give or take a tenth, a connection gets a GOAWAY: its peer opens another one,
    /// perhaps to another replica.
    pub max_age: Duration,
    /// How long the requests of such a connection may go on.
    pub grace: Duration,
}

/// What connections are secured with.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Arc<Kept<ServerFiles>>,
    failed: Counter,
    /// Whether the last handshake failed: a row of failures is logged once.
    is_failing: Arc<AtomicBool>,
}

impl Tls {
    /// Certificates, and a counter of handshakes that failed.
    pub fn new(files: Arc<Kept<ServerFiles>>, failed: Counter) -> Self {
        Self {
            files,
            failed,
            is_failing: Arc::default(),
        }
    }

    async fn accept<S>(&self, stream: S) -> Result<impl AsyncRead + AsyncWrite + use<S>, TaskError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(self.files.config()).accept(stream);
        let result = match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(result) => result.map_err(TaskError::from),
            Err(late) => Err(late.into()),
        };
        let was_failing = self.is_failing.swap(result.is_err(), Ordering::Relaxed);
        if let Err(error) = &result {
            self.failed.increment(1);
            if !was_failing {
                warn!(%error, "TLS handshake failed; further ones are only counted");
            }
        }
        result
    }
}

/// Serves one connection; old enough or told to stop, it says GOAWAY and lets requests in flight
/// end.
pub(super) async fn serve<S: RateLimitService + Clone>(
    stream: Stream,
    services: Services<S>,
    connecting: &Connecting,
    stop: &CancellationToken,
) -> Result<(), TaskError> {
    match stream {
        Stream::Tcp(stream) => {
            let stream = TcpStream::from_std(stream)?;
            match says_something(stream.readable(), stop).await? {
                true => secure(stream, services, connecting, stop).await,
                false => Ok(()),
            }
        }
        Stream::Unix(stream) => {
            let stream = UnixStream::from_std(stream)?;
            match says_something(stream.readable(), stop).await? {
                true => secure(stream, services, connecting, stop).await,
                false => Ok(()),
            }
        }
    }
}

/// Whether something comes before it is time to stop. Who says nothing at all does not keep its place.
async fn says_something(
    readable: impl Future<Output = io::Result<()>>,
    stop: &CancellationToken,
) -> Result<bool, TaskError> {
    let first_bytes = tokio::time::timeout(FIRST_BYTES, readable);
    match stop.run_until_cancelled(first_bytes).await {
        Some(arrived) => arrived??,
        None => return Ok(false),
    }
    Ok(true)
}

async fn secure<S: RateLimitService + Clone>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    services: Services<S>,
    connecting: &Connecting,
    stop: &CancellationToken,
) -> Result<(), TaskError> {
    let Some(tls) = &connecting.tls else {
        return converse(stream, services, connecting, stop).await;
    };
    match stop.run_until_cancelled(tls.accept(stream)).await {
        // It is logged already.
        Some(Err(error)) => debug!(%error, "no connection"),
        Some(Ok(stream)) => return converse(stream, services, connecting, stop).await,
        None => {}
    }
    Ok(())
}

async fn converse<S: RateLimitService + Clone>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    services: Services<S>,
    connecting: &Connecting,
    stop: &CancellationToken,
) -> Result<(), TaskError> {
    let requests = Arc::new(());
    let at_work = Arc::clone(&requests);
    // The executor spawns a task for each request that does not end at once, on this thread's
    // runtime; the connection waits for them.
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        // After a stall many requests arrive that their callers have given up; that is no attack.
        .max_pending_accept_reset_streams(MAX_STREAMS as usize)
        .keep_alive_interval(KEEP_ALIVE)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| {
                let (answer, at_work) = (services.call(request), Arc::clone(&at_work));
                async move {
                    // A body that does not end would hold its stream for good.
                    let answer = tokio::time::timeout(LONGEST_REQUEST, answer).await;
                    drop(at_work);
                    let late = || tonic::Status::deadline_exceeded("the request took too long");
                    Ok::<_, std::convert::Infallible>(match answer {
                        Ok(answer) => answer?,
                        Err(_) => late().into_http(),
                    })
                }
            }),
        );
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = tokio::time::sleep(jittered(connecting.max_age)) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => return Ok(ended?),
                () = tokio::time::sleep(connecting.grace) => return Ok(()),
                () = stop.cancelled() => {}
            }
        }
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // The peer is to confirm the GOAWAY, so that no request crosses it; one that does not is left
    // when nothing is in flight any more.
    let left = async {
        loop {
            tokio::time::sleep(GOAWAY_CONFIRMED).await;
            // Held here and by the service.
            if Arc::strong_count(&requests) == 2 {
                break;
            }
        }
    };
    tokio::select! {
        ended = connection => Ok(ended?),
        () = left => Ok(()),
    }
}

/// The age, a tenth of it more or less, so that connections of one moment do not end at one moment.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

/// Requests in flight on one connection; a client keeps further ones back.
const MAX_STREAMS: u32 = 1_024;
/// How long a new peer may take to say something.
const FIRST_BYTES: Duration = Duration::from_secs(10);
/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request may take, whatever its deadline: from its head to the head of its answer.
const LONGEST_REQUEST: Duration = Duration::from_secs(60);
/// How long a peer may take to confirm that it opens no more requests.
const GOAWAY_CONFIRMED: Duration = Duration::from_secs(1);
/// How often a silent peer is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
