//! The CPU time of other processes, as `/proc` has it.

use std::fs;
use std::io;

/// The seconds that a process and its threads have had so far, in user and kernel mode.
///
/// # Errors
///
/// There is no such process, or no `/proc`.
pub(super) fn seconds(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks(&stat).ok_or(io::ErrorKind::InvalidData)?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Fields 14 and 15 (proc_pid_stat(5)); the second, a name in brackets, may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let kernel: u64 = fields.next()?.parse().ok()?;
    user.checked_add(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_modes_count_whatever_the_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 30 0 0 20 0 4 0 100 0 0";
        assert_eq!(ticks(stat), Some(280));
    }

    #[test]
    fn what_is_no_stat_is_noticed() {
        for text in ["", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 0 0 0 0 0 x 30 0"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn this_process_has_its_time() {
        assert!(seconds(std::process::id()).unwrap() >= 0.0);
    }
}
