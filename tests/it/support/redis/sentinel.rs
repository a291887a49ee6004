//! A master and a replica of the test's own, with three sentinels that watch them.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::free_address;
use crate::support::process::Process;
use crate::support::redis::Redis;

/// Two servers and three sentinels, which ask for passwords of their own.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) servers: [Redis; 2],
    sentinels: Vec<Sentinel>,
}

#[derive(Debug)]
struct Sentinel {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Watched {
    /// Starts them and waits until the sentinels know each other and the replica.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let open = [
            "--repl-diskless-sync-delay",
            "0",
            "--replica-announce-ip",
            "127.0.0.1",
        ];
        let servers = [Redis::start_with(&open)?, Redis::start_with(&open)?];
        let master = servers[0].address();
        servers[1].command::<()>(&format!("REPLICAOF 127.0.0.1 {}", master.port()));
        eventually("the replica follows", || {
            let replication: String = servers[1].command("INFO replication");
            replication.contains("master_link_status:up").then_some(())
        });
        let sentinels = (0..3).map(|_| Sentinel::start(master)).collect();
        let watched = Self { servers, sentinels };
        for sentinel in &watched.sentinels {
            eventually("the sentinels know each other", || {
                let known = sentinel.ask("INFO sentinel");
                known.contains("slaves=1,sentinels=3").then_some(())
            });
        }
        Some(watched)
    }

    /// Where the sentinels listen.
    pub(crate) fn sentinels(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(|it| it.address).collect()
    }

    /// As `--store` takes it.
    pub(crate) fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels().iter().map(SocketAddr::to_string).collect();
        format!("redis+sentinel://{}/main", sentinels.join(","))
    }

    /// Has the sentinels make the replica the master.
    pub(crate) fn fail_over(&self) {
        self.sentinels[0].ask("SENTINEL FAILOVER main");
    }

    /// Ends one of the sentinels.
    pub(crate) fn lose_sentinel(&mut self) {
        self.sentinels[0].process.kill();
    }
}

impl Sentinel {
    #[track_caller]
    fn start(master: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let started = (0..10).find_map(|_| {
            let address = free_address();
            let file = folder.path().join("sentinel.conf");
            let settings = format!(
                "port {}\nbind 127.0.0.1\nrequirepass {PASSWORD}\nsentinel sentinel-pass {PASSWORD}\n\
                 sentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 500\n\
                 sentinel failover-timeout main 3000\n",
                address.port(),
                master.port(),
            );
            fs::write(&file, settings).unwrap();
            let process = Process::start(
                Command::new("redis-server")
                    .arg(&file)
                    .arg("--sentinel")
                    .current_dir(&folder),
            );
            process.line_with("+monitor master main")?;
            Some((address, process))
        });
        let (address, process) = started.unwrap();
        Self {
            address,
            process,
            _folder: folder,
        }
    }

    #[track_caller]
    fn ask(&self, words: &str) -> String {
        let url = format!("redis://:{PASSWORD}@{}", self.address);
        let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        for word in words {
            command.arg(word);
        }
        command.query(&mut connection).unwrap()
    }
}

/// What the sentinels ask for.
pub(crate) const PASSWORD: &str = "watched";
