//! The ports: bind, serve, drain.

pub mod answer;
pub mod connection;
pub mod grpc;
pub mod health;
pub mod http;
pub mod json;
pub mod listener;
mod metadata;
pub mod pages;
pub mod rls;
pub mod services;
pub mod wire;

use std::io;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tracing::debug;
use tracing::warn;

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({flag})")]
pub struct CannotListen {
    flag: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds the address that `flag` gave.
pub async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, CannotListen> {
    let bound = match TcpListener::bind(address).await {
        // All addresses of both families, where there is only one.
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && !is_final(&error) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|source| CannotListen {
        flag,
        address,
        source,
    })
}

/// Whether another family of addresses would not help.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// The next connection. When there is none to be had, for want of file descriptors say, it tries
/// on.
async fn accept_one(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "connection without TCP_NODELAY");
                }
                return stream;
            }
            Err(error) => not_accepted(&error).await,
        }
    }
}

/// Waits before another attempt.
async fn not_accepted(error: &io::Error) {
    warn!(%error, "cannot accept a connection");
    tokio::time::sleep(ACCEPT_AGAIN).await;
}

const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
