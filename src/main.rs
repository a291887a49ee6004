//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    slidegate::cli::run(std::env::args_os())
}
