//! How `load` runs.

use std::num::NonZeroU32;
use std::num::NonZeroU64;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use crate::settings::duration;

/// How `load` runs.
#[derive(Args, Debug)]
pub struct Load {
    /// The gRPC address of a service, such as 127.0.0.1:8081; several share the requests
    #[arg(long, required = true, value_name = "ADDR", value_parser = target)]
    pub target: Vec<String>,

    /// How many requests a second are due, whether or not earlier ones have been answered
    ///
    /// Latencies count from when a request was due, so that a service that stalls does not hide it.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with = "concurrency")]
    pub rate: Option<f64>,

    /// How many requests are always on their way; the next is sent when one is answered
    #[arg(long, value_name = "COUNT", default_value = "200", value_parser = count::<NonZeroUsize>)]
    pub concurrency: NonZeroUsize,

    /// How long requests are sent
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::read)]
    pub duration: Duration,

    /// Ends after so many requests, if that is sooner
    #[arg(long, value_name = "COUNT", value_parser = count::<NonZeroU64>)]
    pub requests: Option<NonZeroU64>,

    /// How many different values requests have
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count::<NonZeroU64>)]
    pub keys: NonZeroU64,

    /// Makes some values more frequent: the n-th as n to the power of -EXPONENT; 0 makes none so
    #[arg(long, value_name = "EXPONENT", default_value = "0", value_parser = exponent)]
    pub zipf: f64,

    /// How many descriptors a request has, each with a value of its own
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count::<NonZeroU32>)]
    pub descriptors: NonZeroU32,

    /// The domain of the requests
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub domain: String,

    /// The key of each descriptor's one entry
    #[arg(long, value_name = "KEY", default_value = "user")]
    pub entry_key: String,

    /// The share of requests, from 0 to 1, that have another key, which is to be over its limit
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = share)]
    pub over_limit_share: f64,

    /// That other key
    #[arg(long, value_name = "KEY", default_value = "over_limit")]
    pub over_limit_key: String,

    /// How many connections are opened to each service
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = count::<NonZeroUsize>)]
    pub connections: NonZeroUsize,

    /// How many threads send; one for each processor unless given
    #[arg(long, value_name = "COUNT", value_parser = count::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,

    /// How long an answer is waited for, as the service is told as well
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::read)]
    pub timeout: Duration,

    /// A process on this machine whose CPU time is reported; may be given several times
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub pid: Vec<u32>,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

fn target(text: &str) -> Result<String, &'static str> {
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    let uri: Result<http::uri::Authority, _> = text.parse();
    match (port, uri) {
        (Some(Ok(_)), Ok(_)) => Ok(text.to_owned()),
        _ => Err("expected an address such as 127.0.0.1:8081"),
    }
}

fn count<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse()
        .map_err(|_| "expected a whole number, at least 1")
}

fn pid(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "expected the ID of a process")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok();
    rate.filter(|rate| (0.001..=10_000_000.0).contains(rate))
        .ok_or("expected a number from 0.001 to 10000000")
}

fn exponent(text: &str) -> Result<f64, &'static str> {
    let exponent = text.parse().ok();
    exponent
        .filter(|exponent| (0.0..=10.0).contains(exponent))
        .ok_or("expected a number from 0 to 10")
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or("expected a number from 0 to 1")
}
