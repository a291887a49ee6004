//! The rules in force come from here: read whole, then applied; the last good set stays.

pub mod change;
pub mod documents;
pub mod file;
mod in_force;
pub mod join;
pub mod manifests;
pub mod platform;
pub mod runtime;
pub mod xds;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::document::Fault;
use crate::document::Faults;
use crate::metrics::SourceMetrics;
use crate::rule::Domain;
use crate::shutdown::TaskError;
use crate::source::change::Changes;
use crate::source::documents::Deployed;
use crate::source::documents::Documents;
use crate::source::documents::Form;
use crate::source::documents::Loaded;
use crate::source::file::File;
use crate::source::runtime::Runtime;

/// Where the rules come from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sources {
    /// Files and directories of rules.
    pub rules: Vec<PathBuf>,
    /// Files of rules in envoyproxy/ratelimit's layout.
    pub runtime: Option<Runtime>,
    /// Whether the rules of equal domains are put together, in place of being a fault.
    pub merge_domains: bool,
    /// Files and directories of platform documents or manifests.
    pub platform: Vec<PathBuf>,
    /// The namespace of the platform's manifests.
    pub namespace: String,
}

/// What stood in the sources at the start.
#[derive(Debug)]
pub struct Start {
    sources: Sources,
    contents: Contents,
    loaded: Loaded,
}

impl Start {
    /// Reads all sources.
    ///
    /// # Errors
    ///
    /// Every fault of every file. Two domains of one name are a fault, wherever they stand.
    pub fn read(sources: Sources) -> Result<Self, Faults> {
        let contents = Contents::read(&sources);
        let loaded = contents.load(&sources)?;
        Ok(Self {
            sources,
            contents,
            loaded,
        })
    }

    /// The rules that were read.
    pub fn domains(&self) -> &[Domain] {
        &self.loaded.domains
    }

    /// What was read, and what is to be watched from here on.
    pub fn taken(self) -> (Vec<Domain>, Watch) {
        let watch = Watch {
            sources: self.sources,
            last: self.contents,
        };
        (self.loaded.domains, watch)
    }

    /// Applies what was read; what is to be watched from here on is left.
    pub fn apply(self, apply: impl Fn(Vec<Domain>), metrics: &SourceMetrics) -> Watch {
        put_in_force(self.loaded, apply, metrics);
        Watch {
            sources: self.sources,
            last: self.contents,
        }
    }
}

/// Sources, and what was read of them last.
#[derive(Debug)]
pub struct Watch {
    sources: Sources,
    last: Contents,
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

impl Watch {
    /// Applies the rules after each change, until told to stop.
    ///
    /// A change with faults is refused: each is logged, and what was applied before stays in force.
    /// What cannot be read or watched is looked at again every second.
    ///
    /// # Errors
    ///
    /// None: even a panic while reading only refuses the change.
    pub async fn run(
        self,
        apply: impl Fn(Vec<Domain>),
        metrics: SourceMetrics,
        stop: CancellationToken,
    ) -> Result<(), TaskError> {
        let mut last = Some(self.last);
        let mut unwatched = Vec::new();
        loop {
            // Files are read and parsed aside: the thread may have requests to answer.
            let (of, before) = (self.sources.clone(), last.take());
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
            match look.outcome {
                Some(Ok(loaded)) => put_in_force(loaded, &apply, &metrics),
                Some(Err(faults)) => refuse(&faults, &metrics),
                None => {}
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
        let runtime = sources.runtime.iter().flat_map(|it| &it.directory);
        let runtime: Vec<PathBuf> = runtime.cloned().collect();
        let paths = [sources.rules.as_slice(), &runtime, &sources.platform].concat();
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
        let outcome = is_new.then(|| contents.load(sources));
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
        let mut rules = file::read_all(&sources.rules, &mut unread);
        if let Some(runtime) = &sources.runtime {
            rules.extend(runtime.read_all(&mut unread));
        }
        Self {
            rules,
            platform: file::read_all(&sources.platform, &mut unread),
            unread,
        }
    }

    fn load(&self, sources: &Sources) -> Result<Loaded, Faults> {
        let mut documents = Documents::new(self.unread.clone());
        documents.merge_domains = sources.merge_domains;
        for file in &self.rules {
            documents.add(file, |_| Form::Rules);
        }
        for file in &self.platform {
            documents.add(file, Form::of_resource);
        }
        documents.load(&sources.namespace)
    }
}

fn put_in_force(loaded: Loaded, apply: impl Fn(Vec<Domain>), metrics: &SourceMetrics) {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    in_force::put(loaded.domains, apply, metrics);
}

fn refuse(faults: &Faults, metrics: &SourceMetrics) {
    metrics.refused.increment(1);
    for fault in faults {
        tracing::warn!("{fault}");
    }
    let n_faults = faults.count();
    tracing::warn!(
        faults = n_faults,
        "rules refused, the last good set stays in force"
    );
}

#[cfg(test)]
mod tests;
