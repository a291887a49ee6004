//! The rules in force come from here: read whole, then applied; the last good set stays.

pub mod file;
pub mod platform;

use std::path::PathBuf;

use crate::document::Faults;
use crate::rule::Domain;
use crate::rule::document;

/// Where the rules come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files and directories of rules.
    pub rules: Vec<PathBuf>,
    /// Files and directories of platform documents.
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
    let mut faults = Vec::new();
    let mut placed = Vec::new();
    match file::read(&sources.rules) {
        Ok(files) => {
            for file in files {
                match crate::document::node::parse(&file.name, &file.text) {
                    Ok(documents) => {
                        placed.extend(document::domains(&file.name, &documents, &mut faults));
                    }
                    Err(fault) => faults.push(fault),
                }
            }
        }
        Err(unread) => faults.extend(unread),
    }
    let domains = document::distinct(placed, &mut faults);
    Faults::none_or(faults, domains)
}
