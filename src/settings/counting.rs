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

    /// From which part of a limit on hits are counted as near it, from 0 to 1
    #[arg(
        long,
        env = "SLIDEGATE_NEAR_LIMIT_RATIO",
        value_name = "RATIO",
        default_value = "0.8",
        value_parser = ratio
    )]
    pub near_limit_ratio: f32,
}

fn ratio(text: &str) -> Result<f32, &'static str> {
    let ratio = text.parse().ok().filter(|it| (0.0..=1.0).contains(it));
    ratio.ok_or("expected a number from 0 to 1")
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
    fn a_ratio_lies_between_none_and_all() {
        assert_eq!(ratio("0.8"), Ok(0.8));
        assert_eq!((ratio("0"), ratio("1")), (Ok(0.0), Ok(1.0)));
        for text in ["", "1.1", "-0.1", "NaN", "80%"] {
            assert!(ratio(text).is_err(), "{text}");
        }
    }

    #[test]
    fn jitter_is_in_whole_seconds_and_may_be_none() {
        assert_eq!(whole_seconds("0s"), Ok(Duration::ZERO));
        assert_eq!(whole_seconds("5m"), Ok(Duration::from_secs(300)));
        let expected = Err("expected whole seconds".to_owned());
        assert_eq!(whole_seconds("1500ms"), expected);
    }
}
