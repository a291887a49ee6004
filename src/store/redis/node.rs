//! One server: a connection to it that is kept up, and the commands that go over it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::redis::Cmd;
use ::redis::Pipeline;
use ::redis::RedisError;
use ::redis::Value;
use ::redis::aio::ConnectionLike;
use ::redis::aio::MultiplexedConnection;
use arc_swap::ArcSwapOption;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use crate::store;
use crate::store::StoreError;
use crate::store::complaint::Complaints;
use crate::store::redis::address::Endpoint;
use crate::store::redis::connect::Servers;
use crate::store::redis::connect::Unconnected;
use crate::store::redis::connect::ask;
use crate::store::redis::eviction::Evictions;

/// A server that counts.
pub(super) struct Node {
    pub(super) endpoint: Endpoint,
    connection: ArcSwapOption<MultiplexedConnection>,
    broken: Notify,
    /// Whether it refused a write, so that another one is to be looked for.
    is_replica: AtomicBool,
}

/// How a command ended that was not answered with a value.
pub(super) enum Sent {
    /// Redis answered with an error.
    Refused(RedisError),
    /// It was not sent, or nobody knows what became of it.
    Lost(StoreError),
}

impl From<Sent> for StoreError {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Refused(error) if did_not_run(&error) => Self::Refused(Arc::new(error)),
            Sent::Refused(error) => Self::failed(error),
            Sent::Lost(error) => error,
        }
    }
}

impl Node {
    pub(super) fn new(endpoint: Endpoint) -> Arc<Self> {
        Arc::new(Self {
            endpoint,
            connection: ArcSwapOption::empty(),
            broken: Notify::new(),
            is_replica: AtomicBool::new(false),
        })
    }

    pub(super) fn is_up(&self) -> bool {
        self.connection.load().is_some()
    }

    /// The connection, if it is up.
    pub(super) fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let connection = self.connection.load_full();
        let connection = connection.ok_or(StoreError::Disconnected)?;
        Ok((*connection).clone())
    }

    /// Sends a command once.
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, Sent> {
        let mut connection = self.connection().map_err(Sent::Lost)?;
        let sent = connection.send_packed_command(command).await;
        sent.and_then(Value::extract_error)
            .map_err(|error| self.ended(error))
    }

    /// Sends commands once, together. An answer may be an error of its own.
    pub(super) async fn send_all(&self, commands: &Pipeline, n: usize) -> Result<Vec<Value>, Sent> {
        let mut connection = self.connection().map_err(Sent::Lost)?;
        let sent = connection.req_packed_commands(commands, 0, n).await;
        sent.map_err(|error| self.ended(error))
    }

    /// Has the connection looked after if the error says that it is of no use any more.
    pub(super) fn ended(&self, error: RedisError) -> Sent {
        if error.is_unrecoverable_error() {
            self.broken.notify_one();
            return Sent::Lost(StoreError::failed(error));
        }
        if is_read_only(&error) {
            self.is_replica.store(true, Ordering::Relaxed);
            self.broken.notify_one();
        }
        Sent::Refused(error)
    }

    /// Connects, watches, connects again, until it is dropped. `changed` is told whenever the
    /// connection comes or goes.
    pub(super) async fn keep(
        self: Arc<Self>,
        servers: Arc<Servers>,
        must_be_master: bool,
        mut evictions: Evictions,
        changed: impl Fn(bool),
    ) {
        let mut backoff = FIRST_BACKOFF;
        let complaints = Complaints::default();
        // What the log says by now.
        let mut is_said_up = false;
        loop {
            let begin = Instant::now();
            // What reads and writes ends with the connection.
            let mut driver = JoinSet::new();
            let error = match self.connect(&servers, must_be_master, &mut driver).await {
                Ok(mut connection) => {
                    evictions.connected(&mut connection, &self.endpoint).await;
                    if !is_said_up {
                        info!(server = %self.endpoint, "redis connected");
                        is_said_up = true;
                    }
                    let begin = Instant::now();
                    self.is_replica.store(false, Ordering::Relaxed);
                    self.connection.store(Some(Arc::new(connection.clone())));
                    changed(true);
                    let error = self
                        .watch(&mut connection, &mut driver, &mut evictions)
                        .await;
                    self.connection.store(None);
                    changed(false);
                    complaints.goes_well_since(begin);
                    error
                }
                Err(error) => error,
            };
            let reason = store::in_full(&error);
            if complaints.allow(&reason) {
                warn!(server = %self.endpoint, reason, "no connection to redis, trying on");
                is_said_up = false;
            }
            if begin.elapsed() > LAST_BACKOFF * 2 {
                backoff = FIRST_BACKOFF;
            }
            tokio::time::sleep(backoff.mul_f64(0.5 + fastrand::f64())).await;
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }

    async fn connect(
        &self,
        servers: &Servers,
        must_be_master: bool,
        driver: &mut JoinSet<()>,
    ) -> Result<MultiplexedConnection, Unconnected> {
        let open = servers.open(&self.endpoint).await?;
        driver.spawn(open.driver);
        let mut connection = open.connection;
        if must_be_master {
            let role = ask(&mut connection, &::redis::cmd("ROLE")).await?;
            let is_master = matches!(
                &role,
                Value::Array(parts) if parts.first() == Some(&Value::BulkString(b"master".to_vec()))
            );
            if !is_master {
                return Err(Unconnected::Unfit("not the master".to_owned()));
            }
        }
        ask(&mut connection, &::redis::cmd("PING")).await?;
        Ok(connection)
    }

    /// Watches a connection until it is of no use any more.
    async fn watch(
        &self,
        connection: &mut MultiplexedConnection,
        driver: &mut JoinSet<()>,
        evictions: &mut Evictions,
    ) -> Unconnected {
        loop {
            tokio::select! {
                _ = driver.join_next() => return Unconnected::Unfit("the connection ended".to_owned()),
                () = self.broken.notified() => {}
                () = tokio::time::sleep(PING_INTERVAL) => {}
            }
            if self.is_replica.load(Ordering::Relaxed) {
                return Unconnected::Unfit("READONLY: a replica by now".to_owned());
            }
            if let Err(error) = ask(connection, &::redis::cmd("PING")).await {
                return error;
            }
            evictions.look(connection, &self.endpoint).await;
        }
    }
}

/// Whether an answer proves that nothing was executed. What a script may not do is no proof, as it may
/// have done something else before, but where no write is allowed it has written nothing.
fn did_not_run(error: &RedisError) -> bool {
    let is = |code: &&str| error.code() == Some(code);
    NO_COMMAND.iter().any(is) || NO_WRITE.iter().any(|code| has_code(error, code))
}

/// Whether a server refused to write because it is a replica.
fn is_read_only(error: &RedisError) -> bool {
    has_code(error, READ_ONLY)
}

/// Whether an error is of this kind, or that is why a script failed: then its code is behind a general
/// one, `ERR READONLY …`, or of Redis 6 `ERR … -READONLY …`.
fn has_code(error: &RedisError, code: &str) -> bool {
    let is_behind = |detail: &str| detail.contains(&format!("{code} "));
    error.code() == Some(code) || error.detail().is_some_and(is_behind)
}

const READ_ONLY: &str = "READONLY";
/// Errors of servers that take no writes at all.
const NO_WRITE: [&str; 4] = ["MISCONF", "NOREPLICAS", "OOM", READ_ONLY];
/// Errors of servers that did not take the command.
const NO_COMMAND: [&str; 7] = [
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "NOAUTH",
    "NOPERM",
    "TRYAGAIN",
];
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
const LAST_BACKOFF: Duration = Duration::from_millis(200);
const PING_INTERVAL: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_proves_that_nothing_ran_where_the_command_or_all_writes_are_refused() {
        for (line, expected) in [
            ("NOPERM this user has no permissions to access a key", true),
            ("LOADING Redis is loading the dataset in memory", true),
            ("CLUSTERDOWN The cluster is down", true),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                true,
            ),
            (
                "ERR OOM command not allowed. script: 7eb, on @user_script:1.",
                true,
            ),
            (
                "ERR Error running script: @user_script: -READONLY You can't write",
                true,
            ),
            (
                "ERR The user executing the script can't run this command",
                false,
            ),
            ("ERR value is not an integer or out of range", false),
            ("WRONGTYPE Operation against a key", false),
        ] {
            let parsed = ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
            let error = parsed.and_then(Value::extract_error).unwrap_err();
            assert_eq!(did_not_run(&error), expected, "{line}");
        }
    }
}
