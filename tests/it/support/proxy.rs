//! A proxy of the test's own before a server: it passes bytes on, delays them, stalls, cuts answers
//! half-way or loses what comes without a word.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::net::tcp::WriteHalf;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on, on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    /// The proxy ends with it.
    mode: watch::Sender<Mode>,
    n_accepted: Arc<AtomicUsize>,
}

/// What becomes of bytes. It holds for all that has not left the proxy yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    /// Half of an answer arrives, and its connection ends.
    Cut,
    /// Answers arrive so much later.
    Delay(Duration),
    /// They vanish, in both directions. A connection that lost some stays open and useless for ever,
    /// as behind a firewall that forgot it.
    Lose,
    /// They arrive.
    Pass,
    /// They wait in the proxy, in both directions, until the mode changes.
    Stall,
}

impl Proxy {
    /// A proxy before this server, which passes everything on.
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Pass);
        let n_accepted = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&n_accepted);
        thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build().unwrap();
            runtime.block_on(serve(listener, server, modes, &accepted));
        });
        Self {
            address,
            mode,
            n_accepted,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What becomes of bytes from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many connections there have been.
    pub(crate) fn n_accepted(&self) -> usize {
        self.n_accepted.load(Ordering::Relaxed)
    }
}

/// Takes connections until nobody is left to change the mode.
async fn serve(
    listener: std::net::TcpListener,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
    n_accepted: &AtomicUsize,
) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut end = modes.clone();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                n_accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connect(accepted.unwrap().0, server, modes.clone()));
            }
            Some(_) = connections.join_next() => {}
            changed = end.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// Passes on one connection until a direction of it ends.
async fn connect(
    mut near: TcpStream,
    server: SocketAddr,
    modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut far = TcpStream::connect(server).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (from_near, to_near) = near.split();
    let (from_far, to_far) = far.split();
    tokio::select! {
        ended = pass(from_near, to_far, modes.clone(), false) => ended,
        ended = pass(from_far, to_near, modes, true) => ended,
    }
}

/// Passes on bytes in one direction until either side ends.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut modes: watch::Receiver<Mode>,
    are_answers: bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 16_384];
    let mut is_useless = false;
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        let kept = loop {
            let mode = *modes.borrow_and_update();
            match mode {
                Mode::Cut if are_answers => {
                    to.write_all(&buffer[..n / 2]).await?;
                    return Ok(());
                }
                Mode::Delay(delay) if are_answers => tokio::select! {
                    () = tokio::time::sleep(delay) => break n,
                    changed = modes.changed() => changed.map_err(io::Error::other)?,
                },
                Mode::Lose => {
                    is_useless = true;
                    break 0;
                }
                Mode::Stall => modes.changed().await.map_err(io::Error::other)?,
                Mode::Cut | Mode::Delay(_) | Mode::Pass => break n,
            }
        };
        if !is_useless {
            to.write_all(&buffer[..kept]).await?;
        }
    }
}
