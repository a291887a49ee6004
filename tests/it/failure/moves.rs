//! Requests without a pause while the servers change places.

use tempfile::NamedTempFile;
use tonic_health::pb::health_check_response::ServingStatus;

use crate::failure::scene::serve;
use crate::failure::traffic;
use crate::failure::traffic::Kind;
use crate::failure::traffic::Leases;
use crate::failure::traffic::Traffic;
use crate::support::eventually;
use crate::support::redis::Redis;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinel::PASSWORD;
use crate::support::redis::sentinel::Watched;
use crate::support::service::Service;

#[tokio::test]
async fn a_failover_by_sentinels_is_followed() {
    for leases in Leases::BOTH {
        let Some(mut watched) = Watched::start() else {
            return;
        };
        let (rules, url) = (traffic::rules(leases), watched.url());
        let auth = ["--redis-sentinel-auth", PASSWORD];
        let arguments = [&[url.as_str()], auth.as_slice()].concat();
        let service = serve(rules.path().to_str().unwrap(), leases, &arguments).await;
        let mut traffic = Traffic::start(service.grpc(), leases).await;
        traffic.settles().await;
        watched.servers[0].kill();
        let replica = watched.servers[1].address();
        service.wait_for_log(&format!("redis connected server={replica}"));
        service.serves().await;
        traffic.settles().await;
        // Once counted, once alone, once more where the replica had not heard of it.
        traffic.passed_at_most(3).await;
    }
}

#[tokio::test]
async fn a_failover_in_a_cluster_is_followed() {
    for leases in Leases::BOTH {
        let Some(mut cluster) = Cluster::start() else {
            return;
        };
        let (_rules, service, mut traffic) = counting_in(&cluster, leases).await;
        traffic.settles().await;
        cluster.nodes[0].kill();
        let promoted = cluster.nodes[3].address();
        service.wait_for_log(&format!("redis connected server={promoted}"));
        eventually("the replica has the slots", || {
            let state: String = cluster.node(promoted).command("CLUSTER INFO");
            state.contains("cluster_state:ok").then_some(())
        });
        service.serves().await;
        traffic.settles().await;
        traffic.passed_at_most(3).await;
    }
}

#[tokio::test]
async fn what_other_nodes_of_a_cluster_have_is_counted_on() {
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    for node in &cluster.nodes {
        node.command::<()>("CONFIG SET cluster-require-full-coverage no");
    }
    let (_rules, service, mut traffic) = counting_in(&cluster, Leases::Off).await;
    traffic.settles().await;
    let has = |kind: Kind, node: &Redis| {
        let keys: Vec<String> = node.command(&format!("KEYS *:{},*", kind.key()));
        !keys.is_empty()
    };
    let lost = (0..3).find(|index| has(Kind::Error, &cluster.nodes[*index]));
    let lost = lost.unwrap();
    let is_lost = Kind::ALL.map(|kind| (kind, has(kind, &cluster.nodes[lost])));
    // Nobody is left to take its place.
    cluster.nodes[lost + 3].kill();
    cluster.nodes[lost].kill();
    service.wait_for_log("a part of the store does not answer");
    service.reports(ServingStatus::NotServing).await;
    traffic.is_used_up_alone().await;
    for answer in traffic.phase().await {
        let (_, is_lost) = is_lost
            .iter()
            .find(|(kind, _)| *kind == answer.kind)
            .unwrap();
        let expected = match is_lost {
            true => answer.kind.by_choice(),
            false => answer.kind.by_store(),
        };
        assert_eq!(answer.said, expected, "{answer:?}, {is_lost}");
    }
    assert_eq!(service.metric(OUTAGES), 0.0, "{}", service.log());
}

#[tokio::test]
async fn a_cluster_is_done_without_while_a_slot_has_no_node_and_asked_again_when_it_has() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let (_rules, service, mut traffic) = counting_in(&cluster, Leases::Off).await;
    traffic.settles().await;
    let owner = &cluster.nodes[0];
    let is_unused = |slot: &u16| {
        let n_keys: u64 = owner.command(&format!("CLUSTER COUNTKEYSINSLOT {slot}"));
        n_keys == 0
    };
    let slot = (0..).find(is_unused).unwrap();
    // No node serves anything any more.
    for master in &cluster.nodes[..3] {
        master.command::<()>(&format!("CLUSTER DELSLOTS {slot}"));
    }
    service.reports(ServingStatus::NotServing).await;
    traffic.is_used_up_alone().await;
    traffic.is_decided_by_choice().await;
    assert_eq!(service.metric(OUTAGES), 1.0, "{}", service.log());
    service.wait_for_log("1 of 16384 slots have no node");
    owner.command::<()>(&format!("CLUSTER ADDSLOTS {slot}"));
    service.serves().await;
    traffic.settles().await;
    traffic.passed_at_most(2).await;
}

#[tokio::test]
async fn slots_that_move_are_followed_without_a_miscount() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let (_rules, _service, mut traffic) = counting_in(&cluster, Leases::Off).await;
    traffic.settles().await;
    for key in ["allow", "local", "scarce", "deny"] {
        cluster.move_key(&format!("*:{key},*"));
        traffic.is_counted().await;
    }
    traffic.passed_at_most(1).await;
}

#[tokio::test]
async fn slots_that_move_while_hits_are_leased_are_followed_without_one_too_many() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let (_rules, service, mut traffic) = counting_in(&cluster, Leases::On).await;
    // Enough to make the keys, and far from what there is.
    traffic.phase().await;
    for key in ["local", "scarce", "allow", "local", "scarce", "deny"] {
        cluster.move_key(&format!("*:{key},*"));
    }
    traffic.settles().await;
    traffic.passed_at_most(1).await;
    assert_eq!(service.metric(OUTAGES), 0.0, "{}", service.log());
}

/// The service that counts in a cluster, and who asks it; its rules are in the file.
async fn counting_in(cluster: &Cluster, leases: Leases) -> (NamedTempFile, Service, Traffic) {
    let (rules, url) = (traffic::rules(leases), cluster.url());
    let service = serve(rules.path().to_str().unwrap(), leases, &[&url]).await;
    let traffic = Traffic::start(service.grpc(), leases).await;
    (rules, service, traffic)
}

const OUTAGES: &str = r#"slidegate_store_outages_total{store="redis"}"#;
