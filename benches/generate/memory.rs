//! How much memory `slidegate generate` takes.

use std::fs;
use std::io::Read;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

use crate::sample;

/// Prints the most that the command had resident at once, for so many routes.
pub(crate) fn report(n_routes: usize) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("platform.yaml");
    fs::write(&path, sample::platform(n_routes)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_slidegate"))
        .arg("generate")
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It writes once, at the end, and more than a pipe holds: after the first byte it is still there.
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0]).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(rest.len() > 1 << 20, "{} bytes", rest.len());
    let peak = peak.unwrap().trim_start_matches("VmHWM:").trim();
    #[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
    {
        println!("generate, {n_routes} routes: {peak} resident at most");
    }
}
