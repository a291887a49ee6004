//! A server that drops keys when it is full forgets hits, and then more is admitted: that is warned of,
//! and what it drops is counted.

use std::time::Duration;

use ::redis::Value;
use ::redis::aio::MultiplexedConnection;
use metrics::Counter;
use tokio::time::Instant;
use tracing::warn;

use crate::store::redis::address::Endpoint;
use crate::store::redis::connect::Unconnected;
use crate::store::redis::connect::ask;
use crate::store::redis::oddity::Oddity;

/// What is known of the keys that a server evicts.
pub(super) struct Evictions {
    oddity: Oddity,
    /// When it is asked again; not at all when it does not tell.
    next_look: Option<Instant>,
    seen: Option<Seen>,
}

/// What a server said when it was asked last.
struct Seen {
    /// It is another one each time that it starts, and then counts from zero.
    run_id: String,
    evicted: u64,
}

impl Evictions {
    pub(super) fn new(counter: Counter) -> Self {
        Self {
            oddity: Oddity::new(counter),
            next_look: None,
            seen: None,
        }
    }

    /// Looks at a server that was just connected, and warns if it may evict.
    pub(super) async fn connected(
        &mut self,
        connection: &mut MultiplexedConnection,
        endpoint: &Endpoint,
    ) {
        self.next_look = Some(Instant::now());
        let Some(info) = self.look(connection, endpoint).await else {
            return;
        };
        let (maxmemory, policy) = (field(&info, "maxmemory"), field(&info, "maxmemory_policy"));
        if maxmemory != "0" && !policy.is_empty() && policy != "noeviction" {
            warn!(
                server = %endpoint,
                maxmemory,
                policy,
                "redis forgets keys when it is full, and then more is admitted than the limits: \
                 set maxmemory-policy noeviction"
            );
        }
    }

    /// Counts what was evicted since the last look, if it is time for one; what the server said.
    pub(super) async fn look(
        &mut self,
        connection: &mut MultiplexedConnection,
        endpoint: &Endpoint,
    ) -> Option<String> {
        let is_due = self.next_look.is_some_and(|it| it <= Instant::now());
        if !is_due {
            return None;
        }
        let said = ask(connection, &::redis::cmd("INFO")).await;
        self.next_look = match &said {
            // A server that does not tell is not asked twice.
            Err(Unconnected::Refused(error)) if !error.is_unrecoverable_error() => None,
            _ => Some(Instant::now() + LOOK_INTERVAL),
        };
        let Ok(Value::BulkString(info)) = said else {
            return None;
        };
        let info = String::from_utf8_lossy(&info).into_owned();
        if let Some(evicted) = self.note(&info) {
            warn!(
                server = %endpoint,
                evicted,
                "redis has evicted keys, and more may be admitted than the limits: \
                 set maxmemory-policy noeviction"
            );
        }
        Some(info)
    }

    /// Counts what was evicted since the last look; how much of it is to be told now.
    fn note(&mut self, info: &str) -> Option<u64> {
        let evicted = field(info, "evicted_keys").parse().ok()?;
        let seen = Seen {
            run_id: field(info, "run_id").to_owned(),
            evicted,
        };
        let before = match &self.seen {
            Some(before) if before.run_id == seen.run_id => before.evicted,
            _ => evicted,
        };
        self.seen = Some(seen);
        // Somebody may have reset what the server counts.
        self.oddity
            .note(evicted.checked_sub(before).unwrap_or(evicted))
    }
}

/// A field of what `INFO` says; empty when it is not there.
fn field<'a>(info: &'a str, name: &str) -> &'a str {
    let of_name = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    info.lines().find_map(of_name).unwrap_or_default()
}

/// Between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_evicted_is_counted_each_time_and_said_once_a_minute() {
        let count = Arc::new(AtomicU64::new(0));
        let mut evictions = Evictions::new(Counter::from_arc(Arc::clone(&count)));
        let mut look = |run_id: &str, evicted: u64| {
            let info =
                format!("# Server\r\nrun_id:{run_id}\r\n# Stats\r\nevicted_keys:{evicted}\r\n");
            let said = evictions.note(&info);
            (count.load(Ordering::Relaxed), said)
        };
        assert_eq!(look("a", 7), (0, None), "what was before is not ours");
        assert_eq!(look("a", 7), (0, None));
        assert_eq!(look("a", 9), (2, Some(2)));
        assert_eq!(look("a", 12), (5, None));
        assert_eq!(look("a", 1), (6, None), "its count was reset");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(look("a", 1), (6, Some(4)), "what was not said yet");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(look("b", 100), (6, None), "another server");
        assert_eq!(look("b", 101), (7, Some(1)));
    }

    #[test]
    fn a_server_that_tells_nothing_counts_nothing() {
        let mut evictions = Evictions::new(Counter::noop());
        for info in ["", "evicted_keys:", "evicted_keys:x", "run_id:a"] {
            assert_eq!(evictions.note(info), None, "{info}");
        }
        assert_eq!(
            field("maxmemory_policy:lru\r\nmaxmemory:5\r\n", "maxmemory"),
            "5"
        );
    }
}
