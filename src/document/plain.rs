//! What readers of YAML take a value without quotes for.

/// Whether every reader, of YAML 1.1 as well as 1.2, takes the value for a text.
pub(super) fn is_text(value: &str) -> bool {
    let is_null = matches!(value, "" | "~" | "null" | "Null" | "NULL");
    !is_null && !BOOLEANS.contains(&value) && !is_number(value)
}

fn is_number(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    if [".inf", ".nan"].contains(&unsigned.to_ascii_lowercase().as_str()) {
        return true;
    }
    let begins = unsigned.strip_prefix('.').unwrap_or(unsigned);
    if !begins.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let unsigned = unsigned.replace('_', "");
    let in_base = |prefix: &str, base: u32| {
        let digits = unsigned.strip_prefix(prefix);
        digits.is_some_and(|it| !it.is_empty() && it.chars().all(|digit| digit.is_digit(base)))
    };
    in_base("0x", 16) || in_base("0o", 8) || in_base("0b", 2) || unsigned.parse::<f64>().is_ok()
}

/// Those of YAML 1.1, which Kubernetes' tools read.
const BOOLEANS: &[&str] = &[
    "y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No", "NO", "true", "True", "TRUE", "false",
    "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_reader_takes_for_something_else_is_no_text() {
        for value in [
            "", "~", "null", "on", "NO", "true", "1", "-1", "+1", "0123", "0x1F", "0o17", "0b1",
            "1_000", "1.5", "1.", ".5", "1e3", ".inf", "-.Inf", ".NaN",
        ] {
            assert!(!is_text(value), "{value}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        for value in [
            "1s",
            "10.0.0.1",
            "1-2",
            "0x",
            "0xg",
            ".",
            "-",
            "e3",
            "inf",
            "nan",
            "v1",
            "2026-01-01",
        ] {
            assert!(is_text(value), "{value}");
        }
    }
}
