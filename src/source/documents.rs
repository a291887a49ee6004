//! Files of either form → the domains that they come to together.

use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::manifest::Manifest;
use crate::manifest::read;
use crate::rule::Domain;
use crate::rule::document;
use crate::rule::document::Placed;
use crate::source::file::File;
use crate::source::manifests;
use crate::source::platform;

/// Documents with their files, by form.
#[derive(Debug)]
pub struct Documents {
    rules: Vec<(Arc<str>, Vec<Node>)>,
    platform: Vec<(Arc<str>, Vec<Node>)>,
    manifests: Vec<read::Placed>,
    /// What could not be read.
    unread: Vec<Fault>,
}

/// What a document can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// A Kubernetes manifest.
    Manifest,
    /// An entity of a platform.
    Platform,
    /// The rules of a domain.
    Rules,
}

/// What documents come to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loaded {
    /// The rules.
    pub domains: Vec<Domain>,
    /// What Envoy Gateway does with the manifests without a word.
    pub warnings: Vec<Fault>,
}

impl Form {
    /// Tells the forms apart: a manifest has an `apiVersion`, an entity has a `kind`.
    pub fn of(document: &Node) -> Self {
        if has(document, "apiVersion") {
            Self::Manifest
        } else if has(document, "kind") {
            Self::Platform
        } else {
            Self::Rules
        }
    }

    /// Tells manifests from entities, where there are no rules.
    pub fn of_resource(document: &Node) -> Self {
        if has(document, "apiVersion") {
            Self::Manifest
        } else {
            Self::Platform
        }
    }
}

fn has(document: &Node, key: &str) -> bool {
    let Kind::Mapping(entries) = &document.kind else {
        return false;
    };
    let is_key = |(it, _): &(Node, Node)| matches!(&it.kind, Kind::Scalar(it) if it.text == key);
    entries.iter().any(is_key)
}

impl Documents {
    /// No documents yet, but perhaps files that could not be read.
    pub fn new(unread: Vec<Fault>) -> Self {
        Self {
            rules: Vec::new(),
            platform: Vec::new(),
            manifests: Vec::new(),
            unread,
        }
    }

    /// Adds the documents of a file, each in its form.
    pub fn add(&mut self, file: &File, form: impl Fn(&Node) -> Form) {
        let documents = match node::parse(&file.name, &file.text) {
            Ok(documents) => documents,
            Err(fault) => {
                self.unread.push(fault);
                return;
            }
        };
        let (mut rules, mut platform, mut has_manifests) = (Vec::new(), Vec::new(), false);
        for document in documents {
            match form(&document) {
                Form::Manifest => has_manifests = true,
                Form::Platform => platform.push(document),
                Form::Rules => rules.push(document),
            }
        }
        if has_manifests {
            match read::placed(&file.name, &file.text) {
                Ok(manifests) => self.manifests.extend(manifests),
                Err(faults) => self.unread.extend(faults),
            }
        }
        self.rules.push((Arc::clone(&file.name), rules));
        self.platform.push((Arc::clone(&file.name), platform));
    }

    /// The manifests that the documents are, or those that they become.
    ///
    /// # Errors
    ///
    /// Every fault, or that there are both.
    pub fn manifests(&self, namespace: &str) -> Result<Vec<Manifest>, Faults> {
        Faults::none_or(self.unread.clone(), ())?;
        let has_platform = self.platform.iter().any(|(_, nodes)| !nodes.is_empty());
        match self.manifests.first() {
            Some(first) if has_platform => Err(Faults::from(Fault {
                file: Arc::clone(&first.file),
                line: first.line,
                path: "apiVersion".to_owned(),
                message: "a manifest beside platform documents: expected one or the other"
                    .to_owned(),
            })),
            Some(_) => Ok(manifests::distinct(self.manifests.clone())?.0),
            None => platform::emitted(&self.platform, namespace),
        }
    }

    /// The rules of all documents together.
    ///
    /// # Errors
    ///
    /// As for [`Documents::load`].
    pub fn domains(self, namespace: &str) -> Result<Vec<Domain>, Faults> {
        self.load(namespace).map(|loaded| loaded.domains)
    }

    /// What all documents come to. A platform and manifests beside it are looked at apart.
    ///
    /// # Errors
    ///
    /// Every fault. A platform of which something could not be read is not looked at further, nor
    /// are manifests: what is missing would look like references to nowhere.
    pub fn load(self, namespace: &str) -> Result<Loaded, Faults> {
        let mut faults = self.unread;
        let mut placed = Vec::new();
        let mut warnings = Vec::new();
        let is_whole = faults.is_empty();
        let has_platform = self.platform.iter().any(|(_, nodes)| !nodes.is_empty());
        if has_platform && is_whole {
            match platform::derive(&self.platform, namespace) {
                Ok(domains) => {
                    let derived = |domain| derived(domain, "the platform documents");
                    placed.extend(domains.into_iter().map(derived));
                }
                Err(refused) => faults.extend(refused),
            }
        }
        if !self.manifests.is_empty() && is_whole {
            match manifests::derive(self.manifests) {
                Ok(loaded) => {
                    let derived = |domain| derived(domain, "the manifests");
                    placed.extend(loaded.domains.into_iter().map(derived));
                    warnings = loaded.warnings;
                }
                Err(refused) => faults.extend(refused),
            }
        }
        for (file, documents) in &self.rules {
            placed.extend(document::domains(file, documents, &mut faults));
        }
        let domains = document::distinct(placed, &mut faults);
        Faults::none_or(faults, Loaded { domains, warnings })
    }
}

/// A domain that stands in no file itself.
fn derived(domain: Domain, from: &str) -> Placed {
    Placed {
        domain,
        file: Arc::from(from),
        line: 0,
    }
}
