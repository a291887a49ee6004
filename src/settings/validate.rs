//! What `validate` looks at.

use std::path::PathBuf;

use clap::Args;

/// How `validate` runs.
#[derive(Args, Debug)]
pub struct Validate {
    /// Rule files, platform documents or manifests, or directories with some
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// The Kubernetes namespace that platform documents are deployed to
    #[arg(
        long,
        env = "SLIDEGATE_NAMESPACE",
        value_name = "NAME",
        default_value = "default"
    )]
    pub namespace: String,
}
