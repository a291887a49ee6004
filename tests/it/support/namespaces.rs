//! Namespaces of a test's own: users, mounts, processes and a network with nothing but a loopback.
//!
//! A test that needs them runs its whole program a second time inside. There it is root, its fixed
//! ports meet nobody, and what it starts ends with it.

use std::env;
use std::fs;
use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::support;

/// Whether the test of this name runs in namespaces. If not, this runs it there, and fails when it
/// fails; where the machine allows no namespaces it says so, or fails under
/// `REQUIRE_NAMESPACES=1`.
#[track_caller]
pub(crate) fn entered(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        loopback_up();
        return true;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "--mount"]);
        // All that is left ends with the first process inside, and that with `unshare`.
        command.args(["--pid", "--fork", "--kill-child"]);
        command
    };
    let probe = unshare().arg("true").output();
    if !probe.as_ref().is_ok_and(|it| it.status.success()) {
        support::skip(
            "REQUIRE_NAMESPACES",
            &format!("no namespaces here: {probe:?}"),
        );
        return false;
    }
    let output = unshare()
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "in the namespaces:\n{said}");
    assert!(
        said.contains("1 passed"),
        "no test is called {test}:\n{said}"
    );
    for line in said.lines().filter(|it| it.starts_with("SKIPPED")) {
        io::stderr()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
    false
}

/// Has names mean the loopback for every process inside.
pub(crate) fn name_loopback(hosts: &Path, names: &[&str]) {
    name(hosts, Ipv4Addr::LOCALHOST, names);
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(hosts).arg("/etc/hosts");
    assert!(mount.status().unwrap().success(), "{mount:?}");
}

/// Has names mean another address from now on, where [`name_loopback`] was called with the same file.
pub(crate) fn name(hosts: &Path, address: Ipv4Addr, names: &[&str]) {
    let names = names.join(" ");
    fs::write(hosts, format!("127.0.0.1 localhost\n{address} {names}\n")).unwrap();
}

/// The first link of a new network is the loopback, and it is down.
fn loopback_up() {
    let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, None).unwrap();
    let mut message = Vec::new();
    // The header: length, RTM_NEWLINK, NLM_F_REQUEST, number and sender.
    message.extend(32_u32.to_ne_bytes());
    message.extend([16_u16, 1].map(u16::to_ne_bytes).concat());
    message.extend([0; 8]);
    // The link: any family, number 1, with IFF_UP set and nothing else changed.
    message.extend([0; 4]);
    message.extend([1_u32, 1, 1].map(u32::to_ne_bytes).concat());
    assert_eq!(socket.send(&message).unwrap(), message.len());
}

/// Of sockets that configure the network.
const AF_NETLINK: i32 = 16;

const INSIDE: &str = "TEST_IS_IN_NAMESPACES";
