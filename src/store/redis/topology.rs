//! The servers behind a store: which of them counts a key, and where they are by now.

use std::collections::HashMap;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use ::redis::Cmd;
use ::redis::ErrorKind;
use ::redis::Pipeline;
use ::redis::RedisError;
use ::redis::ServerErrorKind;
use ::redis::Value;
use arc_swap::ArcSwap;
use metrics::Counter;
use tokio::sync::Notify;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::warn;

use crate::store;
use crate::store::StoreError;
use crate::store::complaint::Complaints;
use crate::store::redis::address::Endpoint;
use crate::store::redis::address::Layout;
use crate::store::redis::connect::Servers;
use crate::store::redis::discovery::Discovery;
use crate::store::redis::discovery::Found;
use crate::store::redis::eviction::Evictions;
use crate::store::redis::node::Node;
use crate::store::redis::node::Sent;
use crate::store::redis::slots;
use crate::store::redis::slots::N_SLOTS;

/// What the store and its [`Keeper`] share.
pub(super) struct Link {
    map: ArcSwap<Map>,
    is_cluster: bool,
    is_up: watch::Sender<bool>,
    /// The servers may have changed.
    stale: Notify,
    /// How many commands may wait for Redis at once; beyond that they fail at once.
    waiting: Semaphore,
}

/// Which server has which keys.
#[derive(Default)]
pub(super) struct Map {
    pub(super) nodes: Vec<Arc<Node>>,
    /// Of a cluster: for each slot the index of its node, or [`NOBODY`].
    slots: Option<Box<[u16]>>,
}

/// Keys of one lane may stand in one command; commands of one lane arrive in order.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Lane(u16);

impl Link {
    /// A link to these servers, and the task that keeps it up.
    pub(super) fn new(servers: Servers, evicted: Counter) -> (Arc<Self>, Keeper) {
        let link = Arc::new(Self {
            map: ArcSwap::default(),
            is_cluster: *servers.layout().0 == Layout::Cluster,
            is_up: watch::Sender::new(false),
            stale: Notify::new(),
            waiting: Semaphore::new(MAX_WAITING),
        });
        let keeper = Keeper {
            servers: Arc::new(servers),
            link: Arc::clone(&link),
            evicted,
        };
        (link, keeper)
    }

    /// Whether every server is connected, now and as it changes.
    pub(super) fn is_up(&self) -> watch::Receiver<bool> {
        self.is_up.subscribe()
    }

    /// Whether all keys are in one lane.
    pub(super) fn has_one_lane(&self) -> bool {
        !self.is_cluster
    }

    /// Whether the server of a lane is connected.
    pub(super) fn is_connected(&self, lane: Lane) -> bool {
        self.node(lane).is_ok_and(|node| node.is_up())
    }

    /// Where a key is counted. All keys of a single server are in one lane.
    pub(super) fn lane(&self, key: &[u8]) -> Lane {
        if self.is_cluster {
            return Lane(slots::slot(key));
        }
        Lane(0)
    }

    /// Calls a script whose keys are all of this lane; `load` is the command that makes it known.
    pub(super) async fn call(&self, lane: Lane, call: &Cmd, load: &Cmd) -> Result<Value, Sent> {
        let node = self.node(lane).map_err(Sent::Lost)?;
        let _permit = self.permit().map_err(Sent::Lost)?;
        let is_asked = false;
        self.follow(Hop { node, is_asked }, call, Some(load)).await
    }

    /// Sends `n` commands at once whose keys are all of this lane; each is executed or refused by
    /// itself.
    pub(super) async fn send_all(
        &self,
        lane: Lane,
        commands: &Pipeline,
        n: usize,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        let node = self.node(lane)?;
        let permit = self.permit()?;
        let values = node.send_all(commands, n).await?;
        drop(permit);
        let mut answers = Vec::with_capacity(n);
        for (value, command) in values.into_iter().zip(commands.cmd_iter()) {
            let ended = match value.extract_error() {
                Ok(value) => Ok(value),
                // Each error is that of its own command, which did not run.
                Err(error) => match self.hop(&error, &node) {
                    Some(hop) => self.follow(hop, command, None).await,
                    None => Err(node.ended(error)),
                },
            };
            answers.push(match ended {
                Ok(value) => Ok(value),
                Err(Sent::Refused(error)) => Err(error),
                Err(Sent::Lost(error)) => return Err(error),
            });
        }
        Ok(answers)
    }

    /// Sends a command, and again where the answer says: only an answer that says that the command
    /// did not run has it sent again.
    async fn follow(&self, mut hop: Hop, command: &Cmd, load: Option<&Cmd>) -> Result<Value, Sent> {
        for _ in 0..MAX_HOPS {
            let error = match hop.send(command).await {
                Err(Sent::Refused(error)) => error,
                answer => return answer,
            };
            if let Some(load) = load
                && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
            {
                hop.node.send(load).await?;
                continue;
            }
            match self.hop(&error, &hop.node) {
                Some(next) => hop = next,
                None => return Err(Sent::Refused(error)),
            }
        }
        hop.send(command).await
    }

    /// Where an error says that the command belongs, if that is known.
    fn hop(&self, error: &RedisError, node: &Node) -> Option<Hop> {
        let is_asked = match error.kind() {
            ErrorKind::Server(ServerErrorKind::Ask) => true,
            ErrorKind::Server(ServerErrorKind::Moved) => {
                self.stale.notify_one();
                false
            }
            ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::ReadOnly) => {
                self.stale.notify_one();
                return None;
            }
            _ => return None,
        };
        let target = slots::target(error.redirect_node()?.0, &node.endpoint)?;
        let map = self.map.load();
        let node = map.nodes.iter().find(|it| it.endpoint == target)?;
        let node = Arc::clone(node);
        Some(Hop { node, is_asked })
    }

    fn node(&self, lane: Lane) -> Result<Arc<Node>, StoreError> {
        let map = self.map.load();
        let index = match &map.slots {
            None => 0,
            Some(slots) => usize::from(slots[usize::from(lane.0)]),
        };
        let node = map.nodes.get(index).ok_or(StoreError::Disconnected)?;
        Ok(Arc::clone(node))
    }

    fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        self.waiting.try_acquire().map_err(|_| StoreError::Full)
    }

    /// Says whether every server is connected and every slot has one.
    fn refresh(&self) {
        let map = self.map.load();
        let is_up = !map.nodes.is_empty()
            && map.nodes.iter().all(|node| node.is_up())
            && map.slots.iter().all(|slots| !slots.contains(&NOBODY));
        self.is_up
            .send_if_modified(|it| std::mem::replace(it, is_up) != is_up);
    }
}

/// Where a command is sent to next.
struct Hop {
    node: Arc<Node>,
    /// Whether the node has to be told that it was asked for by another one.
    is_asked: bool,
}

impl Hop {
    async fn send(&self, command: &Cmd) -> Result<Value, Sent> {
        if !self.is_asked {
            return self.node.send(command).await;
        }
        let mut both = Pipeline::with_capacity(2);
        both.add_command(::redis::cmd("ASKING"));
        both.add_command(command.clone());
        let answers = self.node.send_all(&both, 2).await?;
        let answer = answers.into_iter().nth(1).unwrap_or(Value::Nil);
        answer
            .extract_error()
            .map_err(|error| self.node.ended(error))
    }
}

/// Keeps a [`Link`] up: finds its servers, connects, watches, connects again.
pub(super) struct Keeper {
    servers: Arc<Servers>,
    link: Arc<Link>,
    /// Keys that servers evicted.
    evicted: Counter,
}

impl Keeper {
    /// Runs until the token stops it; servers that are away are waited for.
    pub(super) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&self) {
        let mut discovery = Discovery::new(Arc::clone(&self.servers));
        let mut kept = Kept::default();
        let complaints = Complaints::default();
        let mut goes_well_since = Instant::now();
        loop {
            let rest = match discovery.find(&self.link.map.load().nodes).await {
                Ok(found) => {
                    complaints.goes_well_since(goes_well_since);
                    kept.follow(&found, self);
                    if let Some(uncovered) = found.uncovered() {
                        let reason = store::in_full(&uncovered);
                        if complaints.allow(&reason) {
                            warn!(servers = %self.servers.address, reason, "redis not complete, trying on");
                        }
                        goes_well_since = Instant::now();
                    }
                    match self.servers.layout().0 {
                        // A single server is where its URL says; its name is looked up each time.
                        Layout::Single => return kept.run().await,
                        Layout::Sentinel(_) | Layout::Cluster => LOOK_INTERVAL,
                    }
                }
                Err(error) => {
                    let reason = store::in_full(&error);
                    if complaints.allow(&reason) {
                        warn!(servers = %self.servers.address, reason, "redis not found, trying on");
                    }
                    goes_well_since = Instant::now();
                    SEARCH_INTERVAL
                }
            };
            let rest = rest.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = kept.run() => {}
                () = tokio::time::sleep(rest) => {}
                () = self.link.stale.notified() => {
                    // A thousand requests that were sent elsewhere are one reason to look.
                    tokio::time::sleep(SEARCH_INTERVAL / 4).await;
                }
            }
        }
    }
}

/// The servers that are kept connected.
#[derive(Default)]
struct Kept {
    found: Found,
    nodes: HashMap<Endpoint, (Arc<Node>, AbortHandle)>,
    keepers: JoinSet<()>,
}

impl Kept {
    /// Keeps those that were found, and those only.
    fn follow(&mut self, found: &Found, keeper: &Keeper) {
        if *found == self.found {
            return;
        }
        let masters = found.masters();
        let names: Vec<_> = masters.iter().map(|it| it.to_string()).collect();
        info!(servers = names.join(", "), "counting in redis");
        for endpoint in &masters {
            if self.nodes.contains_key(*endpoint) {
                continue;
            }
            let node = Node::new((*endpoint).clone());
            let (link, stale) = (Arc::clone(&keeper.link), Arc::clone(&keeper.link));
            let changed = move |is_up: bool| {
                link.refresh();
                if !is_up {
                    stale.stale.notify_one();
                }
            };
            let must_be_master = matches!(keeper.servers.layout().0, Layout::Sentinel(_));
            let evictions = Evictions::new(keeper.evicted.clone());
            let servers = Arc::clone(&keeper.servers);
            let keep = Arc::clone(&node).keep(servers, must_be_master, evictions, changed);
            let handle = self.keepers.spawn(keep);
            self.nodes.insert((*endpoint).clone(), (node, handle));
        }
        self.nodes.retain(|endpoint, (_, handle)| {
            let is_kept = masters.contains(&endpoint);
            if !is_kept {
                handle.abort();
            }
            is_kept
        });
        let nodes = masters
            .iter()
            .map(|it| Arc::clone(&self.nodes[*it].0))
            .collect();
        let slots = found.slots(&masters);
        keeper.link.map.store(Arc::new(Map { nodes, slots }));
        keeper.link.refresh();
        self.found = found.clone();
    }

    /// Waits until it is dropped; a keeper that panics is heard.
    async fn run(&mut self) {
        loop {
            match self.keepers.join_next().await {
                Some(Err(error)) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

impl Found {
    fn masters(&self) -> Vec<&Endpoint> {
        match self {
            Self::One(endpoint) => vec![endpoint],
            Self::Ranges(ranges) => {
                let mut masters: Vec<&Endpoint> = Vec::new();
                for range in ranges {
                    if !masters.contains(&&range.master) {
                        masters.push(&range.master);
                    }
                }
                masters
            }
            Self::Nothing => Vec::new(),
        }
    }

    fn slots(&self, masters: &[&Endpoint]) -> Option<Box<[u16]>> {
        let Self::Ranges(ranges) = self else {
            return None;
        };
        let mut slots = vec![NOBODY; N_SLOTS];
        for range in ranges {
            let index = masters.iter().position(|it| **it == range.master);
            let index = index.and_then(|index| u16::try_from(index).ok());
            slots[usize::from(range.first)..=usize::from(range.last)].fill(index.unwrap_or(NOBODY));
        }
        Some(slots.into_boxed_slice())
    }
}

/// In place of the index of a node: no node has the slot.
const NOBODY: u16 = u16::MAX;
const MAX_WAITING: usize = 16_384;
/// How often one command is sent elsewhere.
const MAX_HOPS: usize = 4;
/// Between two looks at where the servers are, give or take a quarter.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while they are not found.
const SEARCH_INTERVAL: Duration = Duration::from_millis(200);
