//! What environments mean.

mod sinks;

use clap::FromArgMatches;

use super::*;
use crate::settings::Command;
use crate::settings::Settings;
use crate::settings::redis::Redis;
use crate::settings::store::StoreAddress;
use crate::store::redis::address::Login;

#[test]
fn the_environment_of_envoy_gateway_is_understood_without_a_word() {
    let serve = applied(&envoy_gateway()).unwrap();
    assert_eq!(serve.grpc_addr, "0.0.0.0:8081".parse().unwrap());
    assert_eq!(serve.http_addr, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(serve.debug_addr, "127.0.0.1:6070".parse().unwrap());
    assert_eq!(serve.metrics_addr, "[::]:19001".parse().unwrap());
    assert!(serve.has_metrics && !serve.wait_for_rules);
    assert_eq!(serve.tls.tls_cert, Some("/certs/tls.crt".into()));
    assert_eq!(serve.tls.tls_key, Some("/certs/tls.key".into()));
    assert_eq!(serve.tls.tls_client_ca, None, "nobody reads that variable");
    let xds = &serve.xds;
    assert_eq!(xds.xds_server.as_deref(), Some("envoy-gateway:18001"));
    assert_eq!(xds.xds_node_id, "envoy-ratelimit");
    assert_eq!(xds.xds_ca, Some("/certs/ca.crt".into()));
    assert!(xds.is_secured());
    assert_eq!(
        serve.store,
        StoreAddress::read("redis://redis.ns.svc:6379").unwrap()
    );
    let about: Vec<&str> = serve
        .notes
        .iter()
        .map(|it| it.split(' ').next().unwrap())
        .collect();
    assert_eq!(about, ["GRPC_SERVER_TLS_CA_CERT", "PROMETHEUS_MAPPER_YAML"]);
}

#[test]
fn nothing_set_is_what_envoyproxy_ratelimit_does_without_an_environment() {
    let serve = applied(&[]).unwrap();
    let socket = StoreAddress::read("unix:///var/run/nutcracker/ratelimit.sock");
    assert_eq!(serve.store, socket.unwrap());
    assert_eq!(serve.redis, Redis::default());
    let serve = applied(&REDIS).unwrap();
    assert!(!serve.has_metrics);
    assert_eq!(serve.runtime, Some(runtime(None, Some("config."), false)));
    assert_eq!(serve.max_connection_age, Duration::from_secs(86_400));
    assert_eq!(serve.xds.xds_server, None);
    assert_eq!(serve.log_level, log::read("warn").unwrap());
}

#[test]
fn an_empty_variable_is_an_unset_one() {
    let empty: Vec<(&str, &str)> = VARIABLES.iter().map(|it| (it.name, "")).collect();
    let (empty, unset) = (applied(&empty).unwrap(), applied(&[]).unwrap());
    assert_eq!(format!("{empty:?}"), format!("{unset:?}"), "as without any");
}

#[test]
fn files_lie_where_they_lay() {
    for (more, expected) in [
        (
            &[("RUNTIME_SUBDIRECTORY", "ratelimit")][..],
            runtime(
                Some("/srv/runtime_data/current/ratelimit"),
                Some("config."),
                false,
            ),
        ),
        (
            &[
                ("RUNTIME_ROOT", "/data"),
                ("RUNTIME_SUBDIRECTORY", "ratelimit"),
                ("RUNTIME_WATCH_ROOT", "false"),
                ("RUNTIME_IGNOREDOTFILES", "true"),
            ],
            runtime(Some("/data/ratelimit/config"), None, true),
        ),
        (
            &[
                ("RUNTIME_WATCH_ROOT", "false"),
                ("RUNTIME_APPDIRECTORY", "a"),
            ],
            runtime(Some("/srv/runtime_data/current/a"), None, false),
        ),
    ] {
        let serve = applied(&[&REDIS, more].concat()).unwrap();
        assert_eq!(serve.runtime, Some(expected));
    }
}

#[test]
fn a_redis_server_has_a_login_in_either_place() {
    for (url, auth, expected) in [
        ("redis:6379", "", "redis://redis:6379"),
        ("redis:6379", "p@ss", "redis://:p%40ss@redis:6379"),
        ("redis:6379", "me:pa:ss", "redis://me:pa%3Ass@redis:6379"),
        ("redis://redis:6379/3", "x", "redis://:x@redis:6379/3"),
        (
            "redis://me:y@redis:6379/3",
            "x",
            "redis://me:y@redis:6379/3",
        ),
    ] {
        let more = [("REDIS_URL", url), ("REDIS_AUTH", auth)];
        let serve = applied(&[&REDIS[..1], &more].concat()).unwrap();
        assert_eq!(serve.store, StoreAddress::read(expected).unwrap(), "{url}");
    }
}

#[test]
fn redis_may_be_of_any_kind_and_limits_per_second_may_have_another() {
    for (kind, socket, url, tls, expected) in [
        ("SINGLE", "unix", "/r.sock", "false", "unix://:p%2F@/r.sock"),
        ("", "TCP", "a:1", "1", "rediss://:p%2F@a:1"),
        ("SINGLE", "tcp", "rediss://a:1", "", "rediss://:p%2F@a:1"),
        (
            "sentinel",
            "tcp",
            "main,a:1,b:2",
            "true",
            "rediss+sentinel://:p%2F@a:1,b:2/main",
        ),
        (
            "Cluster",
            "tcp",
            "redis://me:q@a:1,redis://b:2",
            "f",
            "redis+cluster://me:q@a:1,b:2",
        ),
    ] {
        let one = |prefix: &str| {
            let names = ["TYPE", "SOCKET_TYPE", "URL", "TLS", "AUTH"];
            let values = [kind, socket, url, tls, "p/"];
            let all = names.map(|name| format!("REDIS_{prefix}{name}"));
            all.into_iter().zip(values).collect::<Vec<_>>()
        };
        let values = [one(""), one("PERSECOND_")].concat();
        let mut values: Vec<_> = values
            .iter()
            .map(|(name, it)| (name.as_str(), *it))
            .collect();
        let expected = StoreAddress::read(expected).unwrap();
        let serve = applied(&values).unwrap();
        assert_eq!(
            (&serve.store, serve.redis.per_second_store),
            (&expected, None)
        );
        values.push(("REDIS_PERSECOND", "true"));
        let serve = applied(&values).unwrap();
        assert_eq!(serve.redis.per_second_store, Some(expected));
    }
}

#[test]
fn each_redis_has_the_login_of_its_own_sentinels() {
    let mut values = vec![("REDIS_SENTINEL_AUTH", "a"), ("REDIS_PERSECOND", "true")];
    let redis = applied(&values).unwrap().redis;
    assert_eq!(redis.sentinel_login(), Login::read("a"));
    assert_eq!(redis.per_second_sentinel_login(), Login::default());
    values.push(("REDIS_PERSECOND_SENTINEL_AUTH", "me:b"));
    let redis = applied(&values).unwrap().redis;
    assert_eq!(redis.per_second_sentinel_login(), Login::read("me:b"));
}

#[test]
fn a_redis_that_cannot_be_is_named() {
    for (values, expected) in [
        (
            &[("REDIS_TYPE", "ring")][..],
            "REDIS_TYPE=ring: expected SINGLE, SENTINEL or CLUSTER",
        ),
        (
            &[("REDIS_TYPE", "sentinel"), ("REDIS_URL", "main")],
            "REDIS_URL=…: expected master,host:port,host:port",
        ),
        (
            &[("REDIS_URL", "redis:6379")],
            "REDIS_URL=…: expected the path of a unix socket, as the type of socket is unix",
        ),
        (
            &[("REDIS_SOCKET_TYPE", "udp")],
            "REDIS_SOCKET_TYPE=udp: expected tcp or unix",
        ),
        (
            &[("REDIS_TLS", "true")],
            "REDIS_TLS=true: TLS is not spoken over a unix socket",
        ),
        (
            &[("REDIS_TLS_CLIENT_KEY", "/k")],
            "REDIS_TLS_CLIENT_CERT=: certificate and key go together",
        ),
        (
            &[("REDIS_PERSECOND", "true"), ("REDIS_PERSECOND_TYPE", "x")],
            "REDIS_PERSECOND_TYPE=x: expected SINGLE, SENTINEL or CLUSTER",
        ),
    ] {
        let faults = applied(values).unwrap_err().to_string();
        assert_eq!(faults, expected);
    }
}

#[test]
fn whatever_is_wrong_is_named_all_of_it() {
    let faults = applied(&[
        ("GRPC_PORT", "https"),
        ("USE_PROMETHEUS", "yes"),
        ("XDS_CLIENT_BACKOFF_MAX_INTERVAL", "60"),
        ("USE_CALENDAR_MONTH_RATE_LIMIT", "t"),
        ("REDIS_POOL_SIZE", "many"),
    ]);
    assert_eq!(
        faults.unwrap_err().to_string(),
        "GRPC_PORT=https: expected a whole number
XDS_CLIENT_BACKOFF_MAX_INTERVAL=60: expected a length of time such as 90s, 1h30m or 1.5s
REDIS_POOL_SIZE=many: expected a whole number
USE_CALENDAR_MONTH_RATE_LIMIT=t: a month has 30 days
USE_PROMETHEUS=yes: expected true or false"
    );
    let meant = applied(&[
        ("HOST", "a.example.com"),
        ("PORT", "99999"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("CONFIG_TYPE", "HTTP"),
        ("PROMETHEUS_PATH", "metrics"),
        ("GRPC_SERVER_USE_TLS", "1"),
        ("BACKEND_TYPE", "memcache"),
    ]);
    assert_eq!(
        meant.unwrap_err().to_string(),
        "HOST=a.example.com: expected an IP address such as 0.0.0.0 or ::
PORT=99999: expected a port from 0 to 65535
PROMETHEUS_PATH=metrics: expected a path such as /metrics
GRPC_SERVER_TLS_CERT=: GRPC_SERVER_USE_TLS needs it
GRPC_SERVER_TLS_KEY=: GRPC_SERVER_USE_TLS needs it
LOG_LEVEL=loud: expected panic, fatal, error, warn, info, debug or trace
LOG_FORMAT=xml: expected text or json
CONFIG_TYPE=HTTP: expected FILE or GRPC_XDS_SOTW
BACKEND_TYPE=memcache: memcached cannot count sliding windows: use redis"
    );
}

#[test]
fn a_secret_is_not_repeated_in_a_fault() {
    let faults = applied(&[
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "redis://me:secret@host:x"),
        ("REDIS_SENTINEL_AUTH", "secret"),
        ("REDIS_AUTH", "secret"),
    ]);
    let faults = faults.unwrap_err().to_string();
    assert!(!faults.contains("secret"), "{faults}");
}

#[test]
fn what_is_refused_may_say_its_default() {
    let refused = VARIABLES.iter().filter(|it| it.state == State::Refused);
    let harmless: Vec<_> = refused.map(|it| (it.name, it.default)).collect();
    applied(&[&REDIS[..], &harmless, &[("REDIS_TLS", "F")]].concat()).unwrap();
}

#[test]
fn what_a_flag_says_goes_before_the_environment() {
    let arguments = [
        "--store=memory",
        "--grpc-addr=127.0.0.1:1",
        "--metrics-addr=127.0.0.1:2",
        "--rules=x.yaml",
    ];
    let serve = applied_to(&arguments, &envoy_gateway()).unwrap();
    assert_eq!(serve.store, StoreAddress::Memory);
    assert_eq!(serve.grpc_addr, "127.0.0.1:1".parse().unwrap());
    assert_eq!(serve.metrics_addr, "127.0.0.1:2".parse().unwrap());
    assert_eq!((serve.xds.xds_server, serve.runtime), (None, None));
}

#[test]
fn a_platform_stands_beside_what_is_pushed_and_in_place_of_files() {
    let platform = ["--platform=x.yaml"];
    let serve = applied_to(&platform, &envoy_gateway()).unwrap();
    assert_eq!(serve.xds.xds_server.as_deref(), Some("envoy-gateway:18001"));
    assert_eq!(serve.platform, [PathBuf::from("x.yaml")]);
    let serve = applied_to(&platform, &REDIS).unwrap();
    assert_eq!((serve.xds.xds_server, serve.runtime), (None, None));
}

#[test]
fn a_variable_is_read_just_when_the_table_says_that_it_is_honoured() {
    let mut asked = BTreeSet::new();
    for config in ["FILE", "GRPC_XDS_SOTW"] {
        let values = [
            ("CONFIG_TYPE", config),
            ("GRPC_SERVER_USE_TLS", "true"),
            ("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true"),
            ("REDIS_PERSECOND", "true"),
            ("TRACING_ENABLED", "true"),
            ("USE_DOG_STATSD", "true"),
        ];
        let values = [&REDIS[..], &values].concat();
        let mut environment = Environment::read(&|name| value(&values, name));
        let mut serve = serve(&[]);
        environment.ports(&mut serve, &|_| false);
        environment.tls(&mut serve, &|_| false);
        environment.log(&mut serve, &|_| false);
        environment.rules(&mut serve, &|_| false);
        environment.store(&mut serve, &|_| false);
        environment.modes(&mut serve, &|_| false);
        environment.answer(&mut serve, &|_| false);
        environment.stats(&mut serve, &|_| false);
        environment.tracing(&mut serve, &|_| false);
        asked.append(&mut environment.asked.borrow_mut());
    }
    let honoured = VARIABLES.iter().filter(|it| it.state == State::Honoured);
    assert_eq!(asked, honoured.map(|it| it.name).collect());
}

/// As Envoy Gateway 1.9 sets it.
fn envoy_gateway() -> Vec<(&'static str, &'static str)> {
    vec![
        ("RUNTIME_ROOT", "/data"),
        ("RUNTIME_SUBDIRECTORY", "ratelimit"),
        ("RUNTIME_IGNOREDOTFILES", "true"),
        ("RUNTIME_WATCH_ROOT", "false"),
        ("LOG_LEVEL", "info"),
        ("USE_STATSD", "false"),
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", "envoy-gateway:18001"),
        ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
        ("GRPC_SERVER_USE_TLS", "true"),
        ("GRPC_SERVER_TLS_CERT", "/certs/tls.crt"),
        ("GRPC_SERVER_TLS_KEY", "/certs/tls.key"),
        ("GRPC_SERVER_TLS_CA_CERT", "/certs/ca.crt"),
        ("CONFIG_GRPC_XDS_SERVER_USE_TLS", "true"),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_CERT", "/certs/tls.crt"),
        ("CONFIG_GRPC_XDS_CLIENT_TLS_KEY", "/certs/tls.key"),
        ("CONFIG_GRPC_XDS_SERVER_TLS_CACERT", "/certs/ca.crt"),
        ("FORCE_START_WITHOUT_INITIAL_CONFIG", "true"),
        ("REDIS_SOCKET_TYPE", "tcp"),
        ("REDIS_URL", "redis.ns.svc:6379"),
        ("USE_PROMETHEUS", "true"),
        ("PROMETHEUS_ADDR", ":19001"),
        ("PROMETHEUS_MAPPER_YAML", "/etc/statsd-exporter/conf.yaml"),
    ]
}

const REDIS: [(&str, &str); 2] = [("REDIS_SOCKET_TYPE", "tcp"), ("REDIS_URL", "redis:6379")];

fn runtime(directory: Option<&str>, prefix: Option<&str>, skips_dot_files: bool) -> Runtime {
    Runtime {
        directory: directory.map(PathBuf::from),
        prefix: prefix.map(str::to_owned),
        skips_dot_files,
    }
}

fn applied(values: &[(&str, &str)]) -> Result<Serve, Unusable> {
    applied_to(&[], values)
}

fn applied_to(arguments: &[&str], values: &[(&str, &str)]) -> Result<Serve, Unusable> {
    let mut serve = serve(arguments);
    let is_given = |name: &str| {
        let flag = format!("--{}=", name.replace('_', "-"));
        arguments.iter().any(|argument| argument.starts_with(&flag))
    };
    apply(&mut serve, &is_given, &|name| value(values, name))?;
    Ok(serve)
}

fn serve(arguments: &[&str]) -> Serve {
    let arguments = [&["slidegate", "serve"], arguments].concat();
    let matches = <Settings as clap::CommandFactory>::command().get_matches_from(arguments);
    match Settings::from_arg_matches(&matches).unwrap().command {
        Command::Serve(serve) => *serve,
        other => panic!("{other:?}"),
    }
}

fn value(values: &[(&str, &str)], name: &str) -> Option<String> {
    let set = values.iter().rev().find(|(it, _)| *it == name);
    set.map(|(_, value)| (*value).to_owned())
}
