//! Values as Go programs read them.

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

/// Reads a boolean.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

/// Reads a length of time, such as `1h30m` or `1.5s`; none is negative here.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "a length of time such as 90s, 1h30m or 1.5s".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(expected());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, tail) = rest.split_at(number.ok_or_else(expected)?);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, tail) = tail.split_at(unit.unwrap_or(tail.len()));
        let number: f64 = number.parse().map_err(|_| expected())?;
        let (_, length) = UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .ok_or_else(expected)?;
        seconds += number * length;
        rest = tail;
    }
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|it| it.as_secs() < MOST_SECONDS)
        .ok_or_else(expected)
}

/// Reads a whole number, perhaps with `0x`, `0o` or `0b` before it.
pub(super) fn number(text: &str) -> Result<u64, String> {
    let (digits, radix) = match text.get(..2) {
        Some("0x" | "0X") => (&text[2..], 16),
        Some("0o" | "0O") => (&text[2..], 8),
        Some("0b" | "0B") => (&text[2..], 2),
        Some(_) | None => (text, 10),
    };
    let is_digit = |c: char| c.is_digit(radix);
    let number = u64::from_str_radix(digits, radix).ok();
    number
        .filter(|_| digits.chars().all(is_digit))
        .ok_or_else(|| "a whole number".to_owned())
}

/// Reads a number with a fraction.
pub(super) fn fraction(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|it: &f64| it.is_finite());
    number.ok_or_else(|| "a number".to_owned())
}

/// Reads pairs: `a:1,b:2`, with the separator that stands here for the colon.
pub(super) fn pairs(text: &str, separator: char) -> Result<Vec<(String, String)>, String> {
    let pair = |item: &str| {
        let (key, value) = item.split_once(separator)?;
        let is_whole = !key.is_empty() && !value.contains(separator);
        is_whole.then(|| (key.to_owned(), value.to_owned()))
    };
    let read: Option<Vec<_>> = text.split(',').map(pair).collect();
    read.ok_or_else(|| format!("pairs such as key{separator}value,other{separator}value"))
}

/// Reads headers as OpenTelemetry has them: `a=1,b=2`, with anything but commas in the values.
pub(super) fn headers(text: &str) -> Result<(), String> {
    let is_header = |item: &str| {
        let name = item.split_once('=').map_or("", |(name, _)| name.trim());
        !name.is_empty()
    };
    let is_whole = text.split(',').all(is_header);
    let expected = || "headers such as name=value,other=value".to_owned();
    is_whole.then_some(()).ok_or_else(expected)
}

/// Reads an address to listen on: no host means all of them, of both families.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let expected = || "an address such as :9090 or 0.0.0.0:9090".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
    let port = port.parse().map_err(|_| expected())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(SocketAddr::new(
        self::host(host).map_err(|_| expected())?,
        port,
    ))
}

/// Reads a host to listen on.
pub(super) fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        "localhost" => Ok(std::net::Ipv4Addr::LOCALHOST.into()),
        _ => text
            .parse()
            .map_err(|_| "an IP address such as 0.0.0.0 or ::".to_owned()),
    }
}

const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
];

/// 290 years, where Go's durations end.
const MOST_SECONDS: u64 = 290 * 365 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_go() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["yes", "no", "on", "tRue", " true", "2", ""] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, micros) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10_000_000),
            ("1.5s", 1_500_000),
            ("1h30m", 5_400_000_000),
            ("2m3.5s", 123_500_000),
            (".5s", 500_000),
            ("100ms", 100_000),
            ("7us", 7),
            ("7µs", 7),
            ("+1s", 1_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1d",
            "-1s",
            "1 s",
            "1s ",
            "1.2.3s",
            "+",
            "99999999h",
            ".",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_may_have_a_base() {
        for (text, expected) in [
            ("10", 10),
            ("0x1F", 31),
            ("0o17", 15),
            ("0b101", 5),
            ("0", 0),
        ] {
            assert_eq!(number(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "1.5", "0x", "0xg", "+1", "0b2", "1e3"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_have_exactly_one_separator_each() {
        let expected = [("a", "1"), ("b", "")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(pairs("a:1,b:", ':').unwrap(), expected);
        assert_eq!(pairs("a=1,b=", '=').unwrap(), expected);
        for text in ["a", "a:1:2", ":1", "a:1,"] {
            assert!(pairs(text, ':').is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_all_of_them() {
        for (text, expected) in [
            (":19001", "[::]:19001"),
            ("0.0.0.0:9090", "0.0.0.0:9090"),
            ("[::1]:9090", "[::1]:9090"),
            ("localhost:1", "127.0.0.1:1"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()), "{text}");
        }
        for text in ["", "9090", ":", "a.example.com:1", "0.0.0.0:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
