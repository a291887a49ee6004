//! Platform documents → rules, by way of the manifests that they become.

use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::document::node::Node;
use crate::manifest::Manifest;
use crate::manifest::Namespace;
use crate::manifest::burst::Bursts;
use crate::manifest::emit;
use crate::manifest::rules;
use crate::platform::Platform;
use crate::platform::document;
use crate::source::documents::Deployed;
use crate::source::file::File;

/// What a platform comes to in a cluster.
///
/// # Errors
///
/// Every fault of the documents.
pub fn deployed(
    documents: Vec<(Arc<str>, Vec<Node>)>,
    namespace: &str,
) -> Result<Deployed, Faults> {
    let (platform, namespace) = read(&documents, namespace)?;
    drop(documents);
    let manifests = emit::manifests(&platform, &namespace);
    match rules::domains(&manifests) {
        Ok(mut domains) => {
            Bursts::of(&platform, &namespace).add_to(&mut domains);
            Ok(Deployed {
                platform: Some(platform),
                manifests,
                domains,
            })
        }
        Err(errors) => {
            let faults = errors
                .into_iter()
                .map(|error| of("manifests", error.to_string()));
            Err(Faults::none_or(faults.collect(), ()).expect_err("there is an error"))
        }
    }
}

/// The manifests of a platform.
///
/// # Errors
///
/// Every fault of the documents.
pub fn manifests(files: &[File], namespace: &str) -> Result<Vec<Manifest>, Faults> {
    let mut faults = Vec::new();
    let documents = parse(files, &mut faults);
    let documents = Faults::none_or(faults, documents)?;
    let (platform, namespace) = read(&documents, namespace)?;
    drop(documents);
    Ok(emit::manifests(&platform, &namespace))
}

fn read(
    documents: &[(Arc<str>, Vec<Node>)],
    namespace: &str,
) -> Result<(Platform, Namespace), Faults> {
    let namespace =
        Namespace::try_from(namespace).map_err(|error| of("--namespace", error.to_string()))?;
    let mut faults = Vec::new();
    let platform = document::read(documents, &mut faults);
    Faults::none_or(faults, (platform, namespace))
}

fn parse(files: &[File], faults: &mut Vec<Fault>) -> Vec<(Arc<str>, Vec<Node>)> {
    let mut documents = Vec::with_capacity(files.len());
    for file in files {
        match node::parse(&file.name, &file.text) {
            Ok(nodes) => documents.push((Arc::clone(&file.name), nodes)),
            Err(fault) => faults.push(fault),
        }
    }
    documents
}

/// A fault of something that is no file.
fn of(name: &str, message: String) -> Fault {
    Fault {
        file: Arc::from(name),
        line: 0,
        path: String::new(),
        message,
    }
}
