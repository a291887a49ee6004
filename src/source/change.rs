//! Says when files may have changed.
//!
//! Watched are the directories in which a change can show: those that are read, and those of every
//! symbolic link on the way to them, so that a link that is pointed elsewhere (as Kubernetes does
//! to update a ConfigMap) is seen as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::Event;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::source::file::Found;

/// Watches the way to files and the files, from when it is made.
#[derive(Debug)]
pub struct Changes {
    places: Places,
    unwatched: Vec<String>,
    changed: Arc<Notify>,
    /// Stops watching when it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Watches these files and directories, as far as that is possible.
    pub fn of(paths: &[PathBuf]) -> Self {
        let places = Places::of(paths);
        let changed = Arc::new(Notify::new());
        let mut unwatched = Vec::new();
        let handler = {
            let (changed, places) = (Arc::clone(&changed), places.clone());
            move |event: notify::Result<Event>| {
                if event.is_ok_and(|event| !places.concern(&event)) {
                    return;
                }
                changed.notify_one();
            }
        };
        let watcher = match notify::recommended_watcher(handler) {
            Ok(mut watcher) => {
                for place in places.0.keys() {
                    if let Err(error) = watcher.watch(place, RecursiveMode::NonRecursive) {
                        unwatched.push(format!("{} cannot be watched: {error}", place.display()));
                    }
                }
                Some(watcher)
            }
            Err(error) => {
                unwatched.push(format!("files cannot be watched: {error}"));
                None
            }
        };
        Self {
            places,
            unwatched,
            changed,
            _watcher: watcher,
        }
    }

    /// What could not be watched, and why.
    pub fn unwatched(&self) -> &[String] {
        &self.unwatched
    }

    /// Whether other directories would have to be watched by now.
    pub fn lead_elsewhere(&self, paths: &[PathBuf]) -> bool {
        Places::of(paths) != self.places
    }

    /// Waits until something has changed and nothing more does for a moment, or for `patience`;
    /// says whether something has.
    pub async fn settle(&self, patience: Duration) -> bool {
        if timeout(patience, self.changed.notified()).await.is_err() {
            return false;
        }
        let quiet = async { while timeout(QUIET, self.changed.notified()).await.is_ok() {} };
        // Who writes without a pause is read in between.
        timeout(LONGEST, quiet).await.unwrap_or(());
        true
    }
}

/// How long nothing may change until a burst of changes counts as over.
const QUIET: Duration = Duration::from_millis(150);

/// How long a burst may go on before its changes are looked at.
const LONGEST: Duration = Duration::from_secs(2);

/// The directories in which a change can show, by their canonical path.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Places(BTreeMap<PathBuf, Interest>);

/// What in a directory matters.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Interest {
    /// Every name.
    All,
    /// These names.
    Names(BTreeSet<OsString>),
}

impl Places {
    fn of(paths: &[PathBuf]) -> Self {
        let mut places = Self::default();
        let mut faults = Vec::new();
        for path in paths {
            places.lead_to(path, 0);
            let found = Found::at(path, &mut faults);
            for directory in found.directories {
                places.lead_to(&directory, 0);
                if let Ok(directory) = directory.canonicalize() {
                    places.0.insert(directory, Interest::All);
                }
            }
            for file in found.files.iter().filter(|file| file.is_symlink()) {
                places.lead_to(file, 0);
            }
        }
        places
    }

    /// Adds every name on the way to a path that may be pointed elsewhere, appear or vanish: its
    /// last name, symbolic links and what they point to, and the first that does not exist.
    fn lead_to(&mut self, path: &Path, depth: usize) {
        let Ok(path) = std::path::absolute(path) else {
            return;
        };
        let mut way = PathBuf::new();
        for component in path.components() {
            let parent = way.clone();
            way.push(component);
            let is_last = way == path;
            let target = way.read_link();
            let is_missing = target.is_err() && way.symlink_metadata().is_err();
            if is_last || is_missing || target.is_ok() {
                self.add(&parent, &way);
            }
            match target {
                _ if is_missing => return,
                Ok(target) if depth < MAX_LINKS => {
                    self.lead_to(&parent.join(target), depth + 1);
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    fn add(&mut self, directory: &Path, path: &Path) {
        let (Ok(directory), Some(name)) = (directory.canonicalize(), path.file_name()) else {
            return;
        };
        let none = Interest::Names(BTreeSet::new());
        if let Interest::Names(names) = self.0.entry(directory).or_insert(none) {
            names.insert(name.to_owned());
        }
    }

    /// Whether something happened that matters.
    fn concern(&self, event: &Event) -> bool {
        if event.kind.is_access() {
            return false;
        }
        let matters = |path: &PathBuf| {
            let interest = path.parent().and_then(|parent| self.0.get(parent));
            let is_named = match (interest, path.file_name()) {
                (Some(Interest::All), _) => true,
                (Some(Interest::Names(names)), Some(name)) => names.contains(name),
                (Some(Interest::Names(_)) | None, _) => false,
            };
            is_named || self.0.contains_key(path)
        };
        event.need_rescan() || event.paths.iter().any(matters)
    }
}

/// How many symbolic links one path may lead through, as on Linux.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests;
