//! The Redis beside the service, and what it has been asked.

use redis::Connection;
use redis::cmd;

use crate::child::Server;

/// A server that keeps nothing on disk.
pub(crate) struct Redis {
    server: Server,
}

impl Redis {
    /// None where there is no `redis-server`.
    pub(crate) fn start() -> Option<Self> {
        let server = Server::redis()?;
        Some(Self { server })
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.server.address())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// How many scripts it has been told to run so far.
    pub(crate) fn script_calls(&self) -> u64 {
        let stats: String = cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection())
            .expect("Redis answers");
        let calls = |line: &str| {
            let (_, calls) = line.split_once("cmdstat_evalsha:calls=")?;
            calls.split(',').next()?.parse().ok()
        };
        stats.lines().find_map(calls).unwrap_or(0)
    }

    pub(crate) fn forget_all(&self) {
        let done = cmd("FLUSHALL").exec(&mut self.connection());
        done.expect("Redis answers");
    }

    /// How many bytes Redis says that keys take, besides their names: the mean and the most.
    pub(crate) fn bytes_per_key(&self) -> (f64, u64) {
        let mut connection = self.connection();
        let (mut cursor, mut sum, mut most, mut n) = (0_u64, 0, 0, 0);
        loop {
            let (next, keys): (u64, Vec<Vec<u8>>) = cmd("SCAN")
                .arg(cursor)
                .arg("COUNT")
                .arg(1_000)
                .query(&mut connection)
                .expect("Redis answers");
            for key in keys {
                let bytes: u64 = cmd("MEMORY")
                    .arg("USAGE")
                    .arg(&key)
                    .query(&mut connection)
                    .expect("Redis answers");
                let besides = bytes.saturating_sub(key.len() as u64);
                sum += besides;
                most = besides.max(most);
                n += 1;
            }
            cursor = next;
            if cursor == 0 {
                return (sum as f64 / f64::from(n), most);
            }
        }
    }

    fn connection(&self) -> Connection {
        let client = redis::Client::open(self.url()).expect("the URL is right");
        client.get_connection().expect("Redis listens")
    }
}
