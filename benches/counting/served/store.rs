//! The Redis beside the service, and what it has been asked.

use redis::Connection;
use redis::cmd;

use crate::child::Server;

/// A server that keeps nothing on disk.
pub(super) struct Redis {
    server: Server,
}

/// What it has been told to run so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls {
    pub(super) scripts: u64,
    /// Those inside of scripts included, without what this program and the probes of connections ask.
    pub(super) commands: u64,
}

/// What keys take.
#[derive(Debug, Default)]
pub(super) struct Keys {
    pub(super) n: u64,
    /// Besides their names.
    pub(super) mean_bytes: f64,
    pub(super) most_bytes: u64,
    /// Which never expire.
    pub(super) n_without_end: u64,
}

impl Redis {
    /// None where there is no `redis-server`.
    pub(super) fn start() -> Option<Self> {
        let server = Server::redis()?;
        Some(Self { server })
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}/0", self.server.address())
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.pid()
    }

    pub(super) fn calls(&self) -> Calls {
        let stats: String = cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection())
            .expect("Redis answers");
        let by_command = stats.lines().filter_map(|line| {
            let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls: u64 = rest.split(',').next()?.parse().ok()?;
            Some((command, calls))
        });
        let (mut scripts, mut commands) = (0, 0);
        for (command, calls) in by_command {
            match command {
                "evalsha" => scripts += calls,
                "get" | "set" | "del" | "incrby" | "expire" | "time" => {}
                _ => continue,
            }
            commands += calls;
        }
        Calls { scripts, commands }
    }

    pub(super) fn forget_all(&self) {
        let done = cmd("FLUSHALL").exec(&mut self.connection());
        done.expect("Redis answers");
    }

    /// What Redis says that all of its keys take.
    pub(super) fn keys(&self) -> Keys {
        let mut connection = self.connection();
        let (mut cursor, mut sum) = (0_u64, 0);
        let mut keys = Keys::default();
        loop {
            let (next, names): (u64, Vec<Vec<u8>>) = cmd("SCAN")
                .arg(cursor)
                .arg("COUNT")
                .arg(1_000)
                .query(&mut connection)
                .expect("Redis answers");
            for name in names {
                let mut ask = |command: &mut redis::Cmd| -> Option<i64> {
                    command
                        .arg(&name)
                        .query(&mut connection)
                        .expect("Redis answers")
                };
                let bytes = ask(cmd("MEMORY").arg("USAGE"));
                let ttl = ask(&mut cmd("PTTL"));
                // It may have expired since.
                let Some(bytes) = bytes.and_then(|bytes| u64::try_from(bytes).ok()) else {
                    continue;
                };
                let besides = bytes.saturating_sub(name.len() as u64);
                sum += besides;
                keys.most_bytes = besides.max(keys.most_bytes);
                keys.n_without_end += u64::from(ttl == Some(-1));
                keys.n += 1;
            }
            cursor = next;
            if cursor == 0 {
                keys.mean_bytes = sum as f64 / keys.n as f64;
                return keys;
            }
        }
    }

    fn connection(&self) -> Connection {
        let client = redis::Client::open(self.url()).expect("the URL is right");
        client.get_connection().expect("Redis listens")
    }
}
