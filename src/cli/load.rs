//! `slidegate load`: sends requests to any RateLimitService and measures its answers.

mod cpu;
mod link;
mod message;
mod report;
mod schedule;
mod tally;
mod thread;
mod timer;
mod values;

use std::io::Write;
use std::num::NonZeroU64;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread as threads;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime;
use tokio::sync::oneshot;

use crate::algorithm::Timestamp;
use crate::cli::load::report::Report;
use crate::cli::load::schedule::Schedule;
use crate::cli::load::tally::Tally;
use crate::cli::load::thread::Thread;
use crate::limiter::clock::Clock;
use crate::limiter::clock::SystemClock;
use crate::settings::load::Load;
use crate::shutdown::TaskError;

/// Sends until the time or the requests are used up; then writes the report. `progress` gets a line
/// a second meanwhile.
///
/// # Errors
///
/// A service cannot be reached, or decided nothing.
pub fn run(
    settings: &Load,
    output: &mut impl Write,
    progress: Option<&mut dyn Write>,
) -> Result<(), TaskError> {
    let measured = measure(settings, progress)?;
    if settings.json {
        writeln!(output, "{}", measured.json())?;
    } else {
        write!(output, "{measured}")?;
    }
    if measured.tally.decided() == 0 {
        return Err("no request was decided".into());
    }
    Ok(())
}

fn measure(settings: &Load, progress: Option<&mut dyn Write>) -> Result<Report, TaskError> {
    let schedules = schedules(settings);
    let tallies: Vec<Arc<Mutex<Tally>>> = schedules.iter().map(|_| Arc::default()).collect();
    let clock = SystemClock::start();
    let (sender, events) = mpsc::channel();
    let run = Run {
        settings,
        clock,
        tallies: &tallies,
        events,
    };
    threads::scope(|scope| {
        for (schedule, tally) in schedules.into_iter().zip(&tallies) {
            let thread = Thread {
                settings,
                schedule,
                clock,
                tally: Arc::clone(tally),
            };
            let sender = sender.clone();
            scope.spawn(move || {
                let ended = on_own_runtime(thread, &sender);
                // Nobody listens when another thread has failed already.
                drop(sender.send(Event::Ended(ended)));
            });
        }
        drop(sender);
        run.follow(progress)
    })
}

/// One for each thread; there are no more threads than connections.
fn schedules(settings: &Load) -> Vec<Schedule> {
    let all = || threads::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let turns = settings.threads.unwrap_or_else(all).get();
    let turns = turns.min(thread::connections(settings)) as u64;
    let schedule = |turn| Schedule {
        rate: settings.rate,
        requests: settings.requests.map_or(u64::MAX, NonZeroU64::get),
        duration: u64::try_from(settings.duration.as_micros()).unwrap_or(u64::MAX),
        turns,
        turn,
    };
    (0..turns).map(schedule).collect()
}

fn on_own_runtime(thread: Thread<'_>, events: &mpsc::Sender<Event>) -> Result<(), TaskError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (begin, told) = oneshot::channel();
    let connected = || drop(events.send(Event::Connected(begin)));
    runtime.block_on(thread.run(connected, told))
}

/// What threads say.
enum Event {
    /// It waits for the moment at which all begin.
    Connected(oneshot::Sender<Timestamp>),
    Ended(Result<(), TaskError>),
}

/// What follows the threads.
struct Run<'a> {
    settings: &'a Load,
    clock: SystemClock,
    tallies: &'a [Arc<Mutex<Tally>>],
    events: mpsc::Receiver<Event>,
}

impl Run<'_> {
    /// Lets all threads begin at once, and waits for the last to end.
    fn follow(self, mut progress: Option<&mut dyn Write>) -> Result<Report, TaskError> {
        let mut connected = Vec::new();
        while connected.len() < self.tallies.len() {
            match self.events.recv()? {
                Event::Connected(thread) => connected.push(thread),
                Event::Ended(ended) => ended?,
            }
        }
        let cpu_before = self.cpu()?;
        let begin = self.clock.now().steady;
        for thread in connected {
            let told = thread.send(begin);
            told.map_err(|_| "a thread ended before it began")?;
        }
        let mut running = self.tallies.len();
        while running > 0 {
            match self.events.recv_timeout(PROGRESS_INTERVAL) {
                Ok(Event::Connected(_)) => {}
                Ok(Event::Ended(ended)) => {
                    ended?;
                    running -= 1;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(progress) = &mut progress {
                        let so_far = self.report(begin, Vec::new());
                        writeln!(progress, "{}", so_far.progress())?;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err("a thread panicked".into()),
            }
        }
        let used = self.cpu()?.into_iter().zip(cpu_before);
        let used = used.map(|((pid, after), (_, before))| (pid, after - before));
        Ok(self.report(begin, used.collect()))
    }

    fn report(&self, begin: Timestamp, cpu: Vec<(u32, f64)>) -> Report {
        let took = self.clock.now().steady.since(begin);
        let mut all = Tally::default();
        for tally in self.tallies {
            all.join(&tally.lock());
        }
        Report {
            took: Duration::from_micros(took),
            tally: all,
            cpu,
        }
    }

    /// The CPU seconds of each process so far.
    fn cpu(&self) -> Result<Vec<(u32, f64)>, TaskError> {
        let of = |pid: &u32| {
            let seconds = cpu::seconds(*pid);
            let seconds = seconds.map_err(|error| format!("process {pid}: {error}"))?;
            Ok((*pid, seconds))
        };
        self.settings.pid.iter().map(of).collect()
    }
}

const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
