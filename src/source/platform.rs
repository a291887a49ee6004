//! Platform documents → rules, by way of the manifests that they become.

use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::manifest::Manifest;
use crate::manifest::Namespace;
use crate::manifest::emit;
use crate::manifest::rules;
use crate::platform::Platform;
use crate::platform::document;
use crate::rule::Domain;
use crate::source::file::File;

/// The rules that Envoy Gateway derives from a platform.
///
/// # Errors
///
/// Every fault of the documents.
pub fn domains(files: &[File], namespace: &str) -> Result<Vec<Domain>, Faults> {
    let manifests = manifests(files, namespace)?;
    match rules::domains(&manifests) {
        Ok(domains) => Ok(domains),
        Err(errors) => {
            let faults = errors.into_iter().map(|error| whole(error.to_string()));
            Faults::none_or(faults.collect(), Vec::new())
        }
    }
}

/// The manifests of a platform.
///
/// # Errors
///
/// Every fault of the documents.
pub fn manifests(files: &[File], namespace: &str) -> Result<Vec<Manifest>, Faults> {
    let namespace = Namespace::try_from(namespace).map_err(|error| whole(error.to_string()))?;
    let platform = platform(files)?;
    Ok(emit::manifests(&platform, &namespace))
}

/// The platform that files describe together.
///
/// # Errors
///
/// Every fault of the documents.
pub fn platform(files: &[File]) -> Result<Platform, Faults> {
    let mut faults = Vec::new();
    let mut documents = Vec::with_capacity(files.len());
    for file in files {
        match node::parse(&file.name, &file.text) {
            Ok(nodes) => documents.push((Arc::clone(&file.name), nodes)),
            Err(fault) => faults.push(fault),
        }
    }
    let platform = document::read(&documents, &mut faults);
    // They were found kind by kind.
    faults.sort();
    Faults::none_or(faults, platform)
}

/// A fault of no file in particular.
fn whole(message: String) -> Fault {
    Fault {
        file: Arc::from("platform"),
        line: 0,
        path: String::new(),
        message,
    }
}
