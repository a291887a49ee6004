//! `slidegate generate`.

use std::io::Write;

use crate::settings::Generate;
use crate::shutdown::TaskError;

/// Runs the command.
pub fn run(settings: &Generate, _output: &mut impl Write) -> Result<(), TaskError> {
    Err(format!("cannot generate {} paths yet", settings.paths.len()).into())
}
