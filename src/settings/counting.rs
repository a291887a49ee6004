//! How hits are counted, apart from where.

use std::time::Duration;

use clap::Args;

use crate::settings::duration;

/// How hits are counted, apart from where.
#[derive(Args, Debug)]
pub struct Counting {
    /// What the key of every counter begins with
    #[arg(
        long,
        env = "SLIDEGATE_KEY_PREFIX",
        value_name = "TEXT",
        default_value = ""
    )]
    pub key_prefix: String,

    /// How much longer than needed a fixed window's key stays, at most: a random part of it
    #[arg(
        long,
        env = "SLIDEGATE_EXPIRY_JITTER",
        value_name = "DURATION",
        default_value = "300s",
        value_parser = whole_seconds
    )]
    pub expiry_jitter: Duration,
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    let duration = duration::read_or_none(text)?;
    if duration.subsec_nanos() > 0 {
        return Err("expected whole seconds".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_in_whole_seconds_and_may_be_none() {
        assert_eq!(whole_seconds("0s"), Ok(Duration::ZERO));
        assert_eq!(whole_seconds("5m"), Ok(Duration::from_secs(300)));
        let expected = Err("expected whole seconds".to_owned());
        assert_eq!(whole_seconds("1500ms"), expected);
    }
}
