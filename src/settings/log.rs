//! How much is logged.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// A level for everything, and others for some modules.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevel(Targets);

impl LogLevel {
    /// The filter that lets such lines pass.
    pub fn filter(&self) -> Targets {
        self.0.clone()
    }
}

/// Reads a level such as `info`, or a list such as `warn,slidegate::store=debug`.
pub fn read(text: &str) -> Result<LogLevel, String> {
    let mut targets = Targets::new();
    for part in text.split(',') {
        let (module, level) = match part.split_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, part),
        };
        let number = level.is_empty() || level.bytes().all(|byte| byte.is_ascii_digit());
        let Some(level) = LevelFilter::from_str(level).ok().filter(|_| !number) else {
            return Err(format!(
                "unknown level `{level}`: expected off, error, warn, info, debug or trace"
            ));
        };
        targets = match module {
            Some(module) => targets.with_target(module, level),
            None => targets.with_default(level),
        };
    }
    Ok(LogLevel(targets))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_holds_for_everything_but_the_modules_that_have_their_own() {
        let filter = read("warn,slidegate::store=debug").unwrap().filter();
        assert!(filter.would_enable("slidegate::store::redis", &Level::DEBUG));
        assert!(!filter.would_enable("slidegate::server", &Level::INFO));
        assert!(filter.would_enable("slidegate::server", &Level::WARN));
    }

    #[test]
    fn an_unknown_level_is_named() {
        let expected = "unknown level `loud`: expected off, error, warn, info, debug or trace";
        for text in ["loud", "info,slidegate=loud"] {
            assert_eq!(read(text), Err(expected.to_owned()));
        }
        assert!(read("").is_err());
        assert!(read("3").is_err());
    }
}
