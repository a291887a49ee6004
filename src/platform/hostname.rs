//! Host names as Gateway API has them: `api.example.com`, or `*.example.com` for all below a domain.

use std::fmt;
use std::net::IpAddr;

/// A host name in lower case, with or without a leading `*.`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Hostname(String);

/// The text is no host name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not a host name: expected one such as `api.example.com` or `*.example.com`")]
pub struct InvalidHostname(String);

impl Hostname {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hosts that both names stand for, if there are any: the narrower of the two.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            return Some(other.clone());
        }
        other.covers(self).then(|| self.clone())
    }

    /// Whether every host that `other` stands for is one that this stands for.
    pub fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        // With the dot, so that `*.example.com` takes neither `example.com` nor `anexample.com`.
        let Some(suffix) = self.0.strip_prefix('*') else {
            return false;
        };
        let name = other.0.strip_prefix('*').unwrap_or(&other.0);
        name.len() > suffix.len() && name.ends_with(suffix)
    }
}

impl TryFrom<&str> for Hostname {
    type Error = InvalidHostname;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        if is_dns_name(name) && name.parse::<IpAddr>().is_err() {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidHostname(text.to_owned()))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the text is an RFC 1123 name: labels of at most 63 characters, joined by dots.
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Whether the text is an RFC 1123 label: lower case letters, digits and inner hyphens.
pub fn is_dns_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_equal_intersect_as_themselves() {
        check("a.example.com", "a.example.com", Some("a.example.com"));
        check("*.example.com", "*.example.com", Some("*.example.com"));
        check("a.example.com", "b.example.com", None);
    }

    #[test]
    fn a_wildcard_takes_any_number_of_labels() {
        check("*.example.com", "a.example.com", Some("a.example.com"));
        check("*.example.com", "a.b.example.com", Some("a.b.example.com"));
    }

    #[test]
    fn a_wildcard_takes_only_whole_labels() {
        check("*.example.com", "example.com", None);
        check("*.example.com", "an-example.com", None);
    }

    #[test]
    fn two_wildcards_intersect_as_the_narrower() {
        check("*.com", "*.example.com", Some("*.example.com"));
        check("*.example.com", "*.example.org", None);
        check("*.ample.com", "*.example.com", None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "A.example.com",
            "a..b",
            "-a.b",
            "a.*.b",
            "10.0.0.1",
            "*.10.0.0.1",
        ] {
            assert!(Hostname::try_from(text).is_err(), "{text}");
        }
    }

    #[track_caller]
    fn check(a: &str, b: &str, expected: Option<&str>) {
        let (a, b) = (
            Hostname::try_from(a).unwrap(),
            Hostname::try_from(b).unwrap(),
        );
        let expected = expected.map(|name| Hostname::try_from(name).unwrap());
        assert_eq!(a.intersection(&b), expected);
        assert_eq!(b.intersection(&a), expected);
    }
}
