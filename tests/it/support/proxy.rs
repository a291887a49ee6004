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

mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use super::Mode;
    use super::Proxy;
    use crate::support::PATIENCE;
    use crate::support::now;

    #[tokio::test]
    async fn bytes_pass_and_wait_while_it_stalls() {
        let (proxy, mut near, mut far) = connected().await;
        assert_eq!(proxy.n_accepted(), 1);
        far.write_all(b"passed").await.unwrap();
        assert_eq!(read(&mut near).await, "passed");
        proxy.set(Mode::Stall);
        far.write_all(b"late").await.unwrap();
        assert_eq!(read_for(&mut near, Duration::from_millis(50)).await, None);
        proxy.set(Mode::Pass);
        assert_eq!(read(&mut near).await, "late");
    }

    #[tokio::test]
    async fn answers_are_delayed_and_questions_are_not() {
        let (proxy, mut near, mut far) = connected().await;
        let delay = Duration::from_millis(50);
        proxy.set(Mode::Delay(delay));
        let begin = now();
        far.write_all(b"answer").await.unwrap();
        assert_eq!(read(&mut near).await, "answer");
        assert!(begin.elapsed() >= delay);
        proxy.set(Mode::Delay(PATIENCE * 2));
        near.write_all(b"question").await.unwrap();
        assert_eq!(read(&mut far).await, "question");
    }

    #[tokio::test]
    async fn half_an_answer_arrives_and_the_connection_ends() {
        let (proxy, mut near, mut far) = connected().await;
        proxy.set(Mode::Cut);
        near.write_all(b"question").await.unwrap();
        assert_eq!(read(&mut far).await, "question");
        far.write_all(b"answer").await.unwrap();
        assert_eq!(read(&mut near).await, "ans");
        assert_eq!(read(&mut near).await, "");
    }

    #[tokio::test]
    async fn what_lost_some_stays_open_and_useless() {
        let (proxy, mut near, mut far) = connected().await;
        proxy.set(Mode::Lose);
        far.write_all(b"lost").await.unwrap();
        assert_eq!(read_for(&mut near, Duration::from_millis(50)).await, None);
        proxy.set(Mode::Pass);
        far.write_all(b"lost as well").await.unwrap();
        assert_eq!(read_for(&mut near, Duration::from_millis(50)).await, None);
    }

    /// A proxy with both ends of a connection through it.
    async fn connected() -> (Proxy, TcpStream, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(server.local_addr().unwrap());
        let near = TcpStream::connect(proxy.address()).await.unwrap();
        let (far, _) = server.accept().await.unwrap();
        (proxy, near, far)
    }

    async fn read(from: &mut TcpStream) -> String {
        read_for(from, PATIENCE).await.unwrap()
    }

    /// What arrives next, if anything does in time.
    async fn read_for(from: &mut TcpStream, time: Duration) -> Option<String> {
        let mut buffer = [0; 64];
        let read = tokio::time::timeout(time, from.read(&mut buffer)).await;
        let n = read.ok()?.unwrap();
        Some(String::from_utf8(buffer[..n].to_vec()).unwrap())
    }
}
