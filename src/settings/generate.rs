//! What `generate` writes, and where to.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

/// How `generate` runs.
#[derive(Args, Debug)]
pub struct Generate {
    /// Platform documents, or directories with some; for the rules, manifests as well
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The Kubernetes namespace of what is generated
    #[arg(
        long,
        env = "SLIDEGATE_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,

    /// A directory to write one file for each resource to, in place of standard output
    #[arg(long, env = "SLIDEGATE_OUTPUT", value_name = "DIR")]
    pub output: Option<PathBuf>,

    /// What to generate
    #[arg(
        long = "as",
        env = "SLIDEGATE_AS",
        value_name = "FORM",
        default_value = "manifests"
    )]
    pub form: Form,
}

/// What `generate` writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Form {
    /// Kubernetes manifests
    Manifests,
    /// The rules that Envoy Gateway will derive from the manifests, as a rule file
    RateLimitConfig,
}
