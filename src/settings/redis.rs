//! How Redis is reached: passwords and certificates beside its URL.

use std::path::PathBuf;

use clap::Args;

use crate::settings::store::StoreAddress;
use crate::settings::store::StoreParser;
use crate::store::redis::address::Login;
use crate::tls::client::ClientFiles;

/// The flags of the link to Redis.
#[derive(Args, Clone, Debug, Default, Eq, PartialEq)]
pub struct Redis {
    /// A file with the password of Redis, in place of one in the URL; read for every connection
    #[arg(long, env = "SLIDEGATE_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,

    /// The password of the sentinels, or user:password
    #[arg(
        long,
        env = "SLIDEGATE_REDIS_SENTINEL_AUTH",
        hide_env_values = true,
        value_name = "PASSWORD",
        value_parser = login
    )]
    pub redis_sentinel_auth: Option<Login>,

    /// The authorities to trust, in PEM; those of the system unless given
    #[arg(long, env = "SLIDEGATE_REDIS_CA", value_name = "FILE")]
    pub redis_ca: Option<PathBuf>,

    /// The certificate to show to Redis, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_REDIS_CERT",
        value_name = "FILE",
        requires = "redis_key"
    )]
    pub redis_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_REDIS_KEY",
        value_name = "FILE",
        requires = "redis_cert"
    )]
    pub redis_key: Option<PathBuf>,

    /// Lets the certificate of Redis carry any name; who issued it is still looked at
    #[arg(long, env = "SLIDEGATE_REDIS_SKIP_HOSTNAME_VERIFICATION")]
    pub redis_skip_hostname_verification: bool,

    /// Another Redis, for limits per second
    #[arg(
        long,
        env = "SLIDEGATE_PER_SECOND_STORE",
        hide_env_values = true,
        value_name = "STORE",
        value_parser = StoreParser
    )]
    pub per_second_store: Option<StoreAddress>,

    /// The password of its sentinels, or user:password; that of the others unless given
    #[arg(
        long,
        env = "SLIDEGATE_PER_SECOND_SENTINEL_AUTH",
        hide_env_values = true,
        value_name = "PASSWORD",
        value_parser = login
    )]
    pub per_second_sentinel_auth: Option<Login>,
}

impl Redis {
    /// The files of TLS.
    pub fn files(&self) -> ClientFiles {
        ClientFiles {
            authorities: self.redis_ca.clone(),
            pair: self.redis_cert.clone().zip(self.redis_key.clone()),
            any_name: self.redis_skip_hostname_verification,
        }
    }

    /// Who asks the sentinels.
    pub fn sentinel_login(&self) -> Login {
        self.redis_sentinel_auth.clone().unwrap_or_default()
    }

    /// Who asks the sentinels of the Redis for limits per second.
    pub fn per_second_sentinel_login(&self) -> Login {
        let own = self.per_second_sentinel_auth.clone();
        own.unwrap_or_else(|| self.sentinel_login())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn login(text: &str) -> Result<Login, std::convert::Infallible> {
    Ok(Login::read(text))
}
