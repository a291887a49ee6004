//! Lengths of time as Gateway API writes them: `30s`, `1h30m`, `25ms`.

use std::fmt;
use std::time::Duration;

/// A length of time with the text that says it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    text: String,
    length: Duration,
}

/// The text is no length of time.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a length of time: expected one such as `30s`, `1h30m` or `250ms`")]
pub struct InvalidSpan(String);

impl Span {
    /// How many milliseconds [`Span::of_millis`] takes: about a day.
    pub const MAX_MILLIS: u32 = 99_999_999;

    /// So many milliseconds, at most [`Span::MAX_MILLIS`], written with as few numbers as can be.
    pub fn of_millis(millis: u32) -> Self {
        let millis = millis.min(Self::MAX_MILLIS);
        let text = match (millis / 1_000, millis % 1_000) {
            (seconds, 0) => format!("{seconds}s"),
            (seconds, _) if seconds < 100 => format!("{millis}ms"),
            (seconds, rest) => format!("{seconds}s{rest}ms"),
        };
        let length = Duration::from_millis(u64::from(millis));
        Self { text, length }
    }

    /// The length as it is written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The length.
    pub fn length(&self) -> Duration {
        self.length
    }
}

impl TryFrom<&str> for Span {
    type Error = InvalidSpan;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let invalid = || InvalidSpan(text.to_owned());
        let (mut rest, mut length, mut n_parts) = (text, Duration::ZERO, 0);
        while !rest.is_empty() {
            let (part, after) = part(rest).ok_or_else(invalid)?;
            length += part;
            rest = after;
            n_parts += 1;
        }
        if !(1..=MAX_PARTS).contains(&n_parts) {
            return Err(invalid());
        }
        let text = text.to_owned();
        Ok(Self { text, length })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The first number and unit of a text, with what comes after them.
fn part(text: &str) -> Option<(Duration, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    if digits.len() > MAX_DIGITS {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    UNITS.iter().find_map(|(unit, length)| {
        let after = rest.strip_prefix(unit)?;
        Some((Duration::from_millis(number * length), after))
    })
}

/// The units in milliseconds, those first that begin with the name of another.
const UNITS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// How many numbers Gateway API lets a length of time have, and how many digits each of them.
const MAX_PARTS: usize = 4;
const MAX_DIGITS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_the_sum_of_its_parts() {
        check("30s", Some(30_000));
        check("250ms", Some(250));
        check("1h30m", Some(5_400_000));
        check("1m1ms", Some(60_001));
        check("0s", Some(0));
        check("99999h", Some(359_996_400_000));
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "123456s",
            "1s 1s",
            "1S",
            "1s1s1s1s1s",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn milliseconds_are_written_as_a_length() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (30_000, "30s"),
            (1_500, "1500ms"),
            (99_999, "99999ms"),
            (100_001, "100s1ms"),
            (99_999_999, "99999s999ms"),
        ] {
            let span = Span::of_millis(millis);
            assert_eq!(span.as_str(), text);
            assert_eq!(Span::try_from(text), Ok(span));
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Option<u64>) {
        let actual = Span::try_from(text).ok();
        assert_eq!(
            actual.map(|it| it.length()),
            expected.map(Duration::from_millis)
        );
    }
}
