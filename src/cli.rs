//! The command line: reads the settings, runs a command, reports how it ended.

pub mod explain;
pub mod generate;
pub mod load;
pub mod serve;
pub mod validate;

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use crate::settings::Command;
use crate::settings::Settings;
use crate::shutdown::TaskError;

/// Runs the program with these arguments, its name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let settings = match Settings::read(arguments) {
        Ok(settings) => settings,
        Err(usage) => return show(&usage),
    };
    match dispatch(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref(), &mut io::stderr().lock());
            ExitCode::FAILURE
        }
    }
}

fn dispatch(settings: &Settings) -> Result<(), TaskError> {
    let mut output = io::stdout().lock();
    match &settings.command {
        Command::Explain(settings) => explain::run(settings, &mut output),
        Command::Generate(settings) => generate::run(settings, &mut output),
        Command::Load(settings) => {
            let mut errors = io::stderr().lock();
            let is_watched = errors.is_terminal();
            let progress = is_watched.then_some(&mut errors as &mut dyn Write);
            load::run(settings, &mut output, progress)
        }
        Command::Serve(settings) => serve::run(settings),
        Command::Validate(settings) => {
            validate::run(settings, &mut output, &mut io::stderr().lock())
        }
    }
}

/// Prints help where it was asked for, else what is wrong with the command line.
fn show(usage: &clap::Error) -> ExitCode {
    // When not even that can be printed, the exit status is all that is left to say.
    match usage.print() {
        Ok(()) if !usage.use_stderr() => ExitCode::SUCCESS,
        Ok(()) | Err(_) => ExitCode::from(2),
    }
}

/// Prints an error with the chain of its causes.
fn report(error: &dyn Error, output: &mut impl Write) {
    let mut text = format!("slidegate: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.push('\n');
    // There is nowhere else to report to when standard error is closed.
    drop(output.write_all(text.as_bytes()));
}
