//! Section 4, and the keys of section 3.2: what Redis is asked, which one, and what is not Redis.
//!
//! Elsewhere: kinds of Redis, TLS and logins (`variables`, `topology`), counters that both services go on
//! with, and the expiry's jitter (`shared_counters`), failures (`failure`).

use crate::dropin::local;
use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::process::Process;
use crate::support::redis::Redis;
use crate::support::service::slidegate;
use crate::support::unix_seconds;

#[test]
fn redis_is_asked_as_the_reference_asks_it() {
    row::check_within_an_hour(COMMANDS, || {
        let (main, seconds) = (Redis::start()?, Redis::start()?);
        let urls = [main.address().to_string(), seconds.address().to_string()];
        let variables = [
            ("SLIDEGATE_ALGORITHM", "fixed_window"),
            ("REDIS_URL", &*urls[0]),
            ("REDIS_PERSECOND", "true"),
            ("REDIS_PERSECOND_SOCKET_TYPE", "tcp"),
            ("REDIS_PERSECOND_URL", &*urls[1]),
            ("EXPIRATION_JITTER_MAX_SECONDS", "0"),
            ("CACHE_KEY_PREFIX", "pre_"),
        ];
        let world = World::start(RULES, &variables).serves();
        for redis in [&main, &seconds] {
            redis.command::<()>("CONFIG SET slowlog-max-len 10000");
            redis.command::<()>("CONFIG SET slowlog-log-slower-than 0");
        }
        Some(Pair {
            world,
            main,
            seconds,
        })
    });
}

#[test]
fn a_start_with_a_redis_that_cannot_be_meant_is_refused() {
    row::check(STARTS, |variables| {
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs(variables.iter().copied());
        let mut process = Process::start(&mut command);
        let code = process.wait().code();
        // Once it has ended, its last lines may still be on their way.
        process.line_with("until it has ended");
        let lines = process.lines();
        format!("{code:?} {}", lines.join(" / "))
    });
}

#[test]
fn what_asks_for_nothing_that_is_here_is_said_once() {
    row::check(WITHOUT_EFFECT, |variable| {
        let world = World::start(RULES, &[memory()[0], *variable]);
        world.service.wait_for_log("rules loaded");
        let log = world.service.log();
        let says = |line: &&str| line.contains("has no effect");
        let says: Vec<_> = log.lines().filter(says).collect();
        let what = says.iter().filter_map(|it| it.split_once(variable.0));
        what.map(|(_, what)| what.trim())
            .collect::<Vec<_>>()
            .join(" / ")
    });
}

pub(crate) fn reasons() -> Vec<&'static str> {
    let starts = [row::reasons(STARTS), row::reasons(WITHOUT_EFFECT)].concat();
    [row::reasons(COMMANDS), starts].concat()
}

/// A service with a Redis for limits per second beside that for the rest.
struct Pair {
    world: World,
    main: Redis,
    seconds: Redis,
}

impl Pair {
    /// The commands that the main one is asked for a request, but for those that look after the
    /// connection, with `WINDOW` for the time in their keys.
    fn commands(&self, text: &str) -> String {
        of(&self.main, || {
            self.world.answer(text).unwrap();
        })
    }

    fn commands_of_seconds(&self, text: &str) -> String {
        of(&self.seconds, || {
            self.world.answer(text).unwrap();
        })
    }
}

fn of(redis: &Redis, act: impl FnOnce()) -> String {
    redis.command::<()>("SLOWLOG RESET");
    act();
    type Entry = (u64, u64, u64, Vec<String>, String, String);
    let mut log: Vec<Entry> = redis.command("SLOWLOG GET -1");
    log.reverse();
    let words = log.into_iter().map(|it| it.3);
    let counting = words.filter(|it| ["INCRBY", "EXPIRE", "GET", "EVALSHA"].contains(&&*it[0]));
    let counting = counting.filter(|it| !it.iter().any(|it| it.contains("probe")));
    let commands = counting.map(|words| words.join(" "));
    let windows = [1, 3_600, 604_800, 2_592_000].map(|it| unix_seconds() / it * it);
    let hidden = commands.map(|it| {
        let hide = |it: String, window: &u64| it.replace(&format!("_{window}"), "_WINDOW");
        windows[1..].iter().fold(it, hide)
    });
    hidden.collect::<Vec<_>>().join(", ")
}

const RULES: &str = "
domain: d.1
descriptors:
- {key: user, rate_limit: {unit: hour, requests_per_unit: 5}}
- {key: 'no', rate_limit: {unit: hour, requests_per_unit: 0}}
- {key: path, value: '/a*', share_threshold: true, rate_limit: {unit: week, requests_per_unit: 5}}
- {key: file, value: '/a*', rate_limit: {unit: month, requests_per_unit: 5}}
- {key: quick, rate_limit: {unit: second, requests_per_unit: 5}}
- {key: open, rate_limit: {unlimited: true}}
";

const COMMANDS: &[Row<Ask<Pair>>] = &[
    // 3.2, 4.1
    same(
        "a key is prefix, domain, keys, values and the window's begin; each hit renews its expiry",
        |it| it.commands("d.1 | user=a"),
        "INCRBY pre_d.1_user_a_WINDOW 1, EXPIRE pre_d.1_user_a_WINDOW 3600",
    ),
    same(
        "with share_threshold the pattern stands in it",
        |it| it.commands("d.1 | path=/abc"),
        "INCRBY pre_d.1_path_/a*_WINDOW 1, EXPIRE pre_d.1_path_/a*_WINDOW 604800",
    ),
    same(
        "with any other wildcard the value does",
        |it| it.commands("d.1 | file=/abc"),
        "INCRBY pre_d.1_file_/abc_WINDOW 1, EXPIRE pre_d.1_file_/abc_WINDOW 2592000",
    ),
    same(
        "refused hits are counted too",
        |it| it.commands("d.1 hits=3 | no=a"),
        "INCRBY pre_d.1_no_a_WINDOW 3, EXPIRE pre_d.1_no_a_WINDOW 3600",
    ),
    same(
        "no hits make a key as well",
        |it| it.commands("d.1 | user=b hits=0"),
        "INCRBY pre_d.1_user_b_WINDOW 0, EXPIRE pre_d.1_user_b_WINDOW 3600",
    ),
    same(
        "what is unlimited is not asked for",
        |it| it.commands("d.1 | open=a"),
        "",
    ),
    same(
        "nor what is replaced or has no limit",
        |it| it.commands("d.1 | user=c,more=d"),
        "",
    ),
    same(
        "a limit that the request brings has its entries in the key",
        |it| it.commands("d.1 | own=a,more=b limit=3/HOUR"),
        "INCRBY pre_d.1_own_a_more_b_WINDOW 1, EXPIRE pre_d.1_own_a_more_b_WINDOW 3600",
    ),
    same(
        "limits per second have a Redis of their own",
        |it| it.commands("d.1 | quick=a"),
        "",
    ),
    same(
        "which is asked in the same way",
        |it| {
            let asked = it.commands_of_seconds("d.1 | quick=b");
            let words: Vec<_> = asked.split([' ', ',']).collect();
            let begin = words[1].strip_prefix("pre_d.1_quick_b_").unwrap();
            let is_now = unix_seconds() - begin.parse::<u64>().unwrap() <= 60;
            format!("{} {is_now} {} {}", words[0], words[4], words[6])
        },
        "INCRBY true EXPIRE 1",
    ),
];

type Variable = (&'static str, &'static str);

const STARTS: &[Row<&[Variable]>] = &[
    // 4.2
    differs(
        "an unknown type ends the start",
        &[("REDIS_TYPE", "RING")],
        "Some(2) error: REDIS_TYPE=RING: expected SINGLE, SENTINEL or CLUSTER",
        "drop-in 11: the variable is named, and what was expected",
    ),
    differs(
        "so does a sentinel's URL without sentinels",
        &[("REDIS_TYPE", "sentinel"), ("REDIS_URL", "mymaster")],
        "Some(2) error: REDIS_URL=…: expected master,host:port,host:port",
        "drop-in 11: the variable is named, and what was expected",
    ),
    differs(
        "a negative parallelism ends the start",
        &[("REDIS_CLUSTER_PIPELINE_PARALLELISM", "-1")],
        "Some(2) error: REDIS_CLUSTER_PIPELINE_PARALLELISM=-1: expected a whole number",
        "drop-in 11: the variable is named, and what was expected",
    ),
    // 4.7
    differs(
        "an unknown backend ends the start",
        &[("BACKEND_TYPE", "sql")],
        "Some(2) error: BACKEND_TYPE=sql: expected redis",
        "drop-in 11: the variable is named, and what was expected",
    ),
    differs(
        "BACKEND_TYPE=memcache counts in memcached",
        &[("BACKEND_TYPE", "memcache")],
        "Some(2) error: BACKEND_TYPE=memcache: memcached cannot count sliding windows: use redis",
        "drop-in 12: it has no way to decide and count at once",
    ),
];

const WITHOUT_EFFECT: &[Row<&Variable>] = &[
    // 4.3
    differs(
        "a pool has REDIS_POOL_SIZE connections",
        &("REDIS_POOL_SIZE", "20"),
        "has no effect: requests share one connection to a server",
        "drop-in 12: requests share a connection, and calls",
    ),
    differs(
        "REDIS_POOL_ON_EMPTY_BEHAVIOR=CREATE ends the start",
        &("REDIS_POOL_ON_EMPTY_BEHAVIOR", "CREATE"),
        "has no effect: requests share one connection to a server",
        "drop-in 12: there is no pool that could be empty",
    ),
    differs(
        "REDIS_PIPELINE_LIMIT is ignored with a warning",
        &("REDIS_PIPELINE_LIMIT", "8"),
        "has no effect: requests are put together as they come",
        "drop-in 12: requests share a connection, and calls",
    ),
    // 4.4
    differs(
        "REDIS_TIMEOUT bounds the dial, and commands are bounded by the caller's deadline",
        &("REDIS_TIMEOUT", "5s"),
        "has no effect: requests wait until their own deadline, and SLIDEGATE_STORE_TIMEOUT at most",
        "drop-in 12: a wait for Redis ends before the caller's",
    ),
    differs(
        "REDIS_STARTUP_MAX_ELAPSED_TIME ends the wait for Redis",
        &("REDIS_STARTUP_MAX_ELAPSED_TIME", "1m"),
        "has no effect: the start does not wait for Redis",
        "drop-in 2: the start does not wait",
    ),
];
