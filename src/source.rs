//! The rules in force come from here: read whole, then applied; the last good set stays.

pub mod change;
pub mod documents;
pub mod file;
pub mod manifests;
pub mod platform;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::document::Fault;
use crate::document::Faults;
use crate::metrics::SourceMetrics;
use crate::rule::Domain;
use crate::rule::document;
use crate::shutdown::TaskError;
use crate::source::change::Changes;
use crate::source::documents::Deployed;
use crate::source::documents::Documents;
use crate::source::documents::Form;
use crate::source::documents::Loaded;
use crate::source::file::File;

/// Where the rules come from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sources {
    /// Files and directories of rules.
    pub rules: Vec<PathBuf>,
    /// Files and directories of platform documents or manifests.
    pub platform: Vec<PathBuf>,
    /// The namespace of the platform's manifests.
    pub namespace: String,
}

/// Reads all sources.
///
/// # Errors
///
/// Every fault of every file. Two domains of one name are a fault, wherever they stand.
pub fn load(sources: &Sources) -> Result<Vec<Domain>, Faults> {
    let loaded = Contents::read(sources).load(&sources.namespace)?;
    Ok(loaded.domains)
}

/// Reads files and directories in which rules, platform documents and manifests may be mixed.
///
/// # Errors
///
/// Every fault of every file.
pub fn load_mixed(paths: &[PathBuf], namespace: &str) -> Result<Loaded, Faults> {
    let mut unread = Vec::new();
    let files = file::read_all(paths, &mut unread);
    let mut documents = Documents::new(unread);
    for file in files {
        documents.add(&file, Form::of);
    }
    documents.load(namespace)
}

/// The rules that follow from platform documents and manifests.
///
/// # Errors
///
/// Every fault of every file.
pub fn derived(files: &[File], namespace: &str) -> Result<Loaded, Faults> {
    let mut documents = Documents::new(Vec::new());
    for file in files {
        documents.add(file, Form::of_resource);
    }
    documents.load(namespace)
}

/// The manifests that documents are or become, and the rules that follow.
///
/// # Errors
///
/// Every fault of every file, or that there are platform documents as well as manifests.
pub fn deployed(files: &[File], namespace: &str) -> Result<Deployed, Faults> {
    let mut documents = Documents::new(Vec::new());
    for file in files {
        documents.add(file, Form::of_resource);
    }
    documents.deployed(namespace)
}

/// Applies the rules now and after each change, until told to stop.
///
/// A change with faults is refused: each is logged, and what was applied before stays in force.
/// What cannot be read or watched is looked at again every second.
///
/// # Errors
///
/// None: even a panic while reading only refuses the change.
pub async fn watch(
    sources: Sources,
    apply: impl Fn(Vec<Domain>),
    metrics: SourceMetrics,
    stop: CancellationToken,
) -> Result<(), TaskError> {
    let mut last = None;
    let mut unwatched = Vec::new();
    loop {
        // Files are read and parsed aside: the thread may have requests to answer.
        let (of, before) = (sources.clone(), last.take());
        let look = move || Look::at(&of, before.as_ref());
        let look = match tokio::task::spawn_blocking(look).await {
            Ok(look) => look,
            Err(error) => {
                metrics.refused.increment(1);
                tracing::error!(%error, "the configuration cannot be read, keeping the last good set");
                let again = tokio::time::sleep(PATIENCE);
                if stop.run_until_cancelled(again).await.is_none() {
                    return Ok(());
                }
                continue;
            }
        };
        if let Some(outcome) = look.outcome {
            put_in_force(outcome, &apply, &metrics);
        }
        if look.changes.unwatched() != unwatched {
            unwatched = look.changes.unwatched().to_vec();
            for reason in &unwatched {
                tracing::warn!("{reason}: looking every second instead");
            }
        }
        let is_whole = unwatched.is_empty() && look.contents.unread.is_empty();
        let patience = if is_whole { PATIENCE } else { RETRY };
        last = Some(look.contents);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = look.changes.settle(patience) => {}
        }
    }
}

/// How long nothing is looked at while everything is watched; some file systems report nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long nothing is looked at while something cannot be read or watched.
const RETRY: Duration = Duration::from_secs(1);

/// One look at the sources.
struct Look {
    changes: Changes,
    contents: Contents,
    /// The rules, unless nothing has changed since the last look.
    outcome: Option<Result<Loaded, Faults>>,
}

impl Look {
    fn at(sources: &Sources, last: Option<&Contents>) -> Self {
        let paths = [sources.rules.as_slice(), &sources.platform].concat();
        // First watched, then read: what changes in between shows at the next look.
        let mut changes = Changes::of(&paths);
        let mut contents = Contents::read(sources);
        for _ in 0..MAX_REPEATS {
            if !changes.lead_elsewhere(&paths) {
                break;
            }
            changes = Changes::of(&paths);
            contents = Contents::read(sources);
        }
        let is_new = last != Some(&contents);
        let outcome = is_new.then(|| contents.load(&sources.namespace));
        Self {
            changes,
            contents,
            outcome,
        }
    }
}

/// How often a look is repeated at once because directories came or went while it was taken.
const MAX_REPEATS: usize = 3;

/// What stood in the files at one moment.
#[derive(Debug, Eq, PartialEq)]
struct Contents {
    rules: Vec<File>,
    platform: Vec<File>,
    unread: Vec<Fault>,
}

impl Contents {
    fn read(sources: &Sources) -> Self {
        let mut unread = Vec::new();
        Self {
            rules: file::read_all(&sources.rules, &mut unread),
            platform: file::read_all(&sources.platform, &mut unread),
            unread,
        }
    }

    fn load(&self, namespace: &str) -> Result<Loaded, Faults> {
        let mut documents = Documents::new(self.unread.clone());
        for file in &self.rules {
            documents.add(file, |_| Form::Rules);
        }
        for file in &self.platform {
            documents.add(file, Form::of_resource);
        }
        documents.load(namespace)
    }
}

fn put_in_force(
    outcome: Result<Loaded, Faults>,
    apply: impl Fn(Vec<Domain>),
    metrics: &SourceMetrics,
) {
    match outcome {
        Ok(Loaded {
            domains, warnings, ..
        }) => {
            for warning in &warnings {
                tracing::warn!("{warning}");
            }
            let (n_domains, n_rules) = (domains.len(), document::count(&domains));
            apply(domains);
            metrics.loaded.increment(1);
            metrics.domains.set(n_domains as f64);
            metrics.rules.set(n_rules as f64);
            tracing::info!(domains = n_domains, rules = n_rules, "rules loaded");
        }
        Err(faults) => {
            metrics.refused.increment(1);
            for fault in &faults {
                tracing::warn!("{fault}");
            }
            let n_faults = faults.count();
            tracing::warn!(
                faults = n_faults,
                "rules refused, the last good set stays in force"
            );
        }
    }
}

#[cfg(test)]
mod tests;
