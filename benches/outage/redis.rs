//! The servers of an outage: Redis alone, watched by sentinels, as a cluster, and the service.

use std::io::BufRead;
use std::io::BufReader;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

/// A process that ends with this.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    arguments: Vec<String>,
    _folder: TempDir,
}

impl Server {
    /// A Redis that keeps nothing on disk.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = TempDir::new().expect("there is room");
        let address = free_address();
        let port = address.port().to_string();
        let fixed = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--save",
            "",
            "--appendonly",
            "no",
        ];
        let folder_of = ["--dir", folder.path().to_str().expect("a name in UTF-8")];
        let all = [&fixed[..], &folder_of, arguments].concat();
        let arguments: Vec<String> = all.iter().map(|it| (*it).to_owned()).collect();
        Self {
            child: ready(
                Command::new("redis-server").args(&arguments),
                "Ready to accept",
            ),
            address,
            arguments,
            _folder: folder,
        }
    }

    /// The service with these rules and this store.
    pub(crate) fn slidegate(store: &str, rules: &Path, arguments: &[&str]) -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_slidegate"));
        command
            .args(["serve", "--store", store, "--rules"])
            .arg(rules);
        command.args([
            "--grpc-addr",
            &address.to_string(),
            "--http-addr",
            "127.0.0.1:0",
        ]);
        command.args([
            "--debug-addr",
            "127.0.0.1:0",
            "--metrics-addr",
            "127.0.0.1:0",
        ]);
        Self {
            child: ready(command.args(arguments), "redis connected"),
            address,
            arguments: Vec::new(),
            _folder: TempDir::new().expect("there is room"),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is there").success());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }

    /// Starts it again after it was killed, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        self.child = ready(command.args(&self.arguments), "Ready to accept");
    }

    /// Waits until it takes writes.
    pub(crate) async fn becomes_master(&self) {
        while !self.ask("INFO replication").contains("role:master")
            || self.ask("CLUSTER INFO").contains("cluster_state:fail")
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What it answers to a command, its words parted by spaces; an error as text.
    fn ask(&self, words: &str) -> String {
        let client = redis::Client::open(self.url()).expect("a URL");
        let mut connection = client.get_connection().expect("it listens");
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().expect("a word"));
        for word in words {
            command.arg(word);
        }
        let answer: Result<String, _> = command.query(&mut connection);
        answer.unwrap_or_else(|error| error.to_string())
    }

    fn asks_until(&self, words: &str, answer: &str) {
        while !self.ask(words).contains(answer) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A master and a replica, with three sentinels that take half a second to give one up.
pub(crate) struct Watched {
    pub(crate) servers: [Server; 2],
    sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let quick = ["--repl-diskless-sync-delay", "0"];
        let servers = [Server::start(&quick), Server::start(&quick)];
        let port = servers[0].address.port();
        servers[1].ask(&format!("REPLICAOF 127.0.0.1 {port}"));
        servers[1].asks_until("INFO replication", "master_link_status:up");
        let sentinels: Vec<_> = (0..3).map(|_| sentinel(port)).collect();
        for sentinel in &sentinels {
            sentinel.asks_until("INFO sentinel", "slaves=1,sentinels=3");
        }
        Self { servers, sentinels }
    }

    pub(crate) fn url(&self) -> String {
        let sentinels: Vec<_> = self
            .sentinels
            .iter()
            .map(|it| it.address.to_string())
            .collect();
        format!("redis+sentinel://{}/main", sentinels.join(","))
    }
}

fn sentinel(master: u16) -> Server {
    let folder = TempDir::new().expect("there is room");
    let (address, file) = (free_address(), folder.path().join("sentinel.conf"));
    let settings = format!(
        "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
        address.port(),
    );
    std::fs::write(&file, settings).expect("there is room");
    let mut command = Command::new("redis-server");
    Server {
        child: ready(command.arg(&file).arg("--sentinel"), "+monitor master main"),
        address,
        arguments: Vec::new(),
        _folder: folder,
    }
}

/// Three masters with a replica each, which take a second to give one up.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let start = |_| {
            let bus = free_address().port().to_string();
            let of_cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
            let quick = ["--cluster-port", &bus, "--repl-diskless-sync-delay", "0"];
            (Server::start(&[of_cluster, quick].concat()), bus)
        };
        let (servers, buses): (Vec<_>, Vec<_>) = (0..6).map(start).unzip();
        for (index, (first, last)) in [(0, 5460), (5461, 10921), (10922, 16383)]
            .iter()
            .enumerate()
        {
            servers[index].ask(&format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
        }
        for (server, bus) in servers.iter().zip(&buses).skip(1) {
            let port = server.address.port();
            servers[0].ask(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
        }
        for server in &servers {
            server.asks_until("CLUSTER INFO", "cluster_known_nodes:6");
        }
        for (master, replica) in servers[..3].iter().zip(&servers[3..]) {
            let id = master.ask("CLUSTER MYID");
            while replica.ask(&format!("CLUSTER REPLICATE {id}")) != "OK" {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            replica.asks_until("INFO replication", "master_link_status:up");
        }
        for server in &servers {
            server.asks_until("CLUSTER INFO", "cluster_state:ok");
        }
        Self { servers }
    }

    pub(crate) fn url(&self) -> String {
        let (one, two) = (self.servers[1].address, self.servers[4].address);
        format!("redis+cluster://{one},{two}")
    }
}

/// Starts a program and waits for a line with `text` of it.
fn ready(command: &mut Command, text: &str) -> Child {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let is_ours = text == "redis connected";
    if is_ours {
        piped.stdout(Stdio::null()).stderr(Stdio::piped());
    }
    let mut child = piped.spawn().expect("it is installed");
    let stream: Box<dyn std::io::Read + Send> = match (child.stdout.take(), child.stderr.take()) {
        (Some(stdout), _) => Box::new(stdout),
        (None, Some(stderr)) => Box::new(stderr),
        (None, None) => unreachable!("one of them is piped"),
    };
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(text)), "{command:?}");
    // It goes on being read, so that the program can write.
    std::thread::spawn(move || lines.for_each(drop));
    child
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a port");
    listener.local_addr().expect("it is bound")
}
