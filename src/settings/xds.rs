//! The xDS server that rules come from, as flags name it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::settings::duration;

/// The flags of the xDS source.
#[derive(Args, Clone, Debug, Eq, PartialEq)]
pub struct Xds {
    /// An xDS server (ADS, state of the world) that pushes the rules, such as Envoy Gateway's
    ///
    /// It takes the place of --rules. With --platform beside it, it says which limits there are, and the
    /// platform adds what a push has no room for: bursts, what costs mean, --on-store-failure by limit.
    #[arg(
        long,
        env = "SLIDEGATE_XDS_SERVER",
        value_name = "HOST:PORT",
        conflicts_with = "rules"
    )]
    pub xds_server: Option<String>,

    /// The name that this process goes by there; Envoy Gateway knows but this one
    #[arg(
        long,
        env = "SLIDEGATE_XDS_NODE_ID",
        value_name = "ID",
        default_value = "envoy-ratelimit"
    )]
    pub xds_node_id: String,

    /// What to tell the server of this process besides, such as zone=a; may be given several times
    #[arg(
        long,
        env = "SLIDEGATE_XDS_NODE_METADATA",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = pair
    )]
    pub xds_node_metadata: Vec<(String, String)>,

    /// Speaks TLS with the xDS server; so does each of the next four flags
    #[arg(long, env = "SLIDEGATE_XDS_TLS")]
    pub xds_tls: bool,

    /// The authorities to trust, in PEM; those of the system unless given
    #[arg(long, env = "SLIDEGATE_XDS_CA", value_name = "FILE")]
    pub xds_ca: Option<PathBuf>,

    /// The certificate to show, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_XDS_CERT",
        value_name = "FILE",
        requires = "xds_key"
    )]
    pub xds_cert: Option<PathBuf>,

    /// The key of that certificate, in PEM
    #[arg(
        long,
        env = "SLIDEGATE_XDS_KEY",
        value_name = "FILE",
        requires = "xds_cert"
    )]
    pub xds_key: Option<PathBuf>,

    /// The name that the server's certificate must carry; its host unless given
    #[arg(long, env = "SLIDEGATE_XDS_SERVER_NAME", value_name = "NAME")]
    pub xds_server_name: Option<String>,

    /// The first wait before another attempt to connect; each further one is twice as long
    #[arg(
        long,
        env = "SLIDEGATE_XDS_BACKOFF",
        value_name = "DURATION",
        default_value = "1s",
        value_parser = duration::read
    )]
    pub xds_backoff: Duration,

    /// The longest wait before another attempt to connect
    #[arg(
        long,
        env = "SLIDEGATE_XDS_MAX_BACKOFF",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration::read
    )]
    pub xds_max_backoff: Duration,

    /// The largest push that is read, in bytes
    #[arg(
        long,
        env = "SLIDEGATE_XDS_MAX_MESSAGE",
        value_name = "BYTES",
        default_value_t = 256 << 20
    )]
    pub xds_max_message: usize,

    /// Headers of the requests to the server, for drop-in mode.
    #[arg(skip)]
    pub headers: Vec<(String, String)>,

    /// Whether waits are all of the same length instead of a random part of it.
    #[arg(skip)]
    pub is_regular: bool,
}

impl Xds {
    /// Whether TLS is to be spoken.
    pub fn is_secured(&self) -> bool {
        self.xds_tls
            || self.xds_ca.is_some()
            || self.xds_cert.is_some()
            || self.xds_server_name.is_some()
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
