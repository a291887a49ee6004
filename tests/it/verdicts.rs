//! The same verdicts from a platform, from its manifests, and from the rules generated from it.

use std::fs;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::google::protobuf::UInt64Value;
use slidegate::manifest::explain::call::Call;
use slidegate::manifest::explain::call::Hits;
use tempfile::TempDir;

use crate::support::rls::Rls;
use crate::support::rls::request;
use crate::support::sample;
use crate::support::sample::PLATFORM;
use crate::support::sample::Sample;
use crate::support::service::Service;
use crate::support::service::slidegate;

#[tokio::test]
async fn a_platform_and_the_rules_generated_from_it_decide_alike() {
    let folder = TempDir::new().unwrap();
    let rules = generated(&folder, "rate-limit-config");
    let all = |_: &str| true;
    let [platform, rules] = verdicts([["--platform", PLATFORM], ["--rules", &rules]], all).await;
    assert_eq!(platform, rules);
    // Of each limit as many pass as it says, three and a burst of two among them.
    let n_admitted = |path: &str| {
        let of_path = platform.iter().filter(|verdict| verdict.starts_with(path));
        of_path.filter(|verdict| verdict.contains(": OK ")).count()
    };
    let n_refused = platform
        .iter()
        .filter(|it| it.contains(": OVER_LIMIT "))
        .count();
    assert_eq!(
        (
            n_admitted("GET /search"),
            n_admitted("GET /payments"),
            n_refused > 20
        ),
        (5, 3, true),
        "{platform:#?}"
    );
    // 21 an hour, of which each request reports ten.
    assert_eq!(n_admitted("GET /chat/completions :"), 3, "{platform:#?}");
    // Twice twelve for the route, and what is left for the plan: of gold all, of trial ten.
    assert_eq!(n_admitted("GET /anything gold"), 24, "{platform:#?}");
    assert_eq!(n_admitted("GET /anything trial"), 22, "{platform:#?}");
}

#[tokio::test]
async fn a_platform_and_its_manifests_decide_alike_but_for_bursts() {
    let folder = TempDir::new().unwrap();
    let manifests = generated(&folder, "manifests");
    let without_burst = |path: &str| !path.starts_with("/search");
    let sources = [["--platform", PLATFORM], ["--platform", &manifests]];
    let [platform, manifests] = verdicts(sources, without_burst).await;
    assert_eq!(platform, manifests);
    let with_burst = |path: &str| path.starts_with("/search");
    let [platform, manifests] = verdicts(sources, with_burst).await;
    let n_admitted =
        |verdicts: &[String]| verdicts.iter().filter(|it| it.contains(": OK ")).count();
    assert_eq!((n_admitted(&platform), n_admitted(&manifests)), (5, 3));
}

/// What services with these rules decide of the requests to the sample, each sent twelve times.
async fn verdicts(sources: [[&str; 2]; 2], is_meant: impl Fn(&str) -> bool) -> [Vec<String>; 2] {
    let mut told = [Vec::new(), Vec::new()];
    let (sample, requests) = (Sample::load(), sample::requests());
    for (source, told) in sources.into_iter().zip(&mut told) {
        let service = Service::start(&[source[0], source[1], "--store", "memory"]);
        let mut rls = service.rls().await;
        let asked = requests.iter().filter(|it| is_meant(&it.request.path));
        for sent in asked {
            let met = sample.explained(sent);
            let request = &sent.request;
            let caller = request.auth_headers.last().map_or("", |(_, value)| value);
            let name = format!("{} {} {caller}", request.method, request.path);
            for call in met.iter().flat_map(|met| vec![&met.calls; 12]).flatten() {
                told.push(verdict(&name, call, &mut rls).await);
            }
        }
    }
    told
}

/// What the service says to a call; where the hits come from metadata, they are ten.
async fn verdict(name: &str, call: &Call, rls: &mut Rls) -> String {
    let mut message: RateLimitRequest = request(&call.domain, &[]);
    for sent in &call.descriptors {
        let entries = sent.entries.iter();
        let entries: Vec<_> = entries
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let mut descriptors = request(&call.domain, &[&entries]).descriptors;
        let value = match sent.hits {
            Hits::Number(number) => number,
            Hits::Metadata(_) => 10,
        };
        descriptors[0].hits_addend = (value != 1).then_some(UInt64Value { value });
        message.descriptors.append(&mut descriptors);
    }
    let response: RateLimitResponse = rls.ask(message).await.unwrap();
    let statuses = response.statuses.iter().map(|status| {
        let limit = status.current_limit.as_ref();
        let limit = limit.map(|it| (it.requests_per_unit, it.unit().as_str_name()));
        format!("{limit:?} leaves {}", status.limit_remaining)
    });
    let code = response.overall_code().as_str_name();
    let statuses: Vec<String> = statuses.collect();
    let when = if call.after_response { " after" } else { "" };
    format!("{name}{when}: {code} {}", statuses.join(", "))
}

/// A file with what `generate` makes of the sample.
fn generated(folder: &TempDir, form: &str) -> String {
    let output = slidegate(&["generate", PLATFORM, "--as", form])
        .output()
        .unwrap();
    assert!(output.status.success());
    let path = folder.path().join("generated.yaml");
    fs::write(&path, output.stdout).unwrap();
    path.to_str().unwrap().to_owned()
}
