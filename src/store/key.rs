//! The identity of a counter as bytes.

use sha2::Digest;
use sha2::Sha256;

use crate::algorithm::Timestamp;
use crate::algorithm::fixed;
use crate::rule::limit::Window;

/// The key of a sliding counter: the window, then the domain and every key and value of the path
/// with its length before it, so that no two identities have the same key.
///
/// A key never exceeds [`MAX_LENGTH`] bytes: a longer one is replaced by its SHA-256.
pub fn sliding<'e>(
    domain: &str,
    path: impl IntoIterator<Item = (&'e str, &'e str)>,
    window: Window,
) -> Vec<u8> {
    let mut key = Vec::with_capacity(128);
    key.extend_from_slice(PREFIX.as_bytes());
    push_number(&mut key, window.seconds());
    key.push(b';');
    let head = key.len();
    push(&mut key, domain);
    for (name, value) in path {
        push(&mut key, name);
        push(&mut key, value);
    }
    if key.len() > MAX_LENGTH {
        let digest = Sha256::digest(&key[head..]);
        key.truncate(head);
        // A part begins with the digits of its length, so no whole key begins like this.
        key.push(b'#');
        for byte in digest {
            key.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
    }
    key
}

/// The key of a fixed window, to the byte as envoyproxy/ratelimit writes it: domain, keys and
/// values joined by `_`, then the second at which the window began.
pub fn fixed<'e>(
    domain: &str,
    path: impl IntoIterator<Item = (&'e str, &'e str)>,
    window: Window,
    now: Timestamp,
) -> Vec<u8> {
    let mut key = format!("{domain}_");
    for (name, value) in path {
        for part in [name, value] {
            key.push_str(part);
            key.push('_');
        }
    }
    key.push_str(&fixed::start(window, now).to_string());
    key.into_bytes()
}

fn push(key: &mut Vec<u8>, part: &str) {
    push_number(key, part.len() as u64);
    key.push(b':');
    key.extend_from_slice(part.as_bytes());
    key.push(b',');
}

fn push_number(key: &mut Vec<u8>, number: u64) {
    key.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The longest key of a sliding counter, in bytes.
pub const MAX_LENGTH: usize = 512;

/// What every sliding counter's key begins with; the number is that of the value's format.
pub const PREFIX: &str = "slidegate:1;";

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;
    use crate::rule::limit::Unit;

    #[test]
    fn a_key_is_readable() {
        let key = sliding("shop", [("user", "u1"), ("op", "")], window(60));
        assert_eq!(key, b"slidegate:1;60;4:shop,4:user,2:u1,2:op,0:,");
    }

    #[test]
    fn a_fixed_key_is_that_of_the_reference() {
        let path = [("files", "files/*"), ("tenant", "1")];
        let key = fixed("domain", path, window(60), Timestamp(1_234_567_850_123_456));
        assert_eq!(key, b"domain_files_files/*_tenant_1_1234567800");
    }

    #[test]
    fn a_long_key_is_shortened_and_stays_apart() {
        let long = "x".repeat(1 << 20);
        let other = format!("{}y", &long[1..]);
        let a = sliding("d", [("k", long.as_str())], window(60));
        let b = sliding("d", [("k", other.as_str())], window(60));
        assert!(a.len() <= MAX_LENGTH && a.starts_with(b"slidegate:1;60;#"));
        assert_ne!(a, b);
        assert_ne!(a, sliding("d", [("k", long.as_str())], window(61)));
    }

    proptest! {
        #[test]
        fn no_two_identities_have_the_same_key(a in identity(), b in identity()) {
            let key = |(domain, path): &(String, Vec<(String, String)>)| {
                let path = path.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                sliding(domain, path, window(60))
            };
            prop_assert_eq!(a == b, key(&a) == key(&b));
        }
    }

    fn identity() -> impl Strategy<Value = (String, Vec<(String, String)>)> {
        let part = || "[a1:,_]{0,3}";
        (part(), prop::collection::vec((part(), part()), 0..3))
    }

    fn window(seconds: u32) -> Window {
        Window::of(Unit::Second, NonZeroU32::new(seconds).unwrap()).unwrap()
    }
}
