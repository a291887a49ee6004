//! What callers see of an outage of Redis: how long answers take, how soon the store decides again, and how
//! much of a limit passes.
//!
//! `cargo bench --bench outage`, on an idle machine; it takes two minutes.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

mod redis;
mod support;
mod traffic;

use std::time::Duration;
use std::time::Instant;

use tempfile::NamedTempFile;
use tokio::runtime::Builder;

use crate::redis::Cluster;
use crate::redis::Server;
use crate::redis::Watched;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;
use crate::traffic::Seen;
use crate::traffic::Traffic;

fn main() {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime
        .expect("a runtime needs nothing")
        .block_on(measure());
}

async fn measure() {
    println!(
        "| | answers | median | 99 % | longest | over 15 ms | store decides after | passed of {} | connections |",
        traffic::LIMIT
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, mode) in [
        ("nothing", Mode::Pass),
        (
            "answers 400 ms late",
            Mode::Delay(Duration::from_millis(400)),
        ),
        ("the way stalls", Mode::Stall),
        ("answers cut half-way", Mode::Cut),
        ("the way loses all", Mode::Lose),
    ] {
        let redis = Server::start(&[]);
        let proxy = Proxy::before(redis.address());
        let world = World::on(&format!("redis://{}", proxy.address()), &[]).await;
        let outage = world.outage();
        proxy.set(mode);
        tokio::time::sleep(LONG).await;
        proxy.set(Mode::Pass);
        let end = now();
        outage.ends(name, end, || Some(proxy.n_accepted())).await;
    }
    stopped().await;
    killed().await;
    watched().await;
    cluster().await;
}

async fn stopped() {
    let redis = Server::start(&[]);
    let world = World::on(&redis.url(), &[]).await;
    let outage = world.outage();
    redis.signal("STOP");
    tokio::time::sleep(LONG).await;
    redis.signal("CONT");
    outage.ends("SIGSTOP", now(), || None).await;
}

async fn killed() {
    let mut redis = Server::start(&[]);
    let world = World::on(&redis.url(), &[]).await;
    let outage = world.outage();
    redis.kill();
    tokio::time::sleep(LONG).await;
    redis.start_again();
    outage.ends("SIGKILL, and back empty", now(), || None).await;
}

async fn watched() {
    let mut watched = Watched::start();
    let world = World::on(&watched.url(), &[]).await;
    let outage = world.outage();
    watched.servers[0].kill();
    watched.servers[1].becomes_master().await;
    outage.ends("failover by sentinels", now(), || None).await;
}

async fn cluster() {
    let mut cluster = Cluster::start();
    let world = World::on(&cluster.url(), &[]).await;
    let outage = world.outage();
    cluster.servers[0].kill();
    cluster.servers[3].becomes_master().await;
    outage.ends("failover in a cluster", now(), || None).await;
}

/// The service, asked all the time.
struct World {
    traffic: Traffic,
    _service: Server,
    _rules: NamedTempFile,
}

/// Something happens to the store.
struct Outage {
    world: World,
    begin: Instant,
}

impl World {
    async fn on(store: &str, arguments: &[&str]) -> Self {
        let rules = NamedTempFile::with_suffix(".yaml").expect("there is room");
        std::fs::write(rules.path(), traffic::RULES).expect("there is room");
        let service = Server::slidegate(store, rules.path(), arguments);
        let traffic = Traffic::start(service.address()).await;
        traffic.settles().await;
        Self {
            traffic,
            _service: service,
            _rules: rules,
        }
    }

    fn outage(self) -> Outage {
        Outage {
            begin: now(),
            world: self,
        }
    }
}

impl Outage {
    /// The store is back since `end`: waits until it decides again, and says what was seen.
    async fn ends(self, name: &str, end: Instant, connections: impl Fn() -> Option<usize>) {
        self.world.traffic.settles().await;
        let seen = self.world.traffic.seen();
        let since: Vec<&Seen> = seen.iter().filter(|it| it.begin >= self.begin).collect();
        let mut took: Vec<Duration> = since.iter().map(|it| it.took).collect();
        took.sort_unstable();
        let by_choice = since.iter().filter(|it| it.is_by_choice());
        let last = by_choice.map(|it| it.begin + it.took).max();
        let after = last.map_or(Duration::ZERO, |it| it.saturating_duration_since(end));
        let late = took
            .iter()
            .filter(|it| **it > Duration::from_millis(15))
            .count();
        let at = |part: f64| took[(took.len() as f64 * part) as usize];
        let passed = seen.iter().filter(|it| it.is_scarce() && it.passes).count();
        let connections = connections().map_or_else(String::new, |it| it.to_string());
        println!(
            "| {name} | {} | {:.1?} | {:.1?} | {:.1?} | {late} | {:.0?} | {passed} | {connections} |",
            took.len(),
            at(0.5),
            at(0.99),
            took[took.len() - 1],
            after,
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// How long something is wrong: longer than connections are believed.
const LONG: Duration = Duration::from_secs(4);
