//! A Redis cluster of the test's own: three masters with a replica each.

use std::net::SocketAddr;

use crate::support::eventually;
use crate::support::free_address;
use crate::support::redis::Redis;

/// Six servers; the first three begin as masters of a third of the slots each.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts one and waits until every slot is served and every replica follows.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let mut nodes = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..6 {
            let bus = free_address().port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
            let bus_arguments = ["--cluster-port", &bus, "--repl-diskless-sync-delay", "0"];
            nodes.push(Redis::start_with(&[arguments, bus_arguments].concat())?);
            buses.push(bus);
        }
        let (first, third) = (&nodes[0], N_SLOTS / 3);
        for (index, master) in nodes[..3].iter().enumerate() {
            let last = if index == 2 {
                N_SLOTS
            } else {
                third * (index + 1)
            } - 1;
            let range = format!("CLUSTER ADDSLOTSRANGE {} {last}", third * index);
            master.command::<()>(&range);
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let port = node.address().port();
            first.command::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
        }
        for node in &nodes {
            eventually("every node knows every other", || {
                let known: String = node.command("CLUSTER NODES");
                let n_linked = known.lines().filter(|it| it.contains("connected")).count();
                (n_linked == 6 && !known.contains("handshake")).then_some(())
            });
        }
        for (master, replica) in nodes[..3].iter().zip(&nodes[3..]) {
            let id: String = master.command("CLUSTER MYID");
            replica.command::<()>(&format!("CLUSTER REPLICATE {id}"));
        }
        let cluster = Self { nodes };
        cluster.settles();
        Some(cluster)
    }

    /// Waits until every slot is served and every replica follows, by the word of every node.
    #[track_caller]
    pub(crate) fn settles(&self) {
        for node in &self.nodes {
            eventually("the cluster is up", || {
                let state: String = node.command("CLUSTER INFO");
                let replication: String = node.command("INFO replication");
                let follows = replication.contains("role:master")
                    || replication.contains("master_link_status:up");
                (state.contains("cluster_state:ok") && follows).then_some(())
            });
        }
    }

    /// As `--store` takes it, with two of the nodes.
    pub(crate) fn url(&self) -> String {
        let (one, two) = (self.nodes[0].address(), self.nodes[4].address());
        format!("redis+cluster://{one},{two}")
    }

    /// Moves the slot of the one key that looks so to another node, with the key in it.
    #[track_caller]
    pub(crate) fn move_key(&self, pattern: &str) {
        let keys = |node: &Redis| node.command::<Vec<String>>(&format!("KEYS {pattern}"));
        let place = (0..3).find(|index| !keys(&self.nodes[*index]).is_empty());
        let (from, to) = (place.unwrap(), (place.unwrap() + 1) % 3);
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let key = keys(from).remove(0);
        let slot: u16 = from.command(&format!("CLUSTER KEYSLOT {key}"));
        let id = |node: &Redis| node.command::<String>("CLUSTER MYID");
        let (from_id, to_id) = (id(from), id(to));
        to.command::<()>(&format!("CLUSTER SETSLOT {slot} IMPORTING {from_id}"));
        from.command::<()>(&format!("CLUSTER SETSLOT {slot} MIGRATING {to_id}"));
        let port = to.address().port();
        from.command::<()>(&format!("MIGRATE 127.0.0.1 {port} {key} 0 1000"));
        for node in [to, from] {
            node.command::<()>(&format!("CLUSTER SETSLOT {slot} NODE {to_id}"));
        }
    }

    /// The node at this address.
    #[track_caller]
    pub(crate) fn node(&self, address: SocketAddr) -> &Redis {
        let node = self.nodes.iter().find(|it| it.address() == address);
        node.unwrap()
    }
}

const N_SLOTS: usize = 16_384;
