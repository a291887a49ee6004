//! The gRPC port as a socket in the file system.

use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::codegen::http::Uri;
use tonic::transport::Endpoint;

use crate::support::eventually;
use crate::support::process::Process;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::slidegate;

#[tokio::test]
async fn envoy_may_ask_over_a_unix_socket_as_with_envoyproxy_ratelimit() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("grpc.sock");
    // One that a process left behind makes room; one that is in use does not.
    drop(UnixListener::bind(&path).unwrap());
    let mut first = start(&path);
    let mut rls = connect(&path).await;
    for is_admitted in [true, true, true, false] {
        let hit = request("demo", &[&[("user", "anna")]]);
        assert_eq!(rls.admits(hit).await, is_admitted);
    }
    let mut second = start(&path);
    let refused = format!("cannot listen on {} (--grpc-socket)", path.display());
    assert!(second.line_with(&refused).is_some(), "{:?}", second.lines());
    assert_eq!(second.wait().code(), Some(1));
    assert!(rls.admits(request("demo", &[&[("user", "bob")]])).await);

    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0), "{:?}", first.lines());
    assert!(!path.exists(), "the file goes with the process");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "precious").unwrap();
    let mut process = start(&path);
    assert!(process.line_with("cannot listen on").is_some());
    assert_eq!(process.wait().code(), Some(1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

/// The drop-in with the demo's rules.
#[track_caller]
fn start(path: &Path) -> Process {
    let mut command = slidegate(&["serve", "--drop-in", "--rules", "config/demo"]);
    command.args(["--http-addr", "127.0.0.1:0", "--debug-addr", "127.0.0.1:0"]);
    command.env("GRPC_UDS", path).envs([
        ("SLIDEGATE_STORE", "memory"),
        ("SLIDEGATE_DRAIN_DELAY", "0s"),
        ("USE_STATSD", "false"),
        ("LOG_LEVEL", "info"),
    ]);
    Process::start(&mut command)
}

/// Connects once there is somebody.
async fn connect(path: &Path) -> Rls {
    eventually("the socket is there", || {
        let kind = path.symlink_metadata().ok()?.file_type();
        let answers = std::os::unix::net::UnixStream::connect(path).is_ok();
        (kind.is_socket() && answers).then_some(())
    });
    let path = path.to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    Rls::over(endpoint.connect_with_connector(connect).await.unwrap())
}
