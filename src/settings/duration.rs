//! Lengths of time as people write them: `500us`, `20ms`, `10s`, `5m`, `24h`.

use std::time::Duration;

/// Reads a whole number above zero with its unit.
pub fn read(text: &str) -> Result<Duration, String> {
    let duration = read_or_none(text)?;
    if duration.is_zero() {
        return Err("expected more than nothing".to_owned());
    }
    Ok(duration)
}

/// Reads a whole number with its unit.
pub fn read_or_none(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let micros = UNITS.iter().find(|(name, _)| *name == unit);
    let number: Option<u64> = number.parse().ok();
    let product = number
        .zip(micros)
        .and_then(|(n, (_, micros))| n.checked_mul(*micros));
    match product {
        Some(micros) => Ok(Duration::from_micros(micros)),
        None => Err("expected a whole number with one of the units us, ms, s, m or h".to_owned()),
    }
}

const UNITS: [(&str, u64); 5] = [
    ("us", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60_000_000),
    ("h", 3_600_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        check("500us", Some(500));
        check("20ms", Some(20_000));
        check("10s", Some(10_000_000));
        check("5m", Some(300_000_000));
        check("24h", Some(86_400_000_000));
    }

    #[test]
    fn nothing_is_a_length_of_time_where_it_may_be() {
        assert_eq!(read_or_none("0s"), Ok(Duration::ZERO));
        assert!(read_or_none("0").is_err());
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            "5",
            "ms",
            "0s",
            "-1s",
            "1.5s",
            "5 ms",
            "5d",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            check(text, None);
        }
    }

    #[track_caller]
    fn check(text: &str, micros: Option<u64>) {
        assert_eq!(read(text).ok(), micros.map(Duration::from_micros));
    }
}
