//! Connections to a collector.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::Service;

use crate::tls::Kept;
use crate::tls::client::ClientFiles;

/// How to reach a collector.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    /// `host:port`, looked up anew for each connection.
    pub(super) address: String,
    /// What the connection is secured with, if it is.
    pub(super) tls: Option<Tls>,
}

/// What a connection is secured with.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    /// Whom to trust, and what to show.
    pub(super) files: Arc<Kept<ClientFiles>>,
    /// The name that the collector's certificate must carry.
    pub(super) name: ServerName<'static>,
    /// Whether HTTP/1.1 is spoken, and not HTTP/2.
    pub(super) http_1: bool,
}

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Dial {
    pub(super) async fn connect(self) -> io::Result<TokioIo<Box<dyn Stream>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = self.tls else {
            return Ok(TokioIo::new(Box::new(stream)));
        };
        let mut config = tls.files.config();
        if tls.http_1 {
            Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let stream = TlsConnector::from(config).connect(tls.name, stream);
        Ok(TokioIo::new(Box::new(stream.await?)))
    }
}

/// Makes the connections that tonic asks for.
impl Service<Uri> for Dial {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}
