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
    // It writes as it goes, so what it has had resident at most is looked at after each part.
    let mut output = child.stdout.take().unwrap();
    let (mut peak, mut n_bytes) = (None, 0);
    let mut part = [0; 1 << 16];
    loop {
        let read = output.read(&mut part).unwrap();
        if read == 0 {
            break;
        }
        n_bytes += read;
        peak = resident(child.id()).or(peak);
    }
    assert!(child.wait().unwrap().success());
    assert!(n_bytes > 1 << 20, "{n_bytes} bytes");
    let peak = peak.unwrap();
    #[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
    {
        println!("generate, {n_routes} routes: {peak} resident at most");
    }
}

/// What a process has had resident at most, while it is there.
fn resident(process: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.trim().to_owned())
}
