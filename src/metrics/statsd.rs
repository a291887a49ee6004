//! Sends what has a name in envoyproxy/ratelimit's statsd form to a statsd server, once in an interval.
//!
//! Nothing waits for the server: what it does not take is sent with the next interval.

use std::collections::BTreeMap;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::net::Ipv6Addr;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use cadence::BufferedUdpMetricSink;
use cadence::Counted;
use cadence::MetricError;
use cadence::MetricSink;
use cadence::StatsdClient;
use cadence::Timed;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::metrics::Metrics;

/// A statsd server, and how it is spoken to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statsd {
    /// `host:port`, looked up anew each time.
    pub address: String,
    /// How lines get there.
    pub protocol: Protocol,
    /// How long to wait between two times.
    pub interval: Duration,
    /// What every name carries besides.
    pub tags: BTreeMap<String, String>,
    /// Whether tags stand behind the value, as dogstatsd has them, and not at the end of the name.
    pub dog: bool,
}

/// How lines get to a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// A connection each time.
    Tcp,
    /// Datagrams of several lines.
    Udp,
}

/// What was sent already.
#[derive(Clone, Debug, Default)]
struct Sent {
    counters: BTreeMap<String, u64>,
    steps: BTreeMap<u64, u64>,
}

impl Statsd {
    /// Sends in intervals, and a last time when it is told to stop.
    pub async fn run(self, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut sent = Sent::default();
        let mut is_failing = false;
        loop {
            let wait = tokio::time::sleep(self.interval);
            let is_last = stop.run_until_cancelled(wait).await.is_none();
            let (statsd, metrics) = (self.clone(), Arc::clone(&metrics));
            // It may block for as long as a server takes.
            let send = tokio::task::spawn_blocking(move || {
                let result = statsd.send(&metrics, &mut sent);
                (sent, result)
            });
            let server = &self.address;
            let result = match send.await {
                Ok((known, result)) => {
                    sent = known;
                    result.map_err(|error| error.to_string())
                }
                // Counted anew, rather than never again.
                Err(error) => {
                    sent = Sent::default();
                    Err(error.to_string())
                }
            };
            match &result {
                Err(error) if !is_failing => {
                    warn!(server, error, "no statsd server, counts are kept for it");
                }
                Ok(()) if is_failing => info!(server, "the statsd server takes counts again"),
                Ok(()) | Err(_) => {}
            }
            is_failing = result.is_err();
            if is_last {
                return;
            }
        }
    }

    fn send(&self, metrics: &Metrics, sent: &mut Sent) -> Result<(), MetricError> {
        let client = self.client()?;
        let suffix = match self.dog {
            true => String::new(),
            false => self.suffix(),
        };
        let counters = metrics.counters.by_path();
        for (path, count) in &counters {
            let before = sent.counters.get(path).copied().unwrap_or(0);
            // A series that ended and began again counts from 0.
            let more = count.checked_sub(before).unwrap_or(*count);
            if more > 0 {
                let name = format!("{path}{suffix}");
                let mut line = client.count_with_tags(&name, more);
                for (tag, value) in self.tags.iter().filter(|_| self.dog) {
                    line = line.with_tag(tag, value);
                }
                line.try_send()?;
            }
        }
        let name = format!("{RESPONSE_TIME}{suffix}");
        let steps: BTreeMap<u64, u64> = metrics.response_time.steps().collect();
        for (millis, count) in &steps {
            let more = count - sent.steps.get(millis).copied().unwrap_or(0);
            // A rate stands for several of one value; those of powers of two are exact.
            for power in (0..u64::BITS).filter(|power| more >> power & 1 == 1) {
                let mut line = client.time_with_tags(&name, *millis);
                if power > 0 {
                    line = line.with_sampling_rate(0.5_f64.powi(power.cast_signed()));
                }
                for (tag, value) in self.tags.iter().filter(|_| self.dog) {
                    line = line.with_tag(tag, value);
                }
                line.try_send()?;
            }
        }
        client.flush()?;
        *sent = Sent { counters, steps };
        Ok(())
    }

    fn client(&self) -> Result<StatsdClient, MetricError> {
        match self.protocol {
            Protocol::Tcp => Ok(StatsdClient::from_sink("", Tcp::connect(&self.address)?)),
            Protocol::Udp => {
                let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
                // Where there is only one family.
                let socket = socket.or_else(|_| UdpSocket::bind("0.0.0.0:0"))?;
                let address = self.udp_address(&socket)?;
                let sink = BufferedUdpMetricSink::with_capacity(address, socket, DATAGRAM)?;
                Ok(StatsdClient::from_sink("", sink))
            }
        }
    }

    /// The server's address in the family of the socket.
    fn udp_address(&self, socket: &UdpSocket) -> io::Result<std::net::SocketAddr> {
        let mut addresses = self.address.to_socket_addrs()?;
        let address = addresses.next().ok_or_else(unknown)?;
        Ok(match (address, socket.local_addr()?.is_ipv6()) {
            (std::net::SocketAddr::V4(it), true) => (it.ip().to_ipv6_mapped(), it.port()).into(),
            (address, _) => address,
        })
    }

    /// The tags as they end a name for plain statsd.
    fn suffix(&self) -> String {
        let clean = |text: &str| text.replace(['.', ':', '|'], "_");
        let tags = self.tags.iter();
        tags.map(|(tag, value)| format!(".__{tag}={}", clean(value)))
            .collect()
    }
}

/// Lines over TCP.
#[derive(Debug)]
struct Tcp(Mutex<BufWriter<TcpStream>>);

impl Tcp {
    fn connect(address: &str) -> io::Result<Self> {
        let mut problem = unknown();
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(Self(Mutex::new(BufWriter::new(stream))));
                }
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }
}

impl MetricSink for Tcp {
    fn emit(&self, line: &str) -> io::Result<usize> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(line.as_bytes())?;
        stream.write_all(b"\n")?;
        Ok(line.len())
    }

    fn flush(&self) -> io::Result<()> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stream.flush()
    }
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

const RESPONSE_TIME: &str = "ratelimit_server.ShouldRateLimit.response_time";
/// What passes networks in one piece.
const DATAGRAM: usize = 1_432;
/// How long connecting and each write may take.
const PATIENCE: Duration = Duration::from_secs(2);
