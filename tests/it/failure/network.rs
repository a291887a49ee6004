//! Requests without a pause while the way to Redis delays, stalls, cuts or loses, and while Redis hangs or
//! dies.

use std::time::Duration;

use tokio::task::JoinSet;

use crate::failure::ask;
use crate::failure::scene::Scene;
use crate::failure::traffic::Leases;
use crate::support::now;
use crate::support::proxy::Mode;
use crate::support::proxy::Proxy;
use crate::support::redis::Redis;
use crate::support::service::Service;

#[tokio::test]
async fn answers_that_are_too_late() {
    // Slower than requests wait, and fast enough for the connection to stay.
    suffers(Mode::Delay(Duration::from_millis(400))).await;
}

#[tokio::test]
async fn a_way_that_stalls() {
    suffers(Mode::Stall).await;
}

#[tokio::test]
async fn answers_that_end_half_way() {
    suffers(Mode::Cut).await;
}

#[tokio::test]
async fn a_way_that_loses_everything_without_a_word() {
    suffers(Mode::Lose).await;
}

async fn suffers(mode: Mode) {
    for leases in Leases::BOTH {
        let Some(mut scene) = Scene::start(leases).await else {
            return;
        };
        let begin = now();
        let before = scene.proxy.n_accepted();
        scene.proxy.set(mode);
        scene.does_without().await;
        let connected = scene.proxy.n_accepted() - before;
        assert!(connected <= at_most(begin.elapsed()), "{connected}");
        scene.proxy.set(Mode::Pass);
        scene.recovers().await;
    }
}

#[tokio::test]
async fn a_redis_that_stands_still() {
    for leases in Leases::BOTH {
        let Some(mut scene) = Scene::start(leases).await else {
            return;
        };
        scene.redis.pause();
        scene.does_without().await;
        scene.redis.resume();
        scene.recovers().await;
    }
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_with_nothing_in_it() {
    for leases in Leases::BOTH {
        let Some(mut scene) = Scene::start(leases).await else {
            return;
        };
        scene.redis.kill();
        scene.does_without().await;
        scene.redis.start_again();
        scene.service.serves().await;
        // What it forgot passes once more.
        scene.traffic.settles().await;
        scene.traffic.passed_at_most(3).await;
        scene.holds_no_more();
    }
}

#[tokio::test]
async fn a_script_cache_that_is_flushed_all_the_time() {
    let Some(mut scene) = Scene::start(Leases::Off).await else {
        return;
    };
    for _ in 0..5 {
        scene.redis.command::<()>("SCRIPT FLUSH");
        scene.traffic.is_counted().await;
    }
    scene.traffic.passed_at_most(1).await;
}

#[tokio::test]
async fn a_thousand_requests_that_wait_connect_no_more_often_than_one() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let proxy = Proxy::before(redis.address());
    let url = format!("redis://{}", proxy.address());
    let choice = ["--on-store-failure", "error"];
    let service = Service::start(&[&["--store", url.as_str()], choice.as_slice()].concat());
    service.serves().await;
    let rls = service.rls().await;
    let (begin, before) = (now(), proxy.n_accepted());
    proxy.set(Mode::Cut);
    let mut waiting = JoinSet::new();
    for _ in 0..1_000 {
        let mut rls = rls.clone();
        waiting.spawn(async move { ask(&mut rls).await.is_ok() });
    }
    let passed = waiting.join_all().await.into_iter().filter(|it| *it);
    // Half of what Redis says at once may hold a whole answer.
    assert!(passed.count() <= 500);
    let connected = proxy.n_accepted() - before;
    assert!(connected <= at_most(begin.elapsed()), "{connected}");
    proxy.set(Mode::Pass);
    service.serves().await;
}

/// How often one that backs off, less and less often, connects in this time: the first few at once,
/// then each after a tenth of a second or more.
fn at_most(time: Duration) -> usize {
    5 + usize::try_from(time.as_millis() / 100).unwrap()
}
