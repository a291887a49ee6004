//! The same promise in real time: the real binary, one and three replicas, many clients.

use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use tempfile::NamedTempFile;
use tokio::task::JoinSet;

use crate::support::now;
use crate::support::redis::Redis;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn two_hundred_at_once_on_a_new_key_get_no_more_than_the_limit_from_memory() {
    let rules = rules();
    storm(&[Replica::start(&rules, "memory").await]).await;
}

#[tokio::test]
async fn two_hundred_at_once_on_a_new_key_get_no_more_than_the_limit_from_three_replicas() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    storm(&Replica::three(&rules, &redis).await).await;
}

#[tokio::test]
async fn no_second_of_real_time_holds_more_than_the_limit_on_memory() {
    let rules = rules();
    hammer(&[Replica::start(&rules, "memory").await], EXACT).await;
}

#[tokio::test]
async fn no_second_of_real_time_holds_more_than_the_limit_on_three_replicas() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    hammer(&Replica::three(&rules, &redis).await, EXACT).await;
}

#[tokio::test]
async fn no_second_of_real_time_holds_more_than_a_limit_that_is_leased() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let rules = rules();
    let replicas = Replica::three(&rules, &redis).await;
    hammer(&replicas[..1], LEASED).await;
    hammer(&replicas, LEASED).await;
}

#[tokio::test]
async fn a_fixed_window_is_caught_in_real_time() {
    let rules = rules();
    let replica = Replica::start(&rules, "memory").await;
    let clients = [replica.rls.clone(), replica.rls.clone()];
    // The first hits come anywhere in a second, the next when it ends: both within one second,
    // unless the first came just as it began.
    for attempt in 0..20 {
        let admissions = admissions(&clients, ("fixed", attempt), WINDOW * 2).await;
        if most_in_a_window(&admissions) > EXACT.1 {
            return;
        }
    }
    panic!("not once did a fixed window admit more than {EXACT:?} within a second");
}

/// 200 requests at once for a limit of 10 an hour, on a key that nobody has used.
async fn storm(replicas: &[Replica]) {
    let mut requests = JoinSet::new();
    for index in 0..200 {
        let mut rls = replicas[index % replicas.len()].rls.clone();
        let message = request("strictness", &[&[("hourly", "new")]]);
        requests.spawn(async move { rls.admits(message).await });
    }
    let answers = requests.join_all().await;
    let n_admitted = answers.into_iter().filter(|admitted| *admitted).count();
    assert_eq!(n_admitted, 10);
}

/// Several clients a replica, each asking as fast as it is answered.
async fn hammer(replicas: &[Replica], (key, limit): (&'static str, usize)) {
    let clients: Vec<Rls> = (0..2)
        .flat_map(|_| replicas.iter().map(|replica| replica.rls.clone()))
        .collect();
    let value = u32::try_from(replicas.len()).unwrap();
    let admissions = admissions(&clients, (key, value), WINDOW * 3).await;
    let most = most_in_a_window(&admissions);
    assert!(most <= limit, "{most} in a second");
    assert!(admissions.len() > limit, "the window never slid");
}

/// When admitted requests were sent, and when their answers came. What fails is not admitted.
pub(super) async fn admissions(
    clients: &[Rls],
    (key, value): (&'static str, u32),
    time: Duration,
) -> Vec<(Instant, Instant)> {
    let end = now() + time;
    let message = request("strictness", &[&[(key, &value.to_string())]]);
    let mut asking = JoinSet::new();
    for rls in clients {
        let (mut rls, message) = (rls.clone(), message.clone());
        asking.spawn(async move {
            let mut admissions = Vec::new();
            while now() < end {
                let sent = now();
                match rls.ask(message.clone()).await {
                    Ok(answer) if answer.overall_code() == Code::Ok => {
                        admissions.push((sent, now()));
                    }
                    Ok(_) => {}
                    // Nobody may be there for a while.
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
            admissions
        });
    }
    asking.join_all().await.concat()
}

/// The most hits that certainly lie in one window: counted after the first of them was sent, and
/// answered before a window had passed since.
pub(super) fn most_in_a_window(admissions: &[(Instant, Instant)]) -> usize {
    let since = |first: Instant| {
        let is_in = |(sent, answered): &&(Instant, Instant)| {
            *sent >= first && answered.duration_since(first) < WINDOW
        };
        admissions.iter().filter(is_in).count()
    };
    let most = admissions.iter().map(|(sent, _)| since(*sent)).max();
    most.unwrap_or(0)
}

/// A replica with a client.
pub(super) struct Replica {
    pub(super) rls: Rls,
    pub(super) service: Service,
}

impl Replica {
    async fn three(rules: &NamedTempFile, redis: &Redis) -> Vec<Self> {
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(Self::start(rules, &redis.url()).await);
        }
        replicas
    }

    /// One that admits nothing without the store.
    pub(super) async fn start(rules: &NamedTempFile, store: &str) -> Self {
        let path = rules.path().to_str().unwrap();
        let choice = ["--on-store-failure", "error"];
        let service = Service::start(&[&["--rules", path, "--store", store], &choice[..]].concat());
        service.serves().await;
        Self {
            rls: service.rls().await,
            service,
        }
    }
}

pub(super) fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    let ((_, exact), (_, leased)) = (EXACT, LEASED);
    let rules = format!(
        "domain: strictness
descriptors:
  - key: hourly
    rate_limit: {{unit: hour, requests_per_unit: 10}}
  - key: sliding
    rate_limit: {{unit: second, requests_per_unit: {exact}}}
  - key: leased
    rate_limit: {{unit: second, requests_per_unit: {leased}}}
  - key: fixed
    rate_limit: {{unit: second, requests_per_unit: {exact}, algorithm: fixed_window}}
"
    );
    file.write_all(rules.as_bytes()).unwrap();
    file
}

/// A key with its limit, which is too low for leases.
const EXACT: (&str, usize) = ("sliding", 40);
/// One that is leased, for 15 ms at a time.
pub(super) const LEASED: (&str, usize) = ("leased", 150);
pub(super) const WINDOW: Duration = Duration::from_secs(1);
