//! Platform documents → rules, by way of the manifests that they become.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::manifest::Manifest;
use crate::manifest::Namespace;
use crate::manifest::burst::Bursts;
use crate::manifest::emit;
use crate::manifest::emit::FROM;
use crate::manifest::rules;
use crate::manifest::rules::remark::Remark;
use crate::platform::Platform;
use crate::platform::document;
use crate::platform::effective::Effective;
use crate::platform::effective::idle;
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
    let (platform, namespace) = resolved(&documents, namespace)?;
    let places = Places::of(&documents);
    drop(documents);
    let manifests = emit::manifests(&platform, &namespace);
    let translation = rules::translate(&manifests).map_err(|refused| {
        let faults = refused.into_iter().map(|it| places.fault(it, &manifests));
        Faults::none_or(faults.collect(), ()).expect_err("there is an error")
    })?;
    let mut domains = translation.domains;
    Bursts::of(&platform, &namespace).add_to(&mut domains);
    let remarks = translation.warnings.into_iter();
    let mut warnings: Vec<Fault> = remarks.map(|it| places.fault(it, &manifests)).collect();
    for (source, reason) in idle::idle(&platform, &Effective::new(&platform)) {
        let entity = source.to_string();
        warnings.push(places.at(&entity, entity.clone(), reason.to_owned()));
    }
    warnings.sort();
    Ok(Deployed {
        platform: Some((platform, namespace)),
        manifests,
        domains,
        warnings,
    })
}

/// The platform that files describe, and the namespace that it is deployed to.
///
/// # Errors
///
/// Every fault of the documents.
pub fn read(files: Vec<File>, namespace: &str) -> Result<(Platform, Namespace), Faults> {
    let mut faults = Vec::new();
    let documents = parse(&files, &mut faults);
    let documents = Faults::none_or(faults, documents)?;
    drop(files);
    resolved(&documents, namespace)
}

fn resolved(
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

/// Where entities stand, as `Kind/name`.
struct Places(BTreeMap<String, (Arc<str>, usize)>);

impl Places {
    fn of(documents: &[(Arc<str>, Vec<Node>)]) -> Self {
        let mut places = BTreeMap::new();
        for (file, nodes) in documents {
            for node in nodes {
                if let (Some((kind, _)), Some((name, line))) =
                    (text(node, "kind"), text(node, "name"))
                {
                    places.insert(format!("{kind}/{name}"), (Arc::clone(file), line));
                }
            }
        }
        Self(places)
    }

    /// A remark about a manifest, at the place of the first entity that it comes from.
    fn fault(&self, remark: Remark, manifests: &[Manifest]) -> Fault {
        let mut of_name = manifests.iter();
        let manifest = of_name.find(|it| it.to_string() == remark.manifest);
        let from = manifest.and_then(|it| it.metadata().annotations.get(FROM));
        let first = from.and_then(|from| from.split(", ").next());
        let path = format!("{}: {}", remark.manifest, remark.field);
        self.at(first.unwrap_or_default(), path, remark.reason)
    }

    fn at(&self, entity: &str, path: String, message: String) -> Fault {
        let place = self.0.get(entity).cloned();
        let (file, line) = place.unwrap_or_else(|| (Arc::from("manifests"), 0));
        Fault {
            file,
            line,
            path,
            message,
        }
    }
}

/// The text below a key, with its line.
fn text<'n>(document: &'n Node, key: &str) -> Option<(&'n str, usize)> {
    let Kind::Mapping(entries) = &document.kind else {
        return None;
    };
    let scalar = |node: &'n Node| match &node.kind {
        Kind::Scalar(scalar) => Some(scalar.text.as_str()),
        Kind::Mapping(_) | Kind::Sequence(_) => None,
    };
    let (_, value) = entries.iter().find(|(it, _)| scalar(it) == Some(key))?;
    Some((scalar(value)?, value.line))
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
