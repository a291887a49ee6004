//! An OpenTelemetry collector that keeps what it is sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::service::Routes;

use crate::support::ads::server_config;
use crate::support::certificates::Secret;
use crate::support::eventually;

/// A running collector; it ends with the test.
#[derive(Debug)]
pub(crate) struct Collector {
    address: SocketAddr,
    received: Received,
    runtime: Option<Runtime>,
}

/// A span, with what is looked at of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Span {
    pub(crate) name: String,
    /// In hexadecimal digits, as the next two.
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    /// As OTLP has it: 1 for internal, 2 for a server's, 3 for a client's.
    pub(crate) kind: i32,
    /// Whether it says that something failed.
    pub(crate) failed: bool,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
    /// Of the process that it comes from.
    pub(crate) resource: BTreeMap<String, String>,
    /// The headers of the request that it came with.
    pub(crate) headers: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
struct Received(Arc<Mutex<Vec<Span>>>);

/// How it is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

impl Collector {
    /// One in plain text.
    pub(crate) fn start(protocol: Protocol) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), protocol, None)
    }

    /// One at an address, perhaps over TLS and for clients with a certificate of the same authority.
    pub(crate) fn start_at(
        address: SocketAddr,
        protocol: Protocol,
        secret: Option<&Secret>,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener).unwrap();
        drop(entered);
        let address = listener.local_addr().unwrap();
        let received = Received::default();
        let tls = secret.map(|secret| {
            let mut config = server_config(secret);
            if protocol == Protocol::Http {
                Arc::get_mut(&mut config).unwrap().alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            TlsAcceptor::from(config)
        });
        runtime.spawn(accept(listener, tls, protocol, received.clone()));
        Self {
            address,
            received,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL in plain text.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.received.0.lock().unwrap().clone()
    }

    /// Waits for so many spans, and returns all that there are then.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Span> {
        eventually("spans arrive", || {
            Some(self.spans()).filter(|it| it.len() >= count)
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Received {
    fn keep(&self, message: ExportTraceServiceRequest, headers: &BTreeMap<String, String>) {
        let mut kept = self.0.lock().unwrap();
        for of_process in message.resource_spans {
            let resource = attributes(of_process.resource.unwrap_or_default().attributes);
            let spans = of_process.scope_spans.into_iter().flat_map(|it| it.spans);
            kept.extend(spans.map(|span| Span {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                kind: span.kind,
                failed: span.status.is_some_and(|it| it.code == 2),
                attributes: attributes(span.attributes),
                events: span.events.into_iter().map(|it| it.name).collect(),
                resource: resource.clone(),
                headers: headers.clone(),
            }));
        }
    }

    /// Over HTTP: spans in protobuf, posted to one path.
    async fn post(self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
        let status = if request.uri().path() == "/v1/traces" && request.method() == "POST" {
            let headers = texts(request.headers());
            let body = request.into_body().collect().await.unwrap().to_bytes();
            match ExportTraceServiceRequest::decode(body) {
                Ok(message) => {
                    self.keep(message, &headers);
                    200
                }
                Err(_) => 400,
            }
        } else {
            404
        };
        let response = Response::builder().status(status).body(Empty::new());
        Ok(response.unwrap())
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let headers = texts(request.metadata().as_ref());
        self.keep(request.into_inner(), &headers);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    protocol: Protocol,
    received: Received,
) {
    let runtime = Handle::current();
    while let Ok((stream, _)) = listener.accept().await {
        let received = received.clone();
        let Some(tls) = tls.clone() else {
            runtime.spawn(serve(stream, protocol, received));
            continue;
        };
        runtime.spawn(async move {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, protocol, received).await;
            }
        });
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    protocol: Protocol,
    received: Received,
) {
    let io = TokioIo::new(stream);
    // A client may leave at any time.
    match protocol {
        Protocol::Http => {
            let answer = service_fn(move |request| received.clone().post(request));
            http1::Builder::new()
                .serve_connection(io, answer)
                .await
                .ok();
        }
        Protocol::Grpc => {
            let service = TraceServiceServer::new(received);
            let service = service.accept_compressed(CompressionEncoding::Gzip);
            let routes = Routes::new(service).prepare();
            let answer = service_fn(move |request| routes.clone().call(request));
            let server = http2::Builder::new(TokioExecutor::new());
            server.serve_connection(io, answer).await.ok();
        }
    }
}

fn texts(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(text).collect()
}

fn attributes(all: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |it: KeyValue| {
        let value = match it.value.and_then(|it| it.value) {
            Some(Value::StringValue(it)) => it,
            Some(Value::BoolValue(it)) => it.to_string(),
            Some(Value::IntValue(it)) => it.to_string(),
            other => format!("{other:?}"),
        };
        (it.key, value)
    };
    all.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
