//! The place where the gRPC port is: an address, or a socket in the file system.

use std::fs;
use std::io;
use std::net;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net as unix;
use std::path::Path;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio::net::UnixListener;

use crate::server::accept_one;
use crate::server::not_accepted;

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// An address.
    Tcp(TcpListener),
    /// A socket in the file system.
    Unix(Socket),
}

/// A socket whose file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

/// A socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {} (--grpc-socket)", path.display())]
pub struct CannotListen {
    path: PathBuf,
    source: io::Error,
}

/// A connection on its way from one thread to another.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(net::TcpStream),
    Unix(unix::UnixStream),
}

impl Socket {
    /// Listens on a socket. A file of one that nobody listens on any more makes room for it.
    ///
    /// # Errors
    ///
    /// Something else is there, or the file cannot be made.
    pub fn bind(path: &Path) -> Result<Self, CannotListen> {
        let cannot = |source| CannotListen {
            path: path.to_owned(),
            source,
        };
        if is_left_over(path) {
            fs::remove_file(path).map_err(cannot)?;
        }
        let listener = UnixListener::bind(path).map_err(cannot)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // It may be gone, or another's by now; the next start looks for itself.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}

fn is_left_over(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && unix::UnixStream::connect(path).is_err_and(refused)
}

impl Listener {
    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => accept_one(listener).await.into_std().map(Stream::Tcp),
            Self::Unix(socket) => {
                let stream = loop {
                    match socket.listener.accept().await {
                        Ok((stream, _)) => break stream,
                        Err(error) => not_accepted(&error).await,
                    }
                };
                stream.into_std().map(Stream::Unix)
            }
        }
    }
}
