//! A child process with its output, which does not outlive the test.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;

use crate::support::PATIENCE;
use crate::support::eventually;
use crate::support::now;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Arc<Output>,
}

impl Process {
    /// Starts a program; what it writes is kept.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{command:?}: {error}"),
        };
        let output = Arc::new(Output::default());
        output.follow(child.stdout.take().unwrap());
        output.follow(child.stderr.take().unwrap());
        Self { child, output }
    }

    /// Waits until a line with `text` is written and returns it; `None` when the program ends
    /// without.
    #[track_caller]
    pub(crate) fn line_with(&self, text: &str) -> Option<String> {
        self.line_where(|line| line.contains(text))
    }

    /// As [`Process::line_with`], for lines that are told by more than a text in them.
    #[track_caller]
    pub(crate) fn line_where(&self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        self.output.line_where(is_it)
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.output.lines.lock().unwrap().written.clone()
    }

    /// Whether the program has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM` or `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success(), "cannot send {name} to {pid}");
    }

    /// Waits for the program to end by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the program ends", || self.child.try_wait().unwrap())
    }

    /// Ends the program at once.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The lines that a program wrote to either stream.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    written: Vec<String>,
    ended_streams: usize,
}

impl Output {
    /// Reads a stream to its end, on a thread of its own.
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output.lines.lock().unwrap().written.push(line);
                output.changed.notify_all();
            }
            output.lines.lock().unwrap().ended_streams += 1;
            output.changed.notify_all();
        });
    }

    #[track_caller]
    fn line_where(&self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let begin = now();
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.written.iter().find(|line| is_it(line)) {
                return Some(line.clone());
            }
            if lines.ended_streams == 2 {
                return None;
            }
            let left = PATIENCE.saturating_sub(begin.elapsed());
            assert!(
                !left.is_zero(),
                "not the line that was waited for within {PATIENCE:?}:\n{}",
                lines.written.join("\n"),
            );
            (lines, _) = self.changed.wait_timeout(lines, left).unwrap();
        }
    }
}
