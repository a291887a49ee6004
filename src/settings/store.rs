//! Where hits are counted, as the user names it.

use std::ffi::OsStr;
use std::fmt;

use clap::Arg;
use clap::Command;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

/// Where hits are counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreAddress {
    /// In this process.
    Memory,
    /// In a Redis server.
    Redis(RedisUrl),
}

/// The URL of a Redis server. It may hold a password, so printing it masks that.
#[derive(Clone, Eq, PartialEq)]
pub struct RedisUrl(String);

impl StoreAddress {
    /// Reads `memory` or `redis://[user:password@]host[:port][/db]`.
    ///
    /// # Errors
    ///
    /// The message names what was written, with its password masked.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        let url = text.strip_prefix("redis://").and_then(|rest| {
            let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
            names_a_server(server).then(|| RedisUrl(text.to_owned()))
        });
        url.map(Self::Redis).ok_or_else(|| {
            let written = masked(text);
            format!("unknown store `{written}`: expected memory or redis://host:port/db")
        })
    }
}

impl RedisUrl {
    /// The whole URL, password and all; not for the log.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads the flag. Clap's own message would repeat the password of a URL with a fault in it.
#[derive(Clone, Debug)]
pub struct StoreParser;

impl TypedValueParser for StoreParser {
    type Value = StoreAddress;

    fn parse_ref(
        &self,
        command: &Command,
        _argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        StoreAddress::read(&value.to_string_lossy()).map_err(|message| {
            let message = format!("{message}, for '--store <STORE>'\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Whether `text` is `host[:port][/db]`.
fn names_a_server(text: &str) -> bool {
    let (address, db) = text.split_once('/').unwrap_or((text, ""));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let is_host = match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(is_part)
        }
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let is_db = db.is_empty() || db.parse::<u32>().is_ok();
    is_host && is_port && is_db
}

/// The text with what stands before an `@` replaced.
fn masked(text: &str) -> String {
    let Some((credentials, rest)) = text.rsplit_once('@') else {
        return text.to_owned();
    };
    match credentials.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{rest}"),
        None => format!("***@{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_memory_or_a_redis_server() {
        assert_eq!(StoreAddress::read("memory"), Ok(StoreAddress::Memory));
        for url in [
            "redis://localhost",
            "redis://localhost:6379",
            "redis://redis.ns.svc:6379/3",
            "redis://10.0.0.1:6379/",
            "redis://[::1]:6379/0",
            "redis://[::1]",
            "redis://user:p@ss@localhost:6379/0",
        ] {
            let expected = StoreAddress::Redis(RedisUrl(url.to_owned()));
            assert_eq!(StoreAddress::read(url), Ok(expected), "{url}");
        }
    }

    #[test]
    fn anything_else_is_named_in_the_error() {
        for text in [
            "",
            "Memory",
            "localhost:6379",
            "rediss://localhost",
            "redis://",
            "redis://:6379",
            "redis://host:port/db",
            "redis://localhost:0",
            "redis://localhost:6379/x",
            "redis://[localhost]:6379",
            "redis://a b",
        ] {
            let expected =
                format!("unknown store `{text}`: expected memory or redis://host:port/db");
            assert_eq!(StoreAddress::read(text), Err(expected));
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let fault = StoreAddress::read("redis://user:secret@host:x").unwrap_err();
        let store = StoreAddress::read("redis://user:se@cret@host").unwrap();
        let StoreAddress::Redis(url) = &store else {
            unreachable!("a Redis URL was read")
        };
        for text in [fault, format!("{store:?}"), url.to_string()] {
            assert!(!text.contains("cret"), "{text}");
            assert!(text.contains("redis://***@host"), "{text}");
        }
    }
}
