//! Where hits are counted, as the user names it.

use std::ffi::OsStr;

use clap::Arg;
use clap::Command;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use crate::store::redis::address::Address;
use crate::store::redis::address::Unreadable;

/// Where hits are counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreAddress {
    /// In this process.
    Memory,
    /// In Redis.
    Redis(Address),
}

impl StoreAddress {
    /// Reads `memory` or a URL of [`Address::read`].
    ///
    /// # Errors
    ///
    /// The message names what was written, without its credentials.
    pub fn read(text: &str) -> Result<Self, String> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        match Address::read(text) {
            Ok(address) => Ok(Self::Redis(address)),
            Err(error @ Unreadable::Unknown(_)) => {
                let error = error.to_string();
                let error = error.replacen(": expected ", ": expected memory, ", 1);
                Err(format!("unknown store {error}"))
            }
            Err(error) => Err(error.to_string()),
        }
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
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, clap::Error> {
        StoreAddress::read(&value.to_string_lossy()).map_err(|message| {
            let flag = argument.map_or_else(String::new, |it| format!(", for '{it}'"));
            let message = format!("{message}{flag}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_memory_or_a_redis() {
        assert_eq!(StoreAddress::read("memory"), Ok(StoreAddress::Memory));
        let url = "redis+cluster://a,b";
        let address = Address::read(url).unwrap();
        assert_eq!(StoreAddress::read(url), Ok(StoreAddress::Redis(address)));
    }

    #[test]
    fn anything_else_is_named_in_the_error() {
        let fault = StoreAddress::read("Memory").unwrap_err();
        let expected = "unknown store `Memory`: expected memory, redis://host:port/db, unix:";
        assert!(fault.starts_with(expected), "{fault}");
    }
}
