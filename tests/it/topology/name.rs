//! A name of a server that means another one by and by, as those of managed services do.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use tempfile::TempDir;

use crate::support::eventually;
use crate::support::namespaces;
use crate::support::redis::Redis;
use crate::topology::admitted;
use crate::topology::start;

#[tokio::test]
async fn a_name_that_changes_its_server_is_followed() {
    if !namespaces::entered("topology::name::a_name_that_changes_its_server_is_followed") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let hosts = folder.path().join("hosts");
    namespaces::name_loopback(&hosts, &[NAME]);
    let [one, two] = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2)];
    let address = |ip: Ipv4Addr| SocketAddr::from((ip, PORT));
    let (Some(first), Some(mut second)) =
        (Redis::start_at(address(one)), Redis::start_at(address(two)))
    else {
        return;
    };
    second.command::<()>(&format!("REPLICAOF {one} {PORT}"));
    eventually("the replica follows", || {
        let replication: String = second.command("INFO replication");
        replication.contains("master_link_status:up").then_some(())
    });
    let service = start(&[&format!("redis://{NAME}:{PORT}")]);
    service.serves().await;
    let mut rls = service.rls().await;
    assert_eq!(admitted(&mut rls, "before", 4).await, 4);
    let key: String = first.command::<Vec<String>>("KEYS *before*").remove(0);
    let held = |redis: &Redis| redis.command::<Option<Vec<u8>>>(&format!("GET {key}"));
    eventually("the replica has heard of it", || {
        (held(&second) == held(&first)).then_some(())
    });

    // They change places, and the name with them.
    namespaces::name(&hosts, two, &[NAME]);
    second.command::<()>("REPLICAOF NO ONE");
    first.command::<()>(&format!("REPLICAOF {two} {PORT}"));
    service.wait_for_log("READONLY");
    eventually("writes are taken again", || {
        let clients: String = second.command("CLIENT LIST");
        clients.contains("cmd=evalsha").then_some(())
    });
    service.serves().await;
    assert_eq!(
        admitted(&mut rls, "before", 20).await,
        6,
        "four were counted"
    );

    // The one that it means dies, and then it means the other.
    second.kill();
    first.command::<()>("REPLICAOF NO ONE");
    namespaces::name(&hosts, one, &[NAME]);
    eventually("the first is asked again", || {
        let clients: String = first.command("CLIENT LIST");
        clients.contains("cmd=evalsha").then_some(())
    });
    service.serves().await;
    assert_eq!(admitted(&mut rls, "after", 20).await, 10);
}

const NAME: &str = "redis.test";
const PORT: u16 = 6_379;
