//! Fixed windows in Redis, shared with envoyproxy/ratelimit: its keys, its commands, its expiry.

use std::fs;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::google::protobuf::UInt64Value;
use tempfile::TempDir;

use crate::support::redis::Redis;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;
use crate::support::unix_seconds;

const RULES: &str = "
domain: d.1
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 5}
- key: path
  value: /a*
  share_threshold: true
  descriptors:
  - key: tenant
    rate_limit: {unit: WEEK, requests_per_unit: 5}
- key: quick
  rate_limit: {unit: second, requests_per_unit: 5}
- key: own
  rate_limit: {unit: day, requests_per_unit: 5, algorithm: fixed_window}
";

#[tokio::test]
async fn the_service_goes_on_where_the_reference_stopped_and_the_reference_after_it() {
    within_an_hour(async |hour| {
        let shared = Shared::start(&["--algorithm", "fixed_window", "--key-prefix", "p:"]).await?;
        let mut rls = shared.service.rls().await;
        let key = format!("p:d.1_user_a_{hour}");
        assert_eq!(shared.hit(&key, 3, 3_600), 3, "taken by hand");
        assert_eq!(left(&mut rls, user("a")).await, Some(1));
        assert_eq!(
            shared.hit(&key, 1, 3_600),
            5,
            "the service's hit was counted"
        );
        assert_eq!(left(&mut rls, user("a")).await, None);
        assert_eq!(shared.hit(&key, 0, 3_600), 6, "and so was the refused one");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn keys_commands_and_expiry_are_those_of_the_reference() {
    within_an_hour(async |hour| {
        let arguments = ["--algorithm", "fixed_window", "--expiry-jitter", "0s"];
        let shared = Shared::start(&arguments).await?;
        let mut rls = shared.service.rls().await;
        shared.log_commands();
        let shared_path = [("path", "/abc"), ("tenant", "")];
        let mut message = request(
            "d.1",
            &[&[("user", "a_b")], &shared_path, &[("user", "a_b")]],
        );
        message.hits_addend = 2;
        message.descriptors[1].hits_addend = Some(UInt64Value { value: 0 });
        rls.ask(message).await.unwrap();
        let week = unix_seconds() / 604_800 * 604_800;
        let (user, path) = (
            format!("d.1_user_a_b_{hour}"),
            format!("d.1_path_/a*_tenant__{week}"),
        );
        let expected = [
            format!("INCRBY {user} 2"),
            format!("EXPIRE {user} 3600"),
            format!("INCRBY {path} 0"),
            format!("EXPIRE {path} 604800"),
            format!("INCRBY {user} 2"),
            format!("EXPIRE {user} 3600"),
        ];
        assert_eq!(shared.commands(), expected);
        Some(())
    })
    .await;
}

#[tokio::test]
async fn keys_stay_up_to_five_minutes_longer_unless_told_otherwise() {
    let Some(shared) = Shared::start(&[]).await else {
        return;
    };
    let mut rls = shared.service.rls().await;
    shared.log_commands();
    let own: Vec<String> = (0..40).map(|it| it.to_string()).collect();
    for value in &own {
        rls.ask(request("d.1", &[&[("own", value)]])).await.unwrap();
    }
    let commands = shared.commands();
    let expiries = commands.iter().filter_map(|it| it.strip_prefix("EXPIRE "));
    let mut expiries: Vec<u64> = expiries
        .map(|it| it.split(' ').nth(1).unwrap().parse().unwrap())
        .collect();
    assert_eq!(expiries.len(), own.len(), "the rule's own algorithm holds");
    assert!(
        expiries.iter().all(|it| (86_400..86_700).contains(it)),
        "{expiries:?}"
    );
    expiries.sort_unstable();
    expiries.dedup();
    assert!(expiries.len() > 1, "all are {expiries:?}");
}

#[tokio::test]
async fn a_prefix_keeps_installations_apart_whatever_the_algorithm() {
    let Some(shared) = Shared::start(&["--key-prefix", "blue/"]).await else {
        return;
    };
    let mut rls = shared.service.rls().await;
    rls.ask(request("d.1", &[&[("user", "a")], &[("own", "b")]]))
        .await
        .unwrap();
    let mut keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query(&mut shared.redis.connection())
        .unwrap();
    assert!(keys.iter().all(|key| key.starts_with("blue/")), "{keys:?}");
    // What replicas look after themselves with.
    keys.retain(|key| !key.contains("slidegate_probe") && !key.ends_with(":replicas"));
    keys.sort_unstable();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys[0].starts_with("blue/d.1_own_b_"), "{keys:?}");
    assert!(keys[1].starts_with("blue/slidegate:"), "{keys:?}");
}

/// The service and its Redis.
struct Shared {
    redis: Redis,
    service: Service,
    _folder: TempDir,
}

impl Shared {
    /// Both, once the one has found the other.
    async fn start(arguments: &[&str]) -> Option<Self> {
        let redis = Redis::start()?;
        let folder = TempDir::new().unwrap();
        let rules = folder.path().join("rules.yaml");
        fs::write(&rules, RULES).unwrap();
        let (rules, store) = (rules.to_str().unwrap(), redis.url());
        let service = Service::start(&[&["--rules", rules, "--store", &store], arguments].concat());
        service.serves().await;
        Some(Self {
            redis,
            service,
            _folder: folder,
        })
    }

    /// Takes hits as the reference does, and says what its answer is: the count after them.
    fn hit(&self, key: &str, hits: u64, expiry: u64) -> u64 {
        let (count, _): (u64, bool) = redis::pipe()
            .cmd("INCRBY")
            .arg(key)
            .arg(hits)
            .cmd("EXPIRE")
            .arg(key)
            .arg(expiry)
            .query(&mut self.redis.connection())
            .unwrap();
        count
    }

    /// Has Redis write down every command from now on.
    fn log_commands(&self) {
        for (name, value) in [
            ("slowlog-max-len", "10000"),
            ("slowlog-log-slower-than", "0"),
        ] {
            redis::cmd("CONFIG")
                .arg("SET")
                .arg(name)
                .arg(value)
                .exec(&mut self.redis.connection())
                .unwrap();
        }
    }

    /// The commands that counted, in their order, but for the probes.
    fn commands(&self) -> Vec<String> {
        type Entry = (u64, u64, u64, Vec<Vec<u8>>, String, String);
        let mut log: Vec<Entry> = redis::cmd("SLOWLOG")
            .arg("GET")
            .arg(-1)
            .query(&mut self.redis.connection())
            .unwrap();
        log.reverse();
        let text = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
        let commands = log.iter().map(|(_, _, _, words, _, _)| {
            let words: Vec<String> = words.iter().map(text).collect();
            words.join(" ")
        });
        commands
            .filter(|it| it.starts_with("INCRBY ") || it.starts_with("EXPIRE "))
            .filter(|it| !it.contains("slidegate_probe"))
            .collect()
    }
}

/// Runs a game with the second at which the hour began; again if the hour ended meanwhile.
async fn within_an_hour(play: impl AsyncFn(u64) -> Option<()>) {
    loop {
        let hour = unix_seconds() / 3_600;
        let played = play(hour * 3_600).await;
        if played.is_none() || hour == unix_seconds() / 3_600 {
            return;
        }
    }
}

fn user(value: &str) -> RateLimitRequest {
    request("d.1", &[&[("user", value)]])
}

/// What remains after a request; none when it is refused.
async fn left(rls: &mut Rls, message: RateLimitRequest) -> Option<u32> {
    let response = rls.ask(message).await.unwrap();
    let status = &response.statuses[0];
    (status.code().as_str_name() == "OK").then_some(status.limit_remaining)
}
