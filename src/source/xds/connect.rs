//! A connection to an xDS server.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::Channel;
use tonic::transport::Endpoint;

use crate::tls::Kept;
use crate::tls::client::ClientFiles;

/// How to reach a server.
#[derive(Clone, Debug)]
pub struct Dial {
    /// `host:port`, looked up anew for each connection.
    pub address: String,
    /// What the connection is secured with, if it is.
    pub tls: Option<Tls>,
}

/// What a connection is secured with.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom to trust, and what to show.
    pub files: Arc<Kept<ClientFiles>>,
    /// The name that the server's certificate must carry.
    pub server_name: ServerName<'static>,
}

impl Dial {
    /// Connects, or says within a time limit why not.
    ///
    /// # Errors
    ///
    /// The address means nothing, nobody answers there, or the handshake fails.
    pub async fn connect(&self) -> Result<(Channel, Fault), Box<dyn Error + Send + Sync>> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let origin = Uri::try_from(format!("{scheme}://{}", self.address))?;
        // The scheme that has tonic leave TLS to us.
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?
            .origin(origin)
            .connect_timeout(PATIENCE);
        let fault = Fault::default();
        let connector = Connector {
            dial: self.clone(),
            fault: fault.clone(),
        };
        Ok((endpoint.connect_with_connector(connector).await?, fault))
    }

    async fn stream(self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        // A server that is gone without a word is noticed; pings of HTTP/2 are not welcome there
        // more often than every five minutes.
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        let Some(tls) = self.tls else {
            return Ok(Box::new(stream));
        };
        let connector = TlsConnector::from(tls.files.config());
        let stream = connector.connect(tls.server_name, stream).await?;
        Ok(Box::new(stream))
    }
}

/// What broke a connection, where HTTP/2 says no more than that it is closed: a server that speaks
/// TLS 1.3 refuses a certificate after the handshake.
#[derive(Clone, Debug, Default)]
pub struct Fault(Arc<Mutex<Option<String>>>);

impl Fault {
    /// What is known of it.
    pub fn take(&self) -> Option<String> {
        self.0.lock().take()
    }

    fn note<T>(&self, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &result {
            self.0.lock().get_or_insert_with(|| error.to_string());
        }
        result
    }
}

/// A connection whose errors are remembered.
struct Noted {
    stream: Box<dyn Stream>,
    fault: Fault,
}

impl Noted {
    /// When nothing can be written any more, what the other side said before may still be there.
    fn last_words<T>(&mut self, context: &mut Context<'_>, result: &Poll<io::Result<T>>) {
        let Poll::Ready(Err(error)) = result else {
            return;
        };
        let mut bytes = [0; 64];
        let read = Pin::new(&mut self.stream).poll_read(context, &mut ReadBuf::new(&mut bytes));
        if self.fault.note(read).is_pending() {
            self.fault.0.lock().get_or_insert_with(|| error.to_string());
        }
    }
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.fault.note(read)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.last_words(context, &written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.last_words(context, &flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Makes the connections that tonic asks for.
struct Connector {
    dial: Dial,
    fault: Fault,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Noted>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (dial, fault) = (self.dial.clone(), self.fault.clone());
        Box::pin(async move {
            let stream = dial.stream().await?;
            Ok(TokioIo::new(Noted { stream, fault }))
        })
    }
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// How long connecting may take, with the handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// After how long a silent server is asked whether it is there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(20);
