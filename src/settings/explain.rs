//! How `explain` runs.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

/// How `explain` runs.
#[derive(Args, Debug)]
pub struct Explain {
    /// Platform documents or manifests, or directories with some
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,

    /// The request's host
    #[arg(long, value_name = "HOST")]
    pub host: String,

    /// The gateway's port; all of them are looked at unless given
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    /// The request's path, with its query
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path)]
    pub path: String,

    /// A header of the request, such as `x-user: alice`; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub header: Vec<(String, String)>,

    /// A header that authentication adds, such as `x-imprun-plan: gold`; may be given several times
    #[arg(long, value_name = "NAME: VALUE", value_parser = header)]
    pub auth_header: Vec<(String, String)>,

    /// The client's address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<IpAddr>,

    /// The Kubernetes namespace that platform documents are deployed to
    #[arg(
        long,
        env = "SLIDEGATE_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,

    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

fn path(text: &str) -> Result<String, &'static str> {
    let is_path = text.starts_with('/') && !text.contains('#');
    is_path
        .then(|| text.to_owned())
        .ok_or("expected a path such as `/v1/chat?stream=true`")
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("expected a header such as `x-user: alice`"),
    }
}
