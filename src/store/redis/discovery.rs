//! Finds the servers: asks the sentinels for the master, or the cluster for its slots.

use std::sync::Arc;

use ::redis::Value;
use ::redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::store;
use crate::store::redis::address::Endpoint;
use crate::store::redis::address::Layout;
use crate::store::redis::connect::Servers;
use crate::store::redis::connect::Unconnected;
use crate::store::redis::connect::ask;
use crate::store::redis::node::Node;
use crate::store::redis::slots;
use crate::store::redis::slots::N_SLOTS;
use crate::store::redis::slots::Range;

/// Where keys are counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Found {
    /// Nothing is known yet.
    #[default]
    Nothing,
    /// On one server.
    One(Endpoint),
    /// On a cluster's masters.
    Ranges(Vec<Range>),
}

impl Found {
    /// What is missing, if it is not all.
    pub(super) fn uncovered(&self) -> Option<NotFound> {
        let Self::Ranges(ranges) = self else {
            return None;
        };
        let covered: usize = ranges.iter().map(Range::len).sum();
        let missing = N_SLOTS.saturating_sub(covered);
        let reason = || format!("{missing} of {N_SLOTS} slots have no node");
        (missing > 0).then(|| NotFound(reason()))
    }
}

/// Why nothing was found: what each that was asked had to say.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotFound(String);

/// Asks, and remembers whom it asked.
pub(super) struct Discovery {
    servers: Arc<Servers>,
    /// The one that answered last, first.
    order: Vec<Endpoint>,
    open: Option<(Endpoint, MultiplexedConnection)>,
    driver: JoinSet<()>,
}

impl Discovery {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        Self {
            order: servers.layout().1.to_vec(),
            servers,
            open: None,
            driver: JoinSet::new(),
        }
    }

    /// Where keys are counted by now. `known` are the nodes of a cluster that are in use.
    pub(super) async fn find(&mut self, known: &[Arc<Node>]) -> Result<Found, NotFound> {
        let servers = Arc::clone(&self.servers);
        let (layout, endpoints) = servers.layout();
        if *layout == Layout::Single {
            return Ok(Found::One(endpoints[0].clone()));
        }
        // Nodes that joined later are as good as those of the URL, which may all be gone one day.
        for node in known.iter().filter(|_| *layout == Layout::Cluster) {
            if !self.order.contains(&node.endpoint) {
                self.order.push(node.endpoint.clone());
            }
        }
        let mut reasons = Vec::new();
        for index in 0..self.order.len() {
            let asked = self.order[index].clone();
            match self.ask(&asked, layout).await {
                Ok(found) => {
                    self.order.swap(0, index);
                    return Ok(found);
                }
                Err(error) => {
                    self.open = None;
                    reasons.push(format!("{asked}: {}", store::in_full(&error)));
                }
            }
        }
        Err(NotFound(reasons.join("; ")))
    }

    async fn ask(&mut self, asked: &Endpoint, layout: &Layout) -> Result<Found, Unconnected> {
        let mut connection = match &self.open {
            Some((endpoint, connection)) if endpoint == asked => connection.clone(),
            _ => {
                let opened = match layout {
                    Layout::Sentinel(_) => self.servers.open_sentinel(asked).await?,
                    Layout::Cluster | Layout::Single => self.servers.open(asked).await?,
                };
                self.driver = JoinSet::new();
                self.driver.spawn(opened.driver);
                self.open = Some((asked.clone(), opened.connection.clone()));
                opened.connection
            }
        };
        match layout {
            Layout::Sentinel(name) => master(&mut connection, name, asked).await,
            Layout::Cluster => ranges(&mut connection, asked).await,
            Layout::Single => Ok(Found::One(asked.clone())),
        }
    }
}

async fn master(
    connection: &mut MultiplexedConnection,
    name: &str,
    asked: &Endpoint,
) -> Result<Found, Unconnected> {
    let mut question = ::redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
    let answer = ask(connection, &question).await?;
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    };
    let master = match &answer {
        Value::Array(parts) => parts.first().zip(parts.get(1)),
        _ => return Err(Unconnected::Unfit(format!("no master `{name}`"))),
    };
    let endpoint = master
        .and_then(|(host, port)| slots::target(&format!("{}:{}", text(host)?, text(port)?), asked));
    let endpoint = endpoint.ok_or_else(|| Unconnected::Unfit("no address of a master".to_owned()));
    Ok(Found::One(endpoint?))
}

async fn ranges(
    connection: &mut MultiplexedConnection,
    asked: &Endpoint,
) -> Result<Found, Unconnected> {
    let mut question = ::redis::cmd("CLUSTER");
    let answer = ask(connection, question.arg("SLOTS")).await?;
    let ranges = slots::read(&answer, asked);
    let ranges = ranges.ok_or_else(|| Unconnected::Unfit("no slots".to_owned()))?;
    if ranges.is_empty() {
        return Err(Unconnected::Unfit("no slot has a node".to_owned()));
    }
    Ok(Found::Ranges(ranges))
}
