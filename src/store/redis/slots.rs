//! The slots of a cluster: in which one a key lies, and which node has it.

use ::redis::Value;

use crate::store::redis::address::Endpoint;

/// Slots from one to another, both with it, and the master that has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) master: Endpoint,
}

impl Range {
    /// How many slots it has.
    pub(super) fn len(&self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

/// How many slots a cluster has.
pub(super) const N_SLOTS: usize = 16_384;

/// The slot of a key: that of what stands in its first pair of braces, if anything does.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        Some(&rest[..close]).filter(|tag| !tag.is_empty())
    };
    crc(tagged().unwrap_or(key)) % (N_SLOTS as u16)
}

/// CRC-16 as XMODEM has it: polynomial 0x1021, from 0.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc << 1) ^ (0x1021 * (crc >> 15));
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

/// Reads the answer to `CLUSTER SLOTS` of a node at `asked`; none when it is no such answer.
pub(super) fn read(answer: &Value, asked: &Endpoint) -> Option<Vec<Range>> {
    let Value::Array(ranges) = answer else {
        return None;
    };
    let range = |range: &Value| {
        let Value::Array(parts) = range else {
            return None;
        };
        let [
            Value::Int(first),
            Value::Int(last),
            Value::Array(master),
            ..,
        ] = parts.as_slice()
        else {
            return None;
        };
        let [host, Value::Int(port), ..] = master.as_slice() else {
            return None;
        };
        let host = match host {
            Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
            Value::Nil => String::new(),
            _ => return None,
        };
        let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
        let master = at(&host, u16::try_from(*port).ok()?, asked)?;
        let is_range = first <= last && usize::from(last) < N_SLOTS;
        is_range.then_some(Range {
            first,
            last,
            master,
        })
    };
    ranges.iter().map(range).collect()
}

/// Where `MOVED` and `ASK` of a node at `asked` point to: `host:port`.
pub(super) fn target(text: &str, asked: &Endpoint) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    at(host, port.parse().ok()?, asked)
}

/// A node that knows no name for itself or others means the host that was asked.
fn at(host: &str, port: u16, asked: &Endpoint) -> Option<Endpoint> {
    if !host.is_empty() && host != "?" {
        return Some(Endpoint::Tcp(host.to_owned(), port));
    }
    match asked {
        Endpoint::Tcp(host, _) => Some(Endpoint::Tcp(host.clone(), port)),
        Endpoint::Unix(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As `CLUSTER KEYSLOT` of Redis 7 answers.
        for (key, expected) in [
            ("", 0),
            ("123456789", 12_739),
            ("foo", 12_182),
            ("{foo}.bar", 12_182),
            ("a{foo}b{bar}", 12_182),
            ("foo{}{bar}", slot(b"foo{}{bar}")),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_eq!(crc(b"123456789"), 0x31C3);
        assert_ne!(slot(b"foo{}{bar}"), slot(b"bar"), "an empty tag is none");
    }

    #[test]
    fn a_node_without_a_name_is_on_the_host_that_was_asked() {
        let asked = Endpoint::Tcp("h".to_owned(), 1);
        let at = |host: &str, port| Some(Endpoint::Tcp(host.to_owned(), port));
        assert_eq!(target("10.0.0.1:7", &asked), at("10.0.0.1", 7));
        assert_eq!(target(":7", &asked), at("h", 7));
        assert_eq!(target("::1:7", &asked), at("::1", 7));
        assert_eq!(target("h", &asked), None);
    }
}
