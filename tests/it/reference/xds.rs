//! Section 6: rules that an xDS server pushes.
//!
//! Elsewhere: what Envoy Gateway pushed (`xds::recorded`), backoff, TLS, large messages (`xds`).

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::google::protobuf::Any;
use tempfile::TempDir;

use crate::dropin::local;
use crate::dropin::memory;
use crate::reference::row;
use crate::reference::row::Row;
use crate::reference::row::differs;
use crate::reference::row::same;
use crate::reference::world::World;
use crate::support::ads::Ads;
use crate::support::process::Process;
use crate::support::service::Service;
use crate::support::service::slidegate;
use crate::xds::config;

#[test]
fn a_conversation_goes_as_with_the_reference() {
    let mut ads = Ads::start();
    let world = start(&ads);
    row::check(CONVERSATION, |ask| {
        ask(&Pair {
            world: &world,
            ads: &ads,
        })
    });
    let address = ads.address();
    ads.stop();
    world
        .service
        .wait_for_log("no xDS server, what is in force stays");
    let ads = Ads::start_at(address, None);
    row::check(RECONNECTED, |ask| {
        ask(&Pair {
            world: &world,
            ads: &ads,
        })
    });
}

pub(crate) fn reasons() -> Vec<&'static str> {
    [row::reasons(CONVERSATION), row::reasons(RECONNECTED)].concat()
}

/// The service and the server that it listens to. The rows are a conversation: one goes on where the
/// row before it ended.
struct Pair<'p> {
    world: &'p World,
    ads: &'p Ads,
}

impl Pair<'_> {
    fn push(&self, resources: Vec<Any>) {
        self.ads.push(resources);
    }

    /// The first answer to a version, or of which more is known.
    #[track_caller]
    fn answer(&self, is_it: impl Fn(&DiscoveryRequest) -> bool) -> String {
        let request = self.ads.request(is_it);
        let (version, nonce) = (request.version_info, request.response_nonce);
        let error = request.error_detail;
        let error = error.map(|it| format!(", {}: {}", it.code, it.message));
        format!("{version}, {nonce}{}", error.unwrap_or_default())
    }

    fn rules(&self) -> String {
        let page = self.world.debug("/rlconfig");
        let lines = page.lines().map(|it| it.split(", shadow").next().unwrap());
        lines.collect::<Vec<_>>().join(" / ")
    }
}

type Asked = fn(&Pair<'_>) -> String;

const CONVERSATION: &[Row<Asked>] = &[
    same(
        "the client asks for all resources of one type, knowing nothing",
        |it| {
            let first = it.ads.request(|_| true);
            let known = first.version_info + &first.response_nonce;
            format!("{} {:?}{known}", first.type_url, first.resource_names)
        },
        "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig []",
    ),
    same(
        "as the node that the variables name",
        |it| {
            let node = it.ads.request(|_| true).node.unwrap();
            let metadata = node.metadata.unwrap().fields;
            format!("{} {} {}", node.id, node.cluster, metadata.len())
        },
        "envoy-ratelimit  2",
    ),
    same(
        "before the first push a request is an error",
        |it| it.world.ask("shop | user=a"),
        "UNKNOWN: no rate limit configuration loaded",
    ),
    same(
        "and there are no rules to show",
        |it| it.world.debug("/rlconfig"),
        "200 ",
    ),
    same(
        "a push is accepted with its version and nonce",
        |it| {
            it.push(vec![config("shop", &[("user", 2)])]);
            it.answer(|it| !it.response_nonce.is_empty())
        },
        "1, 1",
    ),
    same(
        "once it is in force",
        |it| it.world.ask("shop | user=a"),
        "OK: OK 1 of 2 DAY",
    ),
    same(
        "of several resources each is a domain",
        |it| {
            it.push(vec![
                config("b", &[("k", 1)]),
                config("shop", &[("user", 3)]),
            ]);
            it.ads.accepted("2");
            it.rules()
        },
        "200 b.k: unit=DAY requests_per_unit=1 / shop.user: unit=DAY requests_per_unit=3",
    ),
    same(
        "counters go on",
        |it| it.world.ask("shop | user=a"),
        "OK: OK 1 of 3 DAY",
    ),
    differs(
        "a domain that comes twice is an error unless MERGE_DOMAIN_CONFIG is set",
        |it| {
            it.push(vec![
                config("shop", &[("user", 3)]),
                config("shop", &[("team", 4)]),
            ]);
            it.ads.accepted("3");
            it.rules()
        },
        "200 shop.team: unit=DAY requests_per_unit=4 / shop.user: unit=DAY requests_per_unit=3",
        "drop-in 5: what does not contradict itself is not refused",
    ),
    differs(
        "a refusal says the version before, the last nonce and why, with code 0",
        |it| {
            let shop = config("shop", &[("user", 7), ("team", 1), ("team", 2)]);
            it.push(vec![shop, config("new", &[("k", 1)])]);
            it.answer(|it| it.error_detail.is_some())
        },
        "3, 4, 3: `shop.team`: it stands there several times, with different limits",
        "drop-in 5: the code says what it is",
    ),
    differs(
        "it throws the whole push away",
        |it| it.rules(),
        "200 new.k: unit=DAY requests_per_unit=1 / shop.team: unit=DAY requests_per_unit=4 / \
         shop.user: unit=DAY requests_per_unit=7",
        "drop-in 5: one bad rule leaves what was in force at its place",
    ),
    same(
        "and is counted",
        |it| it.world.metric("ratelimit_service_config_load_error"),
        "1",
    ),
    same(
        "what cannot be decoded is refused",
        |it| {
            let garbage = Any {
                value: vec![7; 100],
                ..config("b", &[])
            };
            it.push(vec![garbage]);
            let is_it = |request: &DiscoveryRequest| {
                let error = request.error_detail.as_ref();
                error.is_some_and(|it| it.message.contains("cannot be decoded"))
            };
            let request = it.ads.request(is_it);
            request.version_info
        },
        "3",
    ),
    same(
        "and changes nothing",
        |it| it.rules(),
        "200 new.k: unit=DAY requests_per_unit=1 / shop.team: unit=DAY requests_per_unit=4 / \
         shop.user: unit=DAY requests_per_unit=7",
    ),
    differs(
        "nor is it counted",
        |it| it.world.metric("ratelimit_service_config_load_error"),
        "2",
        "drop-in 5: every refusal is",
    ),
    same(
        "no resources are no limits",
        |it| {
            it.push(Vec::new());
            it.ads.accepted("6");
            it.world.ask("shop | user=a")
        },
        "OK: OK",
    ),
    differs(
        "what was put in force whole is counted",
        |it| {
            it.push(vec![config("shop", &[("user", 5)])]);
            it.ads.accepted("7");
            it.world.metric("ratelimit_service_config_load_success")
        },
        "6",
        "drop-in 5: so is what was in part, beside the refusal of the rest",
    ),
];

const RECONNECTED: &[Row<Asked>] = &[
    same(
        "while there is no server, the last good rules hold",
        |it| it.world.ask("shop | user=a"),
        "OK: OK 2 of 5 DAY",
    ),
    differs(
        "the first request to a server that comes back has the old version and nonce",
        |it| it.answer(|_| true),
        ", ",
        "drop-in 5: they mean nothing to another process",
    ),
    same(
        "whose versions begin anew",
        |it| {
            it.push(vec![config("shop", &[("user", 6)])]);
            it.ads.accepted("1");
            it.rules()
        },
        "200 shop.user: unit=DAY requests_per_unit=6",
    ),
];

#[track_caller]
fn start(ads: &Ads) -> World {
    let server = ads.address().to_string();
    let mut command = slidegate(&["serve", "--drop-in"]);
    command.envs(local()).envs(memory()).envs([
        ("CONFIG_TYPE", "GRPC_XDS_SOTW"),
        ("CONFIG_GRPC_XDS_SERVER_URL", &server),
        ("CONFIG_GRPC_XDS_NODE_ID", "envoy-ratelimit"),
        ("CONFIG_GRPC_XDS_NODE_METADATA", "zone=a,rack=7"),
        ("FORCE_START_WITHOUT_INITIAL_CONFIG", "true"),
        ("XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "50ms"),
    ]);
    let service = Service::of(Process::start(&mut command));
    World::of(service, TempDir::new().unwrap())
}
