//! What is fuzzed: each function takes any bytes and panics where a promise is broken. The fuzz
//! targets call them without end, the tests for a while.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use prost::Message;
use slidegate::document::Fault;
use slidegate::limiter::Limiter;
use slidegate::limiter::Options;
use slidegate::limiter::clock::SystemClock;
use slidegate::metrics::Metrics;
use slidegate::rule::Domain;
use slidegate::rule::document;
use slidegate::rule::tree::RuleSet;
use slidegate::server::answer::Additions;
use slidegate::server::rls::Rls;
use slidegate::settings::Command;
use slidegate::settings::Settings;
use slidegate::settings::drop_in;
use slidegate::source::documents::Documents;
use slidegate::source::documents::Form;
use slidegate::source::file::File;
use slidegate::source::xds::judge::Judge;
use slidegate::source::xds::session::Session;
use slidegate::store::memory::MemoryStore;

/// Rules in YAML: what can be read is written so that it reads the same, and a request finds its way.
pub(crate) fn rules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut faults: Vec<Fault> = Vec::new();
    let domains = document::read(&Arc::from("f"), &text, &mut faults);
    if !faults.is_empty() {
        return;
    }
    let written = document::write(&domains);
    let again = document::read(&Arc::from("w"), &written, &mut faults);
    assert!(faults.is_empty(), "{written}\n{faults:?}");
    assert_eq!(again, domains, "{written}");
    find(domains);
}

/// Has a request find its way to every rule.
fn find(domains: Vec<Domain>) {
    let rules = RuleSet::new(domains);
    for rule in rules.rules() {
        let tree = rules.domain(&rule.domain).expect("the rule is of a domain");
        tree.find(rule.path.iter().map(|it| (it.key.as_str(), "v")));
    }
}

/// Platform documents, down to the rules that they come to.
pub(crate) fn platform(input: &[u8]) {
    documents(input, Form::Platform);
}

/// Kubernetes manifests, down to the rules that they come to.
pub(crate) fn manifests(input: &[u8]) {
    documents(input, Form::Manifest);
}

fn documents(input: &[u8], form: Form) {
    let mut documents = Documents::new(Vec::new());
    let file = File {
        name: Arc::from("f"),
        text: String::from_utf8_lossy(input).into_owned(),
    };
    documents.add(&file, |_| form);
    if let Ok(loaded) = documents.load("default") {
        let mut faults = Vec::new();
        let written = document::write(&loaded.domains);
        document::read(&Arc::from("w"), &written, &mut faults);
        assert!(faults.is_empty(), "{written}\n{faults:?}");
    }
}

/// The bytes of a gRPC request, down to its verdict: a status for each descriptor, or an error.
pub(crate) fn request(input: &[u8]) {
    let Ok(message) = <RateLimitRequest as Message>::decode(input) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.expect("a runtime needs nothing");
    let decided = runtime.block_on(service().decide(&message, Duration::from_secs(1)));
    if let Ok(response) = decided {
        assert_eq!(response.statuses.len(), message.descriptors.len());
    }
}

fn service() -> Rls {
    let metrics = Arc::new(Metrics::new());
    let (store_metrics, service_metrics) = (metrics.store("memory"), metrics.service());
    let limiter = Limiter::new(
        Arc::new(MemoryStore::default()),
        Arc::new(SystemClock::start()),
        Options::default(),
        metrics,
        store_metrics,
    );
    let mut faults = Vec::new();
    let domains = document::read(&Arc::from("demo"), RULES, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    limiter.replace_rules(RuleSet::new(domains));
    Rls::new(
        Arc::new(limiter),
        service_metrics,
        None,
        Additions::default(),
    )
}

/// The bytes of what an xDS server pushes, after half of it: what can be used applies, what cannot is
/// named, and the same again is nothing new.
pub(crate) fn push(input: &[u8]) {
    let Ok(response) = DiscoveryResponse::decode(input) else {
        return;
    };
    let (mut judge, mut session) = (Judge::default(), Session::new(Node::default()));
    session.open();
    judge.judge(&response.resources[..response.resources.len() / 2]);
    let judgement = judge.judge(&response.resources);
    let again = judge.judge(&response.resources);
    assert!(again.is_repeated && again.domains.is_none());
    assert_eq!(again.refusal, judgement.refusal);
    let is_named = judgement.refusal.is_some();
    let reply = session.answer(&response, judgement.fingerprint, judgement.refusal);
    assert_eq!(reply.request.error_detail.is_some(), is_named);
    match judgement.domains {
        Some(domains) => find(domains),
        None => assert!(is_named || judgement.is_repeated),
    }
}

/// The words of a command line, parted by line feeds (variables of our own are read the same way);
/// lines such as `A=b` are variables of envoyproxy/ratelimit. What is refused is named without passwords.
pub(crate) fn environment(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let is_variable =
        |line: &&str| line.starts_with(|c: char| c.is_ascii_uppercase()) && line.contains('=');
    let (variables, words): (Vec<_>, Vec<_>) = text.lines().partition(is_variable);
    let words = ["slidegate", "serve"].into_iter().chain(words);
    let read = Settings::read(words.map(Into::into));
    let faults = match read.map(|settings| settings.command) {
        Ok(Command::Serve(mut serve)) => {
            let lookup = |name: &str| {
                let value = |line: &&str| {
                    line.strip_prefix(name)?
                        .strip_prefix('=')
                        .map(str::to_owned)
                };
                variables.iter().find_map(value)
            };
            let applied = drop_in::apply(&mut serve, &|_| false, &lookup);
            applied.map_err(|error| error.to_string())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    let secrets = variables.iter().filter_map(|it| it.split_once('='));
    let is_secret = |(name, secret): &(&str, &str)| name.ends_with("AUTH") && secret.len() > LONG;
    for (_, secret) in secrets.filter(is_secret) {
        // What stands elsewhere too is no secret.
        let is_one = text.matches(secret).count() == 1;
        let is_told = faults.as_ref().is_err_and(|it| it.contains(secret));
        assert!(!(is_one && is_told), "{faults:?}");
    }
}

/// A shorter secret may stand in any message.
const LONG: usize = 8;

const RULES: &str = "\
domain: demo
descriptors:
- {key: a, rate_limit: {unit: minute, requests_per_unit: 10, burst: 5}}
- {key: b, value: x*, share_threshold: true, rate_limit: {unit: second, requests_per_unit: 3}}
- key: c
  shadow_mode: true
  rate_limit: {unit: day, requests_per_unit: 1, algorithm: fixed_window}
  descriptors:
  - {key: d, rate_limit: {unlimited: true}}
";
