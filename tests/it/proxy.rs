//! The proxy of the tests does what is said of it.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::PATIENCE;
use crate::support::now;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;

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
