//! The command line, as whoever types it sees it.

use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::support::http::Call;
use crate::support::process::Process;
use crate::support::service::Service;
use crate::support::service::slidegate;

const ON_FREE_PORTS: [&str; 9] = [
    "serve",
    "--grpc-addr",
    "127.0.0.1:0",
    "--http-addr",
    "127.0.0.1:0",
    "--debug-addr",
    "127.0.0.1:0",
    "--metrics-addr",
    "127.0.0.1:0",
];

#[test]
fn help_names_every_flag_with_its_environment_variable() {
    let (code, text) = run(&["serve", "--help"]);
    assert_eq!(code, Some(0));
    for flag in [
        "metrics-path",
        "rules",
        "platform",
        "namespace",
        "xds-server",
        "xds-node-id",
        "xds-node-metadata",
        "xds-ca",
        "xds-cert",
        "xds-key",
        "xds-server-name",
        "xds-backoff",
        "xds-max-backoff",
        "xds-max-message",
        "store",
        "store-timeout",
        "algorithm",
        "grpc-addr",
        "http-addr",
        "debug-addr",
        "metrics-addr",
        "threads",
        "tls-cert",
        "tls-key",
        "tls-client-ca",
        "tls-client-name",
        "max-connection-age",
        "max-connection-age-grace",
        "drain-delay",
        "drain-timeout",
        "log-format",
        "log-level",
    ] {
        assert!(text.contains(&format!("--{flag} <")), "--{flag}\n{text}");
        let variable = flag.to_uppercase().replace('-', "_");
        let variable = format!("[env: SLIDEGATE_{variable}");
        assert!(text.contains(&variable), "{variable}\n{text}");
    }
    let (code, text) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for command in ["generate", "serve", "validate"] {
        assert!(text.contains(&format!("\n  {command} ")), "{text}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let expected = format!("slidegate {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), expected));
}

#[test]
fn a_wrong_value_is_named_with_what_was_expected() {
    for (arguments, expected) in [
        (
            ["serve", "--store", "localhost:6379"],
            "unknown store `localhost:6379`: expected memory, redis://host:port/db",
        ),
        (
            ["serve", "--store", "redis://me:secret@host:x"],
            "`redis://***@host:x`: expected a port from 1 to 65535 behind the host",
        ),
        (
            ["serve", "--per-second-store", "redis://me:secret"],
            "as in redis://host:port/db, for '--per-second-store <STORE>'",
        ),
        (
            ["serve", "--store", "redis://me:%secret@host"],
            "`redis://***@host`: expected the user and the password in percent encoding",
        ),
        (
            ["serve", "--store", "redis+sentinel://:secret@host"],
            "`redis+sentinel://***@host`: expected the name of the master",
        ),
        (
            ["serve", "--algorithm", "leaky_bucket"],
            "[possible values: sliding_window, fixed_window]",
        ),
        (
            ["serve", "--log-level", "loud"],
            "unknown level `loud`: expected off, error, warn, info, debug or trace",
        ),
        (
            ["serve", "--log-format", "xml"],
            "[possible values: json, text]",
        ),
        (
            ["serve", "--drain-timeout", "5"],
            "expected a whole number with one of the units us, ms, s, m or h",
        ),
        (["serve", "--threads", "0"], "'--threads <COUNT>'"),
        (["serve", "--grpc-addr", "8081"], "'--grpc-addr <ADDR>'"),
        (
            ["load", "--keys", "0"],
            "'0' for '--keys <COUNT>': expected a whole number, at least 1",
        ),
        (
            ["load", "--connections=-1", "--json"],
            "'-1' for '--connections <COUNT>': expected a whole number, at least 1",
        ),
        (
            ["load", "--requests", "many"],
            "'many' for '--requests <COUNT>': expected a whole number, at least 1",
        ),
        (
            ["load", "--zipf=-1", "--json"],
            "'-1' for '--zipf <EXPONENT>': expected a number from 0 to 10",
        ),
        (
            ["load", "--over-limit-share", "2"],
            "expected a number from 0 to 1",
        ),
        (
            ["load", "--rate", "0"],
            "expected a number from 0.001 to 10000000",
        ),
        (["load", "--pid", "me"], "expected the ID of a process"),
        (
            ["load", "--target", "localhost"],
            "expected an address such as 127.0.0.1:8081",
        ),
        (["serve", "--port", "8081"], "unexpected argument '--port'"),
    ] {
        let (code, text) = run(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(text.contains(expected), "{arguments:?}\n{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn a_wrong_environment_variable_is_an_error_too() {
    let mut command = slidegate(&["serve"]);
    command.env("SLIDEGATE_STORE", "redis://me:secret@host:x");
    let mut process = Process::start(&mut command);
    assert!(process.line_with("redis://***@host:x").is_some());
    assert_eq!(process.wait().code(), Some(2));
    assert!(!process.lines().join("\n").contains("secret"));
}

#[test]
fn help_does_not_show_a_password_from_the_environment() {
    let mut command = slidegate(&["serve", "--help"]);
    for (name, value) in [
        ("SLIDEGATE_STORE", "redis://me:secret@host"),
        ("SLIDEGATE_PER_SECOND_STORE", "redis://me:secret@host"),
        ("SLIDEGATE_REDIS_SENTINEL_AUTH", "me:secret"),
        ("SLIDEGATE_PER_SECOND_SENTINEL_AUTH", "me:secret"),
    ] {
        command.env(name, value);
    }
    let mut process = Process::start(&mut command);
    assert_eq!(process.wait().code(), Some(0));
    assert!(process.line_with("secret").is_none());
}

#[test]
fn flags_may_stand_in_the_environment() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.yaml");
    let text =
        "domain: env\ndescriptors: [{key: k, rate_limit: {unit: hour, requests_per_unit: 7}}]\n";
    fs::write(&rules, text).unwrap();
    let environment = [
        ("SLIDEGATE_RULES", rules.to_str().unwrap()),
        ("SLIDEGATE_ALGORITHM", "fixed_window"),
        ("SLIDEGATE_LOG_FORMAT", "json"),
    ];
    let service = Service::start_with(&[], &environment);
    let page = Call::get("/rlconfig").send(service.debug()).body;
    let expected = "env.k: unit=HOUR requests_per_unit=7, shadow_mode: false, quota_mode: false\n";
    assert_eq!(page, expected);
    service.wait_for_log("7 per hour, fixed_window");
    for line in service.log().lines() {
        let line: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(line.is_ok(), "{line:?}");
    }
}

#[test]
fn without_arguments_the_demo_is_served_from_memory() {
    let service = Service::start(&[]);
    service.wait_for_log("3 per minute, sliding_window");
    service.wait_for_log("counting in memory");
    let expected = format!("address={}", service.grpc());
    service.wait_for_log(&expected);
}

#[test]
fn the_log_says_which_port_was_taken_when_any_will_do() {
    let process = Process::start(&mut slidegate(&ON_FREE_PORTS));
    let line = process.line_with("serves=\"/healthcheck, /json\"").unwrap();
    let address = line.split("address=").nth(1).unwrap();
    let address = address.split(' ').next().unwrap().parse().unwrap();
    let answer = Call::get("/healthcheck").send(address);
    assert_eq!((answer.status, &*answer.body), (200, "OK"));
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_served() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for flag in [
        "--grpc-addr",
        "--http-addr",
        "--debug-addr",
        "--metrics-addr",
    ] {
        let mut arguments = ON_FREE_PORTS;
        let place = arguments.iter().position(|it| *it == flag).unwrap();
        arguments[place + 1] = &taken;
        let (code, text) = run(&arguments);
        assert_eq!(code, Some(1), "{text}");
        let expected = format!("cannot listen on {taken} ({flag}): Address already in use");
        assert!(text.contains(&expected), "{text}");
        assert!(!text.contains("listening"), "{text}");
    }
}

#[test]
fn a_path_that_is_not_there_is_named() {
    let (code, text) = run(&["serve", "--rules", "no/such/rules.yaml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no/such/rules.yaml"), "{text}");
}

#[test]
fn bad_rules_at_the_start_are_an_error_with_every_fault() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules.yaml");
    let text = "domain: d\ndescriptors:\n- key: a\n  rate_limit: {unit: moon, requests_per_unit: 1}\n- kee: b\n";
    fs::write(&rules, text).unwrap();
    let (code, text) = run(&["serve", "--rules", rules.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    for expected in ["rules.yaml:4: ", "`moon`", "rules.yaml:5: ", "`kee`"] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

/// Runs the program to its end; its exit code and everything that it wrote.
#[track_caller]
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut process = Process::start(&mut slidegate(arguments));
    let code = process.wait().code();
    // Ends with the output, whatever stands in it.
    assert_eq!(process.line_with("\0"), None);
    (code, process.lines().join("\n"))
}
