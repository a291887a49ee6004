//! Sends what has a name in envoyproxy/ratelimit's statsd form to a statsd server, once in an interval.
//!
//! Nothing waits for the server. What does not get over TCP is sent with the next interval, and of what
//! a connection broke over some twice; of datagrams nobody knows.

use std::collections::BTreeMap;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
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
use regex::Regex;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::metrics::Metrics;

/// A statsd server, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct Statsd {
    /// `host:port`, looked up anew each time.
    pub address: String,
    /// How lines get there.
    pub protocol: Protocol,
    /// How long to wait between two times.
    pub interval: Duration,
    /// What every name carries besides.
    pub tags: BTreeMap<String, String>,
    /// Names that are sent under others; the first that fits holds.
    pub renames: Vec<Rename>,
    /// Whether tags stand behind the value, as dogstatsd has them, and not at the end of the name.
    pub dog: bool,
}

/// What a name becomes that a pattern fits.
#[derive(Clone, Debug)]
pub struct Rename {
    /// The pattern.
    pub pattern: Regex,
    /// The new name, with `$1` for the first group of the pattern and so on.
    pub name: String,
    /// Further tags, whose values may have groups as well.
    pub tags: Vec<(String, String)>,
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
        let counters = metrics.counters.by_path();
        for (path, count) in &counters {
            let before = sent.counters.get(path).copied().unwrap_or(0);
            // A series that ended and began again counts from 0.
            let more = count.checked_sub(before).unwrap_or(*count);
            if more > 0 {
                let (name, tags) = self.named(path);
                let mut line = client.count_with_tags(&name, more);
                for (tag, value) in &tags {
                    line = line.with_tag(tag, value);
                }
                line.try_send()?;
            }
        }
        let (name, tags) = self.named(RESPONSE_TIME);
        let steps: BTreeMap<u64, u64> = metrics.response_time.steps().collect();
        for (millis, count) in &steps {
            let more = count - sent.steps.get(millis).copied().unwrap_or(0);
            // A rate stands for several of one value; those of powers of two are exact.
            for power in (0..u64::BITS).filter(|power| more >> power & 1 == 1) {
                let mut line = client.time_with_tags(&name, *millis);
                if power > 0 {
                    line = line.with_sampling_rate(0.5_f64.powi(power.cast_signed()));
                }
                for (tag, value) in &tags {
                    line = line.with_tag(tag, value);
                }
                line.try_send()?;
            }
        }
        client.flush()?;
        *sent = Sent { counters, steps };
        Ok(())
    }

    /// What a name is sent as, and the tags that stand behind the value.
    fn named(&self, path: &str) -> (String, Vec<(String, String)>) {
        let mut name = path.to_owned();
        let mut tags: Vec<(String, String)> = self.tags.clone().into_iter().collect();
        let mut renames = self.renames.iter();
        let fitting = renames.find_map(|it| Some((it, it.pattern.captures(path)?)));
        if let Some((rename, groups)) = fitting {
            let expand = |text: &str| {
                let mut expanded = String::new();
                groups.expand(text, &mut expanded);
                expanded
            };
            name = expand(&rename.name);
            let more = rename.tags.iter();
            tags.extend(more.map(|(tag, value)| (tag.clone(), expand(value))));
        }
        name = whole(&name, &[]);
        if self.dog {
            let tags = tags.into_iter();
            let clean = |(tag, value): (String, String)| (tag, whole(&value, &[',', '|']));
            return (name, tags.map(clean).collect());
        }
        for (tag, value) in &tags {
            let value = whole(value, &['.', ':', '|']);
            name.push_str(&format!(".__{tag}={value}"));
        }
        (name, Vec::new())
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
    fn udp_address(&self, socket: &UdpSocket) -> io::Result<SocketAddr> {
        let mut addresses = self.address.to_socket_addrs()?;
        let address = addresses.next().ok_or_else(unknown)?;
        Ok(match (address, socket.local_addr()?.is_ipv6()) {
            (SocketAddr::V4(it), true) => (it.ip().to_ipv6_mapped(), it.port()).into(),
            (address, _) => address,
        })
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

/// A text that stays in its place on its line: values of requests may stand in names.
fn whole(text: &str, others: &[char]) -> String {
    let is_bad = |c: char| c.is_control() || others.contains(&c);
    text.replace(is_bad, "_")
}

fn unknown() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

const RESPONSE_TIME: &str = "ratelimit_server.ShouldRateLimit.response_time";
/// What passes networks in one piece.
const DATAGRAM: usize = 1_432;
/// How long connecting and each write may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_stand_at_the_end_of_names_or_behind_the_value() {
        let plain = statsd(false).named("a.b");
        assert_eq!(plain, ("a.b.__env=x_y".to_owned(), Vec::new()));
        let dog = statsd(true).named("a.b");
        assert_eq!(dog, ("a.b".to_owned(), vec![tag("env", "x.y")]));
    }

    #[test]
    fn the_first_rename_that_fits_holds() {
        let mut statsd = statsd(true);
        let rename = |pattern: &str, name: &str| Rename {
            pattern: Regex::new(pattern).unwrap(),
            name: name.to_owned(),
            tags: vec![tag("rest", "$2")],
        };
        statsd.renames = vec![
            rename("^x", "never"),
            rename(r"^(\w+)\.(.+)$", "${1}_n"),
            rename("", "late"),
        ];
        let expected = vec![tag("env", "x.y"), tag("rest", "b.c")];
        assert_eq!(statsd.named("a.b.c"), ("a_n".to_owned(), expected));
    }

    #[test]
    fn what_requests_bring_begins_no_line_of_its_own() {
        let (name, _) = statsd(false).named("a.b\nc:1|c");
        assert!(!name.contains('\n'), "{name}");
        let mut statsd = statsd(true);
        let pattern = Regex::new("(?s)^a(.*)$").unwrap();
        let tags = vec![tag("rest", "$1")];
        statsd.renames = vec![Rename {
            pattern,
            name: "n".to_owned(),
            tags,
        }];
        let (_, tags) = statsd.named("a\n,x|y");
        assert_eq!(tags[1], tag("rest", "__x_y"));
    }

    fn statsd(dog: bool) -> Statsd {
        Statsd {
            address: "localhost:8125".to_owned(),
            protocol: Protocol::Udp,
            interval: Duration::from_secs(1),
            tags: [tag("env", "x.y")].into(),
            renames: Vec::new(),
            dog,
        }
    }

    fn tag(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }
}
