//! A connection to the service, which is made again when it ends.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use h2::RecvStream;
use h2::client;
use h2::client::SendRequest;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::Uri;
use http::header::CONTENT_TYPE;
use http::header::TE;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::cli::load::message;
use crate::cli::load::tally::Failure;

type Connection = client::Connection<TcpStream, Bytes>;

/// What requests are sent on; clones share the connection.
#[derive(Clone, Debug)]
pub(super) struct Link {
    current: watch::Receiver<SendRequest<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
}

/// Keeps a [`Link`] connected.
pub(super) struct Keeper {
    target: String,
    connection: Connection,
    current: watch::Sender<SendRequest<Bytes>>,
}

/// Connects; the service is told that answers are waited for for so long.
///
/// # Errors
///
/// Nobody listens there.
pub(super) async fn open(target: &str, timeout: Duration) -> io::Result<(Link, Keeper)> {
    let (sender, connection) = connect(target).await?;
    let (current, receiver) = watch::channel(sender);
    let uri = Uri::builder().scheme("http").authority(target);
    let uri = uri.path_and_query(SHOULD_RATE_LIMIT).build();
    let mut headers = HeaderMap::new();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // gRPC allows eight digits.
    let timeout = match timeout.as_micros() {
        micros @ ..100_000_000 => format!("{micros}u"),
        micros => format!("{}m", micros / 1_000),
    };
    let timeout = timeout.try_into().map_err(io::Error::other)?;
    headers.insert(GRPC_TIMEOUT, timeout);
    let link = Link {
        current: receiver,
        uri: uri.map_err(io::Error::other)?,
        headers,
    };
    let target = target.to_owned();
    Ok((
        link,
        Keeper {
            target,
            connection,
            current,
        },
    ))
}

async fn connect(target: &str) -> io::Result<(SendRequest<Bytes>, Connection)> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    // Many answers may arrive at once, each a small frame: that is no attack.
    let handshake = client::Builder::new()
        .data_frame_budget(SMALL_FRAMES)
        .handshake(stream);
    handshake.await.map_err(io::Error::other)
}

impl Keeper {
    /// Drives the connection, and makes another when it ends.
    pub(super) async fn run(mut self) {
        loop {
            // Those who waited for answers know why it ended.
            drop(self.connection.await);
            let (sender, connection) = loop {
                match connect(&self.target).await {
                    Ok(connected) => break connected,
                    Err(_) => tokio::time::sleep(BACKOFF).await,
                }
            };
            self.current.send_replace(sender);
            self.connection = connection;
        }
    }
}

impl Link {
    /// Sends a request and waits for its answer: whether it is over its limit.
    pub(super) async fn call(&mut self, frame: Bytes) -> Result<bool, Failure> {
        let mut request = http::Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let mut sender = self.sender().await;
        let (response, mut stream) = sender.send_request(request, false).map_err(broken)?;
        stream.send_data(frame, true).map_err(broken)?;
        let (head, body) = response.await.map_err(broken)?.into_parts();
        if let Some(status) = status(&head.headers) {
            // An answer without a body.
            return Err(Failure::Status(status?));
        }
        answer(body).await
    }

    /// The sender of a connection that takes requests; waits while there is none.
    async fn sender(&mut self) -> SendRequest<Bytes> {
        loop {
            let sender = self.current.borrow_and_update().clone();
            if let Ok(ready) = sender.ready().await {
                return ready;
            }
            // The keeper ends with the whole run only.
            if self.current.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn answer(mut body: RecvStream) -> Result<bool, Failure> {
    let mut frame = Bytes::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(broken)?;
        let released = body.flow_control().release_capacity(chunk.len());
        released.map_err(broken)?;
        if frame.is_empty() {
            frame = chunk;
        } else {
            let mut whole = BytesMut::from(frame);
            whole.extend_from_slice(&chunk);
            frame = whole.freeze();
        }
    }
    let trailers = body.trailers().await.map_err(broken)?;
    match trailers.as_ref().and_then(status) {
        Some(Ok(OK)) => message::is_over_limit(&frame).ok_or(Failure::Garbled),
        Some(status) => Err(Failure::Status(status?)),
        None => Err(Failure::Garbled),
    }
}

/// What gRPC says of a call.
fn status(headers: &HeaderMap) -> Option<Result<i32, Failure>> {
    let status = headers.get(GRPC_STATUS)?.to_str().ok();
    Some(
        status
            .and_then(|it| it.parse().ok())
            .ok_or(Failure::Garbled),
    )
}

fn broken(_: h2::Error) -> Failure {
    Failure::Broken
}

const SHOULD_RATE_LIMIT: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const OK: i32 = 0;
/// Bytes, as `h2` counts what small frames cost.
const SMALL_FRAMES: usize = 1 << 24;
/// How long after a failure the service is tried again.
const BACKOFF: Duration = Duration::from_millis(100);
