//! What happens when Redis is away, slow or elsewhere, and when the process is told to stop.

mod drain;
mod moves;
mod network;
mod outage;
mod replicas;
mod scene;
mod traffic;

use std::io::Write;

use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use tempfile::NamedTempFile;
use tonic::Status;

use crate::support::rls::Rls;
use crate::support::rls::request;

/// A limit of ten an hour for each choice.
fn rules() -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    writeln!(file, "domain: choices\ndescriptors:").unwrap();
    for choice in ["deny", "allow", "error", "local"] {
        let limit = format!("unit: hour, requests_per_unit: 10, on_store_failure: {choice}");
        writeln!(file, "- {{key: {choice}, rate_limit: {{{limit}}}}}").unwrap();
    }
    file
}

async fn ask(rls: &mut Rls) -> Result<RateLimitResponse, Status> {
    rls.ask(request("demo", &[&[("user", "vip")]])).await
}
