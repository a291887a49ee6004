//! Redis as people run it: every topology, through the front door, and what moves in it.

mod name;

use std::fs;
use std::io::Write;

use tempfile::NamedTempFile;
use tempfile::TempDir;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinel::PASSWORD;
use crate::support::redis::sentinel::Watched;
use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::service::Service;

#[tokio::test]
async fn a_server_with_a_password_and_a_database() {
    let Some(redis) = Redis::start_with(&["--requirepass", "p@ss/w"]) else {
        return;
    };
    let url = format!("redis://:p%40ss%2fw@{}/3", redis.address());
    let service = counts_exactly(&[&url]).await;
    assert!(!service.log().contains("p@ss") && !service.log().contains("p%40ss"));
}

#[tokio::test]
async fn a_unix_socket() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("redis.sock");
    let Some(_redis) = Redis::start_with(&["--unixsocket", socket.to_str().unwrap()]) else {
        return;
    };
    counts_exactly(&[&format!("unix://{}?db=1", socket.display())]).await;
}

#[tokio::test]
async fn a_password_in_a_file_is_read_for_every_connection() {
    let Some(mut redis) = Redis::start_with(&["--requirepass", "one"]) else {
        return;
    };
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "one").unwrap();
    let url = format!("redis://{}", redis.address());
    let path = file.path().to_str().unwrap();
    let service = counts_exactly(&[&url, "--redis-password-file", path]).await;

    redis.set_argument("one", "two");
    redis.start_again();
    service.wait_for_log("authentication failed");
    fs::write(file.path(), "two\n").unwrap();
    service.serves().await;
}

#[tokio::test]
async fn tls_with_certificates_of_either_side() {
    let authority = Authority::new();
    let mut server = Secret::new(&authority, &authority.issue(&["localhost"]));
    let client = Secret::new(&authority, &authority.issue(&["slidegate"]));
    let Some(redis) = Redis::start_tls(&server) else {
        return;
    };
    let url = format!("rediss://localhost:{}", redis.tls_port());
    let (ca, cert, key) = (
        client.path("ca.crt"),
        client.path("tls.crt"),
        client.path("tls.key"),
    );
    let flags = [
        "--redis-ca",
        &ca,
        "--redis-cert",
        &cert,
        "--redis-key",
        &key,
    ];
    let arguments = [&[url.as_str()], flags.as_slice()].concat();
    counts_exactly(&arguments).await;

    // Its certificate is for a name, not for an address.
    let url = format!("rediss://127.0.0.1:{}", redis.tls_port());
    let arguments = [&[url.as_str()], flags.as_slice()].concat();
    let refused = start(&arguments);
    refused.wait_for_log("not valid for name");
    redis.command::<()>("FLUSHALL");
    let any_name = ["--redis-skip-hostname-verification"];
    counts_exactly(&[arguments.as_slice(), &any_name].concat()).await;

    let stranger = Authority::new();
    server.swap(&stranger, &stranger.issue(&["localhost"]));
    let other = Secret::new(&stranger, &stranger.issue(&["slidegate"]));
    let ca = other.path("ca.crt");
    let url = format!("rediss://localhost:{}", redis.tls_port());
    let unknown = start(&[
        &url,
        "--redis-ca",
        &ca,
        "--redis-cert",
        &cert,
        "--redis-key",
        &key,
    ]);
    unknown.wait_for_log("invalid peer certificate");
}

#[tokio::test]
async fn sentinels_say_which_server_is_the_master_and_a_failover_is_followed() {
    let Some(mut watched) = Watched::start() else {
        return;
    };
    let url = watched.url();
    let service = counts_exactly(&[&url, "--redis-sentinel-auth", PASSWORD]).await;
    let before = watched.servers[0].address().to_string();
    watched.fail_over();
    service.wait_for_log(&format!("servers=\"{}\"", watched.servers[1].address()));
    service.serves().await;
    eventually("writes are taken again", || {
        let n_keys: u64 = watched.servers[1].command("DBSIZE");
        (n_keys > 0).then_some(())
    });
    assert!(service.log().contains(&before));
    watched.lose_sentinel();
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "after", 15).await, 10);
}

#[tokio::test]
async fn a_sentinel_without_the_master_is_named() {
    let Some(watched) = Watched::start() else {
        return;
    };
    let url = watched.url().replace("/main", "/other");
    let service = start(&[&url, "--redis-sentinel-auth", PASSWORD]);
    service.wait_for_log("no master `other`");
    let url = watched.url();
    let service = start(&[&url, "--redis-sentinel-auth", "wrong"]);
    service.wait_for_log("redis not found");
}

#[tokio::test]
async fn a_cluster_counts_each_key_on_its_node() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.url();
    let service = counts_exactly(&[&url]).await;
    let mut rls = service.rls().await;
    for n in 0..30 {
        assert_eq!(admitted(&mut rls, &format!("user-{n}"), 11).await, 10);
    }
    for master in &cluster.nodes[..3] {
        let n_keys: u64 = master.command("DBSIZE");
        assert!(n_keys > 0, "no key on {}", master.address());
    }
}

#[tokio::test]
async fn in_a_cluster_a_refused_request_charges_nothing() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.url();
    let service = counts_exactly(&[&url]).await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "full", 10).await, 10);
    for n in 0..6 {
        let key = format!("spared-{n}");
        for _ in 0..20 {
            let both = request("topology", &[&[("key", key.as_str())], &[("key", "full")]]);
            assert!(!rls.admits(both).await);
        }
        assert_eq!(admitted(&mut rls, &key, 11).await, 10, "{key} was charged");
    }
}

#[tokio::test]
async fn a_slot_that_moves_is_followed() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.url();
    let service = counts_exactly(&[&url]).await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "moving", 4).await, 4);
    let key: String = cluster.nodes[..3]
        .iter()
        .flat_map(|node| node.command::<Vec<String>>("KEYS *moving*"))
        .next()
        .unwrap();
    let slot: u16 = cluster.nodes[0].command(&format!("CLUSTER KEYSLOT {key}"));
    let holds = |node: &&Redis| node.command::<u64>(&format!("EXISTS {key}")) == 1;
    let place = (0..3).find(|index| {
        let slots: u64 = cluster.nodes[*index].command(&format!("CLUSTER COUNTKEYSINSLOT {slot}"));
        slots > 0
    });
    let (from, to) = (place.unwrap(), (place.unwrap() + 1) % 3);
    let (from, to) = (&cluster.nodes[from], &cluster.nodes[to]);
    assert!(holds(&from));
    let (from_id, to_id): (String, String) =
        (from.command("CLUSTER MYID"), to.command("CLUSTER MYID"));
    to.command::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
    from.command::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
    // Still at its old place.
    assert_eq!(admitted(&mut rls, "moving", 1).await, 1);
    let target = format!("127.0.0.1 {} {key} 0 1000", to.address().port());
    from.command::<()>(&format!("MIGRATE {target}"));
    // Asked for at the old node, which sends to the new one.
    assert_eq!(admitted(&mut rls, "moving", 2).await, 2);
    for node in [to, from] {
        node.command::<()>(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
    }
    assert_eq!(
        admitted(&mut rls, "moving", 20).await,
        3,
        "seven were counted"
    );
}

#[tokio::test]
async fn a_cluster_whose_master_dies_goes_on_with_its_replica() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.url();
    let service = counts_exactly(&[&url]).await;
    cluster.nodes[0].kill();
    let promoted = cluster.nodes[3].address();
    eventually("the replica is the master", || {
        let role: String = cluster.node(promoted).command("INFO replication");
        role.contains("role:master").then_some(())
    });
    connects(&service, cluster.node(promoted)).await;
    let mut rls = service.rls().await;
    for n in 0..12 {
        assert_eq!(admitted(&mut rls, &format!("after-{n}"), 11).await, 10);
    }
}

#[tokio::test]
async fn limits_per_second_have_a_redis_of_their_own() {
    let (Some(main), Some(other)) = (Redis::start(), Redis::start()) else {
        return;
    };
    let (url, other_url) = (main.url(), other.url());
    let service = counts_exactly(&[&url, "--per-second-store", &other_url]).await;
    let mut rls = service.rls().await;
    let both = request("topology", &[&[("key", "both")], &[("second", "both")]]);
    assert!(rls.admits(both).await);
    let keys: Vec<String> = main.command("KEYS *both*");
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(keys[0].starts_with("slidegate:1;3600;"), "{keys:?}");
}

#[tokio::test]
async fn of_two_redis_one_that_is_away_does_not_concern_the_other() {
    let (Some(main), Some(mut other)) = (Redis::start(), Redis::start()) else {
        return;
    };
    let (url, other_url) = (main.url(), other.url());
    let service = counts_exactly(&[&url, "--per-second-store", &other_url]).await;
    other.kill();
    service.wait_for_log("a part of the store does not answer");
    service.reports(ServingStatus::NotServing).await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "counted", 15).await, 10);
    let keys: Vec<String> = main.command("KEYS *counted*");
    assert_eq!(keys.len(), 1, "{keys:?}");
    let both = request("topology", &[&[("key", "both")], &[("second", "both")]]);
    assert!(rls.admits(both).await, "alone");
    other.start_again();
    service.serves().await;
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_is_named_and_the_choice_holds() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = counts_exactly(&[&redis.url()]).await;
    redis.command::<()>("REPLICAOF 127.0.0.1 1");
    service.reports(ServingStatus::NotServing).await;
    service.wait_for_log("READONLY");
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "alone", 15).await, 10);
    redis.command::<()>("REPLICAOF NO ONE");
    service.serves().await;
}

#[tokio::test]
async fn a_redis_that_is_full_is_named_and_one_that_forgets_is_warned_of() {
    let Some(redis) =
        Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])
    else {
        return;
    };
    let service = counts_exactly(&[&redis.url()]).await;
    service.wait_for_log("maxmemory-policy noeviction");
    redis.command::<()>("CONFIG SET maxmemory-policy noeviction");
    redis.command::<()>("CONFIG SET maxmemory 1");
    service.reports(ServingStatus::NotServing).await;
    service.wait_for_log("OOM");
    redis.command::<()>("CONFIG SET maxmemory 0");
    service.serves().await;
}

#[tokio::test]
async fn what_redis_evicts_is_counted_and_warned_of() {
    let Some(redis) =
        Redis::start_with(&["--maxmemory", "8mb", "--maxmemory-policy", "allkeys-lru"])
    else {
        return;
    };
    let service = counts_exactly(&[&redis.url()]).await;
    let evicted = r#"slidegate_store_evicted_keys_total{store="redis"}"#;
    assert_eq!(service.metric(evicted), 0.0);
    let mut connection = redis.connection();
    for n in 0..200 {
        let mut set = redis::cmd("SET");
        set.arg(n).arg("x".repeat(100_000));
        set.exec(&mut connection).unwrap();
    }
    let line = service.wait_for_log("redis has evicted keys");
    assert!(line.contains(&redis.address().to_string()), "{line}");
    let stats: String = redis.command("INFO stats");
    let counted = stats
        .lines()
        .find_map(|it| it.strip_prefix("evicted_keys:"));
    let counted: f64 = counted.unwrap().parse().unwrap();
    assert!(counted > 100.0, "{counted}");
    eventually("all of them are counted", || {
        (service.metric(evicted) == counted).then_some(())
    });
}

#[tokio::test]
async fn a_user_who_may_not_is_named() {
    let Some(redis) = Redis::start() else {
        return;
    };
    redis.command::<()>("ACL SETUSER reader on >secret ~* +@read +@connection");
    let url = format!("redis://reader:secret@{}", redis.address());
    let service = start(&[&url]);
    service.wait_for_log("no permissions to run");
    assert!(!service.log().contains("secret"), "{}", service.log());
}

#[tokio::test]
async fn a_key_that_is_no_counter_concerns_nobody_else() {
    let Some(redis) = Redis::start() else {
        return;
    };
    let service = counts_exactly(&[&redis.url()]).await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "one", 1).await, 1);
    let key: String = redis.command::<Vec<String>>("KEYS *one*").remove(0);
    let other_form = format!("{}{}", "\u{9}", "x".repeat(27));
    for garbage in ["garbage", "", "g", &other_form] {
        let set = ["SET", &key, garbage].map(str::to_owned);
        let mut command = redis::cmd(&set[0]);
        command.arg(&set[1]).arg(&set[2]);
        command.exec(&mut redis.connection()).unwrap();
        for _ in 0..7 {
            admitted(&mut rls, "one", 1).await;
        }
    }
    redis.command::<()>(&format!("DEL {key}"));
    redis.command::<()>(&format!("LPUSH {key} x"));
    admitted(&mut rls, "one", 7).await;
    service.wait_for_log("holds what cannot be counted");
    assert_eq!(admitted(&mut rls, "another", 15).await, 10);
    service.reports(ServingStatus::Serving).await;
    let outages = r#"slidegate_store_outages_total{store="redis"}"#;
    assert_eq!(service.metric(outages), 0.0, "{}", service.log());
    // What was counted alone is booked once the key is free.
    redis.command::<()>(&format!("DEL {key}"));
    let n = admitted(&mut rls, "one", 15).await;
    assert!(n <= 10, "{n}");
}

/// Starts the service on a store and sees that a limit of ten is ten.
async fn counts_exactly(store: &[&str]) -> Service {
    let service = start(store);
    service.serves().await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "first", 15).await, 10);
    service
}

fn start(store: &[&str]) -> Service {
    let mut rules = NamedTempFile::with_suffix(".yaml").unwrap();
    writeln!(
        rules,
        "domain: topology\ndescriptors:\n\
         - {{key: key, rate_limit: {{unit: hour, requests_per_unit: 10}}}}\n\
         - {{key: second, rate_limit: {{unit: second, requests_per_unit: 10}}}}"
    )
    .unwrap();
    let rules = rules.into_temp_path();
    let path = rules.to_str().unwrap();
    // Rules that vanish are a change with a fault, which changes nothing.
    Service::start(&[&["--rules", path, "--store"], store].concat())
}

/// Waits until the service counts on this server.
async fn connects(service: &Service, redis: &Redis) {
    service.wait_for_log(&format!("redis connected server={}", redis.address()));
    service.serves().await;
}

/// How many of `n` requests of one hit pass.
async fn admitted(rls: &mut Rls, value: &str, n: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..n {
        admitted += usize::from(rls.admits(request("topology", &[&[("key", value)]])).await);
    }
    admitted
}
