//! Section 8, and the reloads of section 2: failures, health, signals, certificates, logs.
//!
//! Elsewhere: drains and certificates (`tls`), health that follows Redis or rules (`dropin`), what
//! happens while Redis is away (`failure`), changes of files (`reload`).

use std::fs;

use crate::dropin::local;
use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::certificates::Authority;
use crate::support::certificates::Secret;
use crate::support::eventually;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[test]
fn without_redis_requests_fail_and_the_process_is_well() {
    let nowhere = format!("redis://user:secret@{}", free_address());
    let world = World::start(RULES, &[("REDIS_URL", &nowhere)]);
    world.service.wait_for_log("no connection to redis");
    row::check(FAILURES, |ask| ask(&world));
}

#[test]
fn a_change_of_the_rules_is_put_in_force_whole_or_not_at_all() {
    let world = World::start(RULES, &memory());
    row::check(CHANGES, |ask| ask(&world));
}

#[test]
fn signals_end_the_process() {
    row::check(SIGNALS, |(name, more)| {
        let mut world = World::start(RULES, &[memory()[0], *more]);
        world.service.signal(name);
        world.service.wait_for_log("stopping");
        let during = Call::get("/healthcheck").try_send(world.service.http());
        let during = during.map_or(0, |it| it.status);
        let code = world.service.wait().code();
        format!("{code:?} {}", during == 500 || during == 0)
    });
}

#[test]
fn certificates_are_looked_at_again() {
    row::check(CERTIFICATES, |ask| ask());
}

#[test]
fn a_start_that_cannot_be_right_ends() {
    row::check(STARTS, |(rules, more)| {
        let world = tempfile::tempdir().unwrap();
        let files = world.path().join("ratelimit/config");
        if let Some(rules) = rules {
            fs::create_dir_all(&files).unwrap();
            fs::write(files.join("rules"), rules).unwrap();
        }
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs(memory()).envs([
            ("RUNTIME_ROOT", world.path().to_str().unwrap()),
            ("RUNTIME_SUBDIRECTORY", "ratelimit"),
            ("RUNTIME_WATCH_ROOT", "false"),
        ]);
        command.envs(more.iter().copied());
        let code = Process::start(&mut command).wait().code();
        format!("{code:?}")
    });
}

pub(crate) fn reasons() -> Vec<&'static str> {
    let of_worlds = [FAILURES, CHANGES].map(row::reasons).concat();
    let certificates = row::reasons(CERTIFICATES);
    let rest = [row::reasons(SIGNALS), row::reasons(STARTS), certificates];
    [of_worlds, rest.concat()].concat()
}

const RULES: &str = "
domain: d
descriptors:
- {key: user, rate_limit: {unit: hour, requests_per_unit: 3}}
- {key: open, rate_limit: {unlimited: true}}
- {key: kind, rate_limit: {unit: hour, requests_per_unit: 3, on_store_failure: allow}}
";

const FAILURES: &[Row<Ask<World>>] = &[
    differs(
        "an error of Redis is UNKNOWN",
        |it| it.ask("d | user=x").split(':').next().unwrap().to_owned(),
        "UNAVAILABLE",
        "drop-in 3: the code for what may pass",
    ),
    differs(
        "it fails whatever limit is asked for",
        |it| it.ask("d | kind=x"),
        "OK: OK 3 of 3 HOUR",
        "differences 9: a limit may say what holds in the meantime",
    ),
    same(
        "it is counted",
        |it| {
            let series = "ratelimit_service_should_rate_limit_error{err_type=\"redis_error\"}";
            (it.metric(series) != "0").to_string()
        },
        "true",
    ),
    same(
        "what needs no Redis is answered",
        |it| it.ask("d | open=x | nothing=x"),
        "OK: OK 4294967295, OK",
    ),
    same(
        "over /json it is a bad request",
        |it| {
            let entry = r#"{"key": "user", "value": "x"}"#;
            let body = format!(r#"{{"domain": "d", "descriptors": [{{"entries": [{entry}]}}]}}"#);
            it.http(&Call::post("/json", body))[..16].to_owned()
        },
        "400 Bad Request\n",
    ),
    same(
        "health goes on",
        |it| it.http(&Call::get("/healthcheck")),
        "200 OK",
    ),
    differs(
        "errors are logged at debug only, and the URL of a single Redis with its password",
        |it| {
            let log = it.service.log();
            format!(
                "{} {}",
                log.matches("no connection to redis").count() > 0,
                log.contains("secret")
            )
        },
        "true false",
        "drop-in 13: an outage is said, a password never",
    ),
    differs(
        "lines of the log have time, level and msg, and levels in lower case",
        |it| it.service.log().contains("msg=").to_string(),
        "false",
        "drop-in 13: they have words and fields of their own",
    ),
];

const CHANGES: &[Row<Ask<World>>] = &[
    same(
        "good rules are in force, and counted",
        |it| {
            write(
                it,
                "domain: d\ndescriptors: [{key: user, rate_limit: {unit: day, requests_per_unit: 7}}]",
            );
            eventually("the change", || {
                let counted = it.metric("ratelimit_service_config_load_success");
                (counted == "2").then(|| it.debug("/rlconfig"))
            })
        },
        "200 d.user: unit=DAY requests_per_unit=7, shadow_mode: false, quota_mode: false\n",
    ),
    same(
        "bad ones change nothing, and are counted",
        |it| {
            write(
                it,
                "domain: d\ndescriptors: [{key: user, rate_limit: {unit: x}}]",
            );
            eventually("the change", || {
                let counted = it.metric("ratelimit_service_config_load_error");
                (counted == "1").then(|| it.debug("/rlconfig"))
            })
        },
        "200 d.user: unit=DAY requests_per_unit=7, shadow_mode: false, quota_mode: false\n",
    ),
    differs(
        "series of rules that are gone stay",
        |it| {
            it.ask("d | user=x");
            write(
                it,
                "domain: d\ndescriptors: [{key: team, rate_limit: {unit: day, requests_per_unit: 7}}]",
            );
            eventually("the change", || {
                let series = "ratelimit_service_rate_limit_total_hits{domain=\"d\",key1=\"user\"}";
                (it.metric(series) == "absent").then(|| it.ask("d | team=x"))
            })
        },
        "OK: OK 6 of 7 DAY",
        "differences 21: they go with the rule",
    ),
    same(
        "a file of any name is read",
        |it| {
            let files = it.folder.path().join("ratelimit/config");
            fs::remove_file(files.join("rules")).unwrap();
            fs::write(files.join("other.txt"), "domain: e\ndescriptors: []").unwrap();
            eventually("the change", || {
                let counted = it.metric("slidegate_config_rules");
                (counted == "0").then(|| it.ask("d | user=x"))
            })
        },
        "OK: OK",
    ),
];

type Signal = (&'static str, &'static (&'static str, &'static str));

const AT_ONCE: &(&str, &str) = &("SLIDEGATE_DRAIN_DELAY", "0s");
const LATER: &(&str, &str) = &("SLIDEGATE_DRAIN_DELAY", "300ms");

const SIGNALS: &[Row<Signal>] = &[
    same("SIGTERM ends it with 0", ("TERM", AT_ONCE), "Some(0) true"),
    same("so does SIGINT", ("INT", AT_ONCE), "Some(0) true"),
    same(
        "and SIGHUP, which reads nothing anew",
        ("HUP", AT_ONCE),
        "Some(0) true",
    ),
    differs(
        "the listeners close as soon as health fails",
        ("TERM", LATER),
        "Some(0) true",
        "drop-in 7: callers need a moment to see it",
    ),
];

const CERTIFICATES: &[Row<fn() -> String>] = &[differs(
    "the authority of clients is read once",
    || {
        let authority = Authority::new();
        let pair = authority.issue(&["localhost"]);
        let mut files = Secret::new(&authority, &pair);
        let [ca, cert, key] = ["ca.crt", "tls.crt", "tls.key"].map(|it| files.path(it));
        let mut command = slidegate(&["serve", "--drop-in"]);
        command.envs(local()).envs(memory()).envs([
            ("GRPC_SERVER_USE_TLS", "true"),
            ("GRPC_SERVER_TLS_CERT", &cert),
            ("GRPC_SERVER_TLS_KEY", &key),
            ("GRPC_CLIENT_TLS_CACERT", &ca),
        ]);
        let service = Service::of(Process::start(&mut command));
        files.swap(&Authority::new(), &pair);
        let line = service.wait_for_log("certificates reloaded");
        line.contains("certificates reloaded").to_string()
    },
    "true",
    "drop-in 6: every file is followed",
)];

/// Rules and variables.
type Start = (
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
);

const STARTS: &[Row<Start>] = &[
    differs(
        "with bad rules it comes up without any and fails every call",
        (Some("domain: d\ndescriptor: []"), &[]),
        "Some(1)",
        "drop-in 4: what is in force is what was asked for",
    ),
    same(
        "without the directory it does not start",
        (None, &[]),
        "Some(1)",
    ),
    differs(
        "the address of a collector may be without a scheme",
        (
            Some(RULES),
            &[
                ("TRACING_ENABLED", "true"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
            ],
        ),
        "Some(1)",
        "drop-in 15: it says whether TLS is spoken",
    ),
];

fn write(world: &World, rules: &str) {
    let file = world.folder.path().join("ratelimit/config/rules");
    fs::write(file, rules).unwrap();
}
