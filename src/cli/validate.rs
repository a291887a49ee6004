//! `slidegate validate`.

use std::io::Write;

use crate::settings::Validate;
use crate::shutdown::TaskError;

/// Runs the command.
pub fn run(settings: &Validate, _output: &mut impl Write) -> Result<(), TaskError> {
    Err(format!("cannot validate {} paths yet", settings.paths.len()).into())
}
