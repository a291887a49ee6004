//! An xDS server that behaves as Envoy Gateway's does for rate limits.
//!
//! One resource a domain, in random order; versions count from 1 in each process; only one node is
//! known; a stream is silent, without even headers, until there is something to push; a NACK is
//! answered at once with the same snapshot.

use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryService;
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::AggregatedDiscoveryServiceServer;
use envoy_types::pb::google::protobuf::Any;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::codegen::Service as _;
use tonic::codegen::tokio_stream::Stream;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;

use crate::support::certificates::Secret;
use crate::support::eventually;

/// A running server; it ends with the test.
#[derive(Debug)]
pub(crate) struct Ads {
    address: SocketAddr,
    snapshots: watch::Sender<Option<Snapshot>>,
    seen: Arc<Mutex<Vec<DiscoveryRequest>>>,
    runtime: Option<Runtime>,
}

/// What is pushed.
#[derive(Clone, Debug)]
struct Snapshot {
    version: String,
    resources: Vec<Any>,
}

/// The node that snapshots are for.
pub(crate) const NODE: &str = "envoy-ratelimit";

impl Ads {
    /// A server with nothing to push yet, in plain text.
    pub(crate) fn start() -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), None)
    }

    /// As [`Ads::start`], with TLS 1.3 and nothing below, for clients with a certificate of the
    /// same authority.
    pub(crate) fn start_secured(secret: &Secret) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), Some(secret))
    }

    /// A server of another process at an address that is free again.
    pub(crate) fn start_at(address: SocketAddr, secret: Option<&Secret>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = eventually("the address is free", || {
            std::net::TcpListener::bind(address).ok()
        });
        listener.set_nonblocking(true).unwrap();
        let entered = runtime.enter();
        let listener = TcpListener::from_std(listener).unwrap();
        drop(entered);
        let address = listener.local_addr().unwrap();
        let (snapshots, _) = watch::channel(None);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let service = Service {
            snapshots: snapshots.clone(),
            seen: Arc::clone(&seen),
        };
        let routes = Routes::new(AggregatedDiscoveryServiceServer::new(service)).prepare();
        runtime.spawn(accept(listener, secret.map(server_config), routes));
        Self {
            address,
            snapshots,
            seen,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pushes a new snapshot.
    pub(crate) fn push(&self, resources: Vec<Any>) {
        self.snapshots.send_modify(|snapshot| {
            let version = snapshot
                .as_ref()
                .map_or(0, |it| it.version.parse().unwrap());
            *snapshot = Some(Snapshot {
                version: (version + 1_u64).to_string(),
                resources,
            });
        });
    }

    /// Every request so far, of all streams.
    pub(crate) fn requests(&self) -> Vec<DiscoveryRequest> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for a request like this and returns the first.
    #[track_caller]
    pub(crate) fn request(&self, is_it: impl Fn(&DiscoveryRequest) -> bool) -> DiscoveryRequest {
        eventually("the client says so", || {
            self.requests().into_iter().find(&is_it)
        })
    }

    /// Waits until the client has accepted a version.
    #[track_caller]
    pub(crate) fn accepted(&self, version: &str) {
        self.request(|it| it.version_info == version && it.error_detail.is_none());
    }

    /// Waits until the client has refused something and returns its reason.
    #[track_caller]
    pub(crate) fn refused(&self) -> String {
        let request = self.request(|it| it.error_detail.is_some());
        request.error_detail.unwrap().message
    }

    /// Ends it, with all connections.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Ads {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Service {
    snapshots: watch::Sender<Option<Snapshot>>,
    seen: Arc<Mutex<Vec<DiscoveryRequest>>>,
}

type Responses<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for Service {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let (responses, stream) = mpsc::channel(16);
        let (first, has_first) = oneshot::channel();
        let conversation = converse(
            request.into_inner(),
            self.snapshots.subscribe(),
            Arc::clone(&self.seen),
            responses,
            first,
        );
        Handle::current().spawn(conversation);
        has_first
            .await
            .map_err(|_| Status::cancelled("no more requests"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("only the state of the world"))
    }
}

async fn converse(
    mut requests: Streaming<DiscoveryRequest>,
    mut snapshots: watch::Receiver<Option<Snapshot>>,
    seen: Arc<Mutex<Vec<DiscoveryRequest>>>,
    responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    let mut nonce = 0_u64;
    // The request that has not been answered.
    let mut open: Option<DiscoveryRequest> = None;
    loop {
        tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => {
                    seen.lock().unwrap().push(request.clone());
                    let is_current = request.response_nonce.is_empty()
                        || request.response_nonce == nonce.to_string();
                    let is_known = request.node.as_ref().is_some_and(|it| it.id == NODE);
                    if is_current && is_known {
                        open = Some(request);
                    }
                }
                Ok(None) | Err(_) => return,
            },
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        let snapshot = snapshots.borrow_and_update().clone();
        let (Some(request), Some(snapshot)) = (&open, snapshot) else {
            continue;
        };
        if request.version_info == snapshot.version {
            continue;
        }
        nonce += 1;
        let mut resources = snapshot.resources;
        fastrand::shuffle(&mut resources);
        let response = DiscoveryResponse {
            version_info: snapshot.version,
            resources,
            type_url: request.type_url.clone(),
            nonce: nonce.to_string(),
            ..DiscoveryResponse::default()
        };
        open = None;
        if let Some(first) = first.take() {
            first.send(()).ok();
        }
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
    }
}

/// TLS 1.3 for HTTP/2, and nobody without a certificate of the same authority.
pub(crate) fn server_config(secret: &Secret) -> Arc<ServerConfig> {
    let read = |name: &str| fs::read(secret.file(name)).unwrap();
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(&read("ca.crt")).unwrap();
    roots.add(authority).unwrap();
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let certificate = CertificateDer::from_pem_slice(&read("tls.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("tls.key")).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

async fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, routes: Routes) {
    let runtime = Handle::current();
    while let Ok((stream, _)) = listener.accept().await {
        let routes = routes.clone();
        match tls.clone() {
            None => {
                runtime.spawn(serve(stream, routes));
            }
            Some(config) => {
                runtime.spawn(async move {
                    // Who shows no certificate is not let in.
                    if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                        serve(stream, routes).await;
                    }
                });
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, routes: Routes) {
    let answer = service_fn(move |request| routes.clone().call(request));
    let connection =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answer);
    // A client may leave at any time.
    connection.await.ok();
}
