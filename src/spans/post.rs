//! Posts spans over HTTP/1.1, a connection each time: that is once in some seconds.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Response;
use http::Uri;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::client::conn::http1;
use opentelemetry_http::HttpClient;
use opentelemetry_http::HttpError;
use tokio::runtime;

use crate::spans::dial::Dial;

/// A client that blocks the thread it is called on, which is that of the spans.
#[derive(Debug)]
pub(super) struct Post {
    dial: Dial,
    timeout: Duration,
}

impl Post {
    pub(super) fn new(dial: Dial, timeout: Duration) -> Self {
        Self { dial, timeout }
    }

    async fn post(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let stream = self.dial.clone().connect().await?;
        let (mut requests, connection) = http1::handshake(stream).await?;
        let authority = request.uri().authority().map_or("", |it| it.as_str());
        let host = HeaderValue::from_str(authority)?;
        request.headers_mut().insert(header::HOST, host);
        let path = request.uri().path_and_query();
        let path = path.map_or("/", |it| it.as_str());
        *request.uri_mut() = path.parse::<Uri>()?;
        let answer = async move {
            let response = requests.send_request(request.map(Full::new)).await?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        // The connection ends when nobody has requests for it any more.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }
}

#[tonic::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let post = async { tokio::time::timeout(self.timeout, self.post(request)).await };
        runtime.block_on(post)?
    }
}

/// The longest answer that is read; it should say next to nothing.
const MAX_ANSWER: usize = 64 << 10;
