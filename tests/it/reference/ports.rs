//! Section 1: what listens where, and what it answers.
//!
//! Elsewhere: a unix socket (`socket`), connections' ages and drains (`tls`), the start that waits for
//! rules (`dropin`), message forms of `/json` (`http`), the pod's layout (`pod`).

use std::process::Command;

use crate::dropin::local;
use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Ask;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::free_address;
use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::service::slidegate;

#[test]
fn ports_are_those_of_the_reference() {
    let world = World::start(RULES, &memory()).serves();
    row::check(PORTS, |ask| ask(&world));
}

#[test]
fn without_redis_the_ports_are_open() {
    let nowhere = free_address().to_string();
    let world = World::start(RULES, &[("REDIS_URL", &nowhere)]);
    row::check(WITHOUT_REDIS, |ask| ask(&world));
}

#[test]
fn a_port_that_is_taken_ends_the_start() {
    let world = World::start(RULES, &memory());
    row::check(TAKEN, |ask| ask(&world));
}

#[test]
fn the_other_programs_are_commands_of_one() {
    row::check(PROGRAMS, |ask| ask());
}

pub(crate) fn reasons() -> Vec<&'static str> {
    let of_ports = [PORTS, WITHOUT_REDIS, TAKEN].map(row::reasons).concat();
    [of_ports, row::reasons(PROGRAMS)].concat()
}

const RULES: &str = "
domain: d
descriptors:
- key: user
  rate_limit: {unit: hour, requests_per_unit: 1}
- key: free
  rate_limit: {unlimited: true}
- key: a
  value: b
  descriptors:
  - {key: c, shadow_mode: true, rate_limit: {unit: week, requests_per_unit: 7}}
";

const PORTS: &[Row<Ask<World>>] = &[
    // 1.1
    same(
        "version 2 of the service is gone",
        |it| {
            it.call(
                "/envoy.service.ratelimit.v2.RateLimitService/ShouldRateLimit",
                b"",
            )
        },
        "Unimplemented",
    ),
    same(
        "health knows `ratelimit`",
        |it| it.health("ratelimit"),
        "SERVING",
    ),
    same("health knows the empty name", |it| it.health(""), "SERVING"),
    same(
        "health knows no other name",
        |it| it.health("other"),
        "NotFound",
    ),
    differs(
        "nor that of the service",
        |it| it.health("envoy.service.ratelimit.v3.RateLimitService"),
        "SERVING",
        "drop-in 2: who asks by the name of what it calls is right too",
    ),
    differs(
        "there is no reflection",
        // The call is known, and has many answers where one is waited for.
        |it| {
            it.call(
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                b"\x3a\x00",
            )
        },
        "Internal",
        "drop-in 8: tools can look at the port",
    ),
    same(
        "an empty domain is an error, looked for first",
        |it| it.ask(""),
        "UNKNOWN: rate limit domain must not be empty",
    ),
    same(
        "so is a request without descriptors",
        |it| it.ask("d"),
        "UNKNOWN: rate limit descriptor list must not be empty",
    ),
    same(
        "messages are not validated: empty keys and values are taken",
        |it| it.ask("d | ="),
        "OK: OK",
    ),
    differs(
        "a message above 4 MiB is RESOURCE_EXHAUSTED",
        |it| {
            let value = "x".repeat(4 * 1_024 * 1_024);
            let answer = it.answer(&format!("d | user={value}"));
            format!("{:?}", answer.unwrap_err().code())
        },
        "OutOfRange",
        "differences 8: the gRPC library's own code",
    ),
    // 1.2
    same(
        "/healthcheck is 200 OK",
        |it| it.http(&Call::get("/healthcheck")),
        "200 OK",
    ),
    same(
        "by any method",
        |it| it.http(&Call::post("/healthcheck", "x").method("PUT")),
        "200 OK",
    ),
    same(
        "paths are exact",
        |it| it.http(&Call::get("/healthcheck/")),
        "404 ",
    ),
    same(
        "and there are no others",
        |it| it.http(&Call::get("/x")),
        "404 ",
    ),
    same(
        "/json answers in protobuf's JSON form, without what is zero",
        |it| it.http(&Call::post("/json", of("free", ""))),
        r#"200 {"overallCode":"OK","statuses":[{"code":"OK","limitRemaining":4294967295}]}"#,
    ),
    same(
        "by any method",
        |it| it.http(&Call::post("/json", of("other", "")).method("PUT")),
        r#"200 {"overallCode":"OK","statuses":[{"code":"OK"}]}"#,
    ),
    same(
        "429 when it refuses, with the time as text",
        |it| {
            let twice = of("user", r#", "hits_addend": 2"#);
            let answer = it.service.json(&twice);
            let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            let reset = body["statuses"][0]["durationUntilReset"].as_str().unwrap();
            let seconds: u64 = reset.strip_suffix('s').unwrap().parse().unwrap();
            let kind = answer.header("content-type").unwrap();
            format!(
                "{} {kind} {}",
                answer.status,
                (1..=3_600).contains(&seconds)
            )
        },
        "429 application/json true",
    ),
    differs(
        "an unknown field is a bad request",
        |it| it.http(&Call::post("/json", of("user", r#", "x": 1"#))),
        "400 Bad Request\nunknown field `x`, expected one of `domain`, `descriptors`, `hitsAddend`, `hits_addend` at line 1 column 85\n",
        "differences 10: the reason stands on a second line",
    ),
    differs(
        "so is what is no request at all",
        |it| it.http(&Call::post("/json", "[]")),
        "400 Bad Request\ninvalid type: sequence, expected an object at line 1 column 0\n",
        "differences 10: the reason stands on a second line",
    ),
    differs(
        "so is one that cannot be decided",
        |it| it.http(&Call::post("/json", r#"{"domain": "d"}"#)),
        "400 Bad Request\nrate limit descriptor list must not be empty\n",
        "differences 10: the reason stands on a second line",
    ),
    differs(
        "a body may have any length",
        |it| {
            let body = " ".repeat(4 * 1_024 * 1_024 + 1);
            it.http(&Call::post("/json", body))[..4].to_owned()
        },
        "413 ",
        "differences 10: as much as gRPC takes, so that nobody fills the memory",
    ),
    // 1.3
    differs(
        "the debug port lists /debug/pprof/, /rlconfig and /stats at /",
        |it| it.debug("/"),
        "200 /rlconfig: print out the currently loaded configuration for debugging\n",
        "drop-in 9: what is not there is not listed",
    ),
    differs(
        "unknown paths show that list",
        |it| it.debug("/x"),
        "404 ",
        DEBUG,
    ),
    differs(
        "profiles are served",
        |it| it.debug("/debug/pprof/"),
        "404 ",
        DEBUG,
    ),
    differs(
        "/stats shows expvar's variables",
        |it| it.debug("/stats"),
        "404 ",
        DEBUG,
    ),
    same(
        "/rlconfig has a line for each limit, in any order; without one it says UNKNOWN and 0",
        |it| it.debug("/rlconfig"),
        "200 \
         d.a_b.c: unit=WEEK requests_per_unit=7, shadow_mode: true, quota_mode: false\n\
         d.free: unit=UNKNOWN requests_per_unit=0, shadow_mode: false, quota_mode: false\n\
         d.user: unit=HOUR requests_per_unit=1, shadow_mode: false, quota_mode: false\n",
    ),
    differs(
        "the debug port listens at every address",
        |it| it.service.debug().ip().to_string(),
        "127.0.0.1",
        "drop-in 9: who is not inside has no business there",
    ),
    // 1.4
    differs(
        "the port of Prometheus has profiles and variables as well",
        |it| {
            let pages = ["/debug/pprof/", "/debug/vars"].map(Call::get);
            let statuses = pages.map(|it_too| it_too.send(it.service.metrics()).status);
            format!("{statuses:?}")
        },
        "[404, 404]",
        DEBUG,
    ),
];

const WITHOUT_REDIS: &[Row<Ask<World>>] = &[
    // 1.5
    differs(
        "until Redis has answered, connections are refused",
        |it| it.http(&Call::get("/healthcheck")),
        "200 OK",
        "drop-in 2: a probe must not restart what waits for Redis",
    ),
    same(
        "`ratelimit` does not serve before that",
        |it| it.health("ratelimit"),
        "NOT_SERVING",
    ),
    differs(
        "the empty name always serves",
        |it| it.health(""),
        "NOT_SERVING",
        "drop-in 2: health that never fails says nothing",
    ),
];

const TAKEN: &[Row<Ask<World>>] = &[
    differs(
        "ports are shared: a second process at the same gRPC address starts",
        |it| start_at("GRPC_PORT", it.service.grpc().port()),
        "Some(1)",
        "drop-in 8: two services of which each is asked at times are a mistake",
    ),
    differs(
        "so does one at the same HTTP address",
        |it| start_at("PORT", it.service.http().port()),
        "Some(1)",
        "drop-in 8: two services of which each is asked at times are a mistake",
    ),
    differs(
        "and one at the same debug address, where anything else is only logged",
        |it| start_at("DEBUG_PORT", it.service.debug().port()),
        "Some(1)",
        "drop-in 9: a port that is asked for and not there is a mistake",
    ),
];

const PROGRAMS: &[Row<fn() -> String>] = &[
    // 1.6
    differs(
        "ratelimit_config_check reads a directory of rules, and ends with 0 when they are good",
        || status(&["validate", "config/demo"]),
        "Some(0)",
        "drop-in 10: the same program does it",
    ),
    differs(
        "with 1 when they are not",
        || status(&["validate", "tests/golden/absent"]),
        "Some(1)",
        "drop-in 10: the same program does it",
    ),
    differs(
        "ratelimit_client sends requests from the command line",
        || status(&["load", "--help"]),
        "Some(0)",
        "drop-in 10: the same program does it",
    ),
];

const DEBUG: &str = "drop-in 9: profiles and variables are served nowhere";

/// A request as `/json` takes it.
fn of(key: &str, more: &str) -> String {
    let entry = format!(r#"{{"key": "{key}", "value": "json"}}"#);
    format!(r#"{{"domain": "d", "descriptors": [{{"entries": [{entry}]}}]{more}}}"#)
}

/// How a start ends whose port is another's.
fn start_at(variable: &str, port: u16) -> String {
    let mut command = slidegate(&["serve", "--drop-in"]);
    command
        .envs(local())
        .envs(memory())
        .env(variable, port.to_string());
    code(command)
}

fn status(arguments: &[&str]) -> String {
    code(slidegate(arguments))
}

fn code(mut command: Command) -> String {
    format!("{:?}", Process::start(&mut command).wait().code())
}
