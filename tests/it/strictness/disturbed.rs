//! The same promise in real time while something goes wrong all the time: three replicas that take
//! leases, each behind a proxy of its own before one Redis.

use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::strictness::front_door::LEASED;
use crate::strictness::front_door::Replica;
use crate::strictness::front_door::WINDOW;
use crate::strictness::front_door::admissions;
use crate::strictness::front_door::most_in_a_window;
use crate::strictness::front_door::rules;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::rls::Rls;

#[tokio::test]
async fn answers_that_come_when_a_lease_ends_bring_no_window_over() {
    let Some(world) = World::start().await else {
        return;
    };
    // A lease lives for 15.6 ms.
    for (proxy, millis) in world.proxies.iter().zip([5, 10, 16]) {
        proxy.set(Mode::Delay(Duration::from_millis(millis)));
    }
    world.hammer(async |_: &World| {}).await;
}

#[tokio::test]
async fn connections_that_break_after_a_command_was_sent_bring_no_window_over() {
    let Some(world) = World::start().await else {
        return;
    };
    world
        .hammer(async |world: &World| {
            for round in 0.. {
                let proxy = &world.proxies[round % 3];
                proxy.set(Mode::Cut);
                pass(Duration::from_millis(60)).await;
                proxy.set(Mode::Pass);
                pass(Duration::from_millis(60)).await;
            }
        })
        .await;
}

#[tokio::test]
async fn answers_that_are_lost_bring_no_window_over() {
    let Some(world) = World::start().await else {
        return;
    };
    world
        .hammer(async |world: &World| {
            world.proxies[0].set(Mode::Lose);
            for round in 0.. {
                let proxy = &world.proxies[1 + round % 2];
                proxy.set(Mode::Stall);
                pass(Duration::from_millis(40)).await;
                proxy.set(Mode::Pass);
                pass(Duration::from_millis(80)).await;
            }
        })
        .await;
}

#[tokio::test]
async fn replicas_that_stand_still_in_the_middle_of_leases_bring_no_window_over() {
    let Some(world) = World::start().await else {
        return;
    };
    world
        .hammer(async |world: &World| {
            for round in 0.. {
                let service = &world.replicas[round % 3].service;
                service.signal("STOP");
                pass(Duration::from_millis(30 + 20 * (round as u64 % 5))).await;
                service.signal("CONT");
                pass(Duration::from_millis(50)).await;
            }
        })
        .await;
}

#[tokio::test]
async fn replicas_that_are_killed_in_the_middle_of_leases_bring_no_window_over() {
    let Some(mut world) = World::start().await else {
        return;
    };
    let (mut hammering, clients) = (JoinSet::new(), world.clients());
    let (key, limit) = LEASED;
    hammering.spawn(async move { admissions(&clients, (key, 0), WINDOW * 3).await });
    let mut admitted = Vec::new();
    for round in 0..3 {
        pass(WINDOW / 2).await;
        world.replicas[round].service.signal("KILL");
        let rules = &world.rules;
        let store = format!("redis://{}/0", world.proxies[round].address());
        let replica = Replica::start(rules, &store).await;
        let clients = [replica.rls.clone()];
        world.replicas.push(replica);
        hammering.spawn(async move { admissions(&clients, (key, 0), WINDOW).await });
    }
    while let Some(admissions) = hammering.join_next().await {
        admitted.extend(admissions.unwrap());
    }
    let most = most_in_a_window(&admitted);
    assert!(most <= limit, "{most} in a second");
    assert!(!admitted.is_empty());
}

struct World {
    replicas: Vec<Replica>,
    proxies: Vec<Proxy>,
    rules: NamedTempFile,
    _redis: Redis,
}

impl World {
    async fn start() -> Option<Self> {
        let redis = Redis::start()?;
        let (rules, mut replicas, mut proxies) = (rules(), Vec::new(), Vec::new());
        for _ in 0..3 {
            let proxy = Proxy::before(redis.address());
            let store = format!("redis://{}/0", proxy.address());
            replicas.push(Replica::start(&rules, &store).await);
            proxies.push(proxy);
        }
        Some(Self {
            replicas,
            proxies,
            rules,
            _redis: redis,
        })
    }

    fn clients(&self) -> Vec<Rls> {
        let of_each = |_| self.replicas.iter().map(|it| it.rls.clone());
        (0..2).flat_map(of_each).collect()
    }

    /// Clients that ask as fast as they are answered, while it goes wrong.
    async fn hammer(&self, go_wrong: impl AsyncFn(&Self)) {
        let (key, limit) = LEASED;
        let clients = self.clients();
        let hammering = admissions(&clients, (key, 0), WINDOW * 3);
        let going_wrong = async {
            go_wrong(self).await;
            std::future::pending::<()>().await;
        };
        let admitted = tokio::select! {
            admitted = hammering => admitted,
            () = going_wrong => unreachable!("it goes on"),
        };
        let most = most_in_a_window(&admitted);
        assert!(most <= limit, "{most} in a second");
        assert!(!admitted.is_empty(), "nothing was admitted");
    }
}

/// For how long something stays as it is; nothing is waited for by that.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
