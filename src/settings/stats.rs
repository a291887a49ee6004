//! The statsd server that gets metrics, as flags name it.

use std::time::Duration;

use clap::Args;
use clap::ValueEnum;

use crate::metrics::statsd::Rename;
use crate::settings::duration;
use crate::settings::xds::pair;

/// The flags of statsd.
#[derive(Args, Debug)]
pub struct Stats {
    /// A statsd server to send metrics to as well, under the names of envoyproxy/ratelimit
    #[arg(long, env = "SLIDEGATE_STATSD_ADDR", value_name = "HOST:PORT", value_parser = server)]
    pub statsd_addr: Option<String>,

    /// How it is spoken to
    #[arg(
        long,
        env = "SLIDEGATE_STATSD_PROTOCOL",
        value_name = "PROTOCOL",
        default_value = "tcp"
    )]
    pub statsd_protocol: StatsdProtocol,

    /// How often it is sent something
    #[arg(
        long,
        env = "SLIDEGATE_STATSD_INTERVAL",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = duration::read
    )]
    pub statsd_interval: Duration,

    /// A tag of everything that it is sent, such as zone=a; may be given several times
    #[arg(
        long,
        env = "SLIDEGATE_STATSD_TAGS",
        value_name = "KEY=VALUE",
        value_delimiter = ',',
        value_parser = pair
    )]
    pub statsd_tag: Vec<(String, String)>,

    /// Names that dogstatsd gets under others, for drop-in mode.
    #[arg(skip)]
    pub renames: Vec<Rename>,
}

/// How a statsd server is spoken to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum StatsdProtocol {
    /// Datagrams for dogstatsd, with its form of tags
    Dog,
    /// Lines over a connection, with tags at the end of names
    Tcp,
    /// Datagrams, with tags at the end of names
    Udp,
}

fn server(text: &str) -> Result<String, &'static str> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(text.to_owned())
        }
        Some(_) | None => Err("expected host:port"),
    }
}
