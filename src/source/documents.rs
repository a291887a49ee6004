//! Files of either form → the domains that they come to together.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::manifest::Manifest;
use crate::manifest::Namespace;
use crate::manifest::read::Found;
use crate::platform::Platform;
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
    manifests: Found,
    /// What could not be read.
    unread: Vec<Fault>,
    /// Whether the rules of equal domains are put together.
    pub merge_domains: bool,
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
    /// What Envoy Gateway does with the manifests without a word, and what a platform has in vain.
    pub warnings: Vec<Fault>,
    /// How many manifests there are of kinds that decide nothing about limits.
    pub passed_over: BTreeMap<String, usize>,
}

/// What platform documents or manifests come to in a cluster.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The platform with its namespace, unless there are manifests.
    pub platform: Option<(Platform, Namespace)>,
    /// The manifests that it becomes, or that there are.
    pub manifests: Vec<Manifest>,
    /// The rules that follow.
    pub domains: Vec<Domain>,
    /// What is there and does nothing, or not what it says.
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
            manifests: Found::default(),
            unread,
            merge_domains: false,
        }
    }

    /// Adds the documents of a file, each in its form.
    pub fn add(&mut self, file: &File, form: impl Fn(&Node) -> Form) {
        let (mut rules, mut platform) = (Vec::new(), Vec::new());
        for document in node::stream(&file.name, &file.text) {
            match document {
                Err(fault) => self.unread.push(fault),
                Ok(document) => match form(&document) {
                    Form::Manifest => {
                        self.manifests.add(&file.name, &document, &mut self.unread);
                    }
                    Form::Platform => platform.push(document),
                    Form::Rules => rules.push(document),
                },
            }
        }
        self.rules.push((Arc::clone(&file.name), rules));
        self.platform.push((Arc::clone(&file.name), platform));
    }

    /// What the documents come to in a cluster.
    ///
    /// # Errors
    ///
    /// Every fault, or that there are platform documents as well as manifests.
    pub fn deployed(self, namespace: &str) -> Result<Deployed, Faults> {
        Faults::none_or(self.unread, ())?;
        let has_platform = self.platform.iter().any(|(_, nodes)| !nodes.is_empty());
        match self.manifests.manifests.first() {
            Some(first) if has_platform => Err(Faults::from(Fault {
                file: Arc::clone(&first.file),
                line: first.line,
                path: "apiVersion".to_owned(),
                message: "a manifest beside platform documents: expected one or the other"
                    .to_owned(),
            })),
            Some(_) => {
                let derived = manifests::derive(self.manifests)?;
                Ok(Deployed {
                    platform: None,
                    manifests: derived.manifests,
                    domains: derived.domains,
                    warnings: derived.warnings,
                })
            }
            None => platform::deployed(self.platform, namespace),
        }
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
            match platform::deployed(self.platform, namespace) {
                Ok(deployed) => {
                    let derived = |domain| derived(domain, "the platform documents");
                    placed.extend(deployed.domains.into_iter().map(derived));
                    warnings.extend(deployed.warnings);
                }
                Err(refused) => faults.extend(refused),
            }
        }
        let mut passed_over = BTreeMap::new();
        if is_whole {
            match manifests::derive(self.manifests) {
                Ok(found) => {
                    let derived = |domain| derived(domain, "the manifests");
                    placed.extend(found.domains.into_iter().map(derived));
                    warnings.extend(found.warnings);
                    passed_over = found.passed_over;
                }
                Err(refused) => faults.extend(refused),
            }
        }
        for (file, documents) in &self.rules {
            placed.extend(document::domains(file, documents, &mut faults));
        }
        let domains = if self.merge_domains {
            document::merged(placed, &mut faults)
        } else {
            document::distinct(placed, &mut faults)
        };
        Faults::none_or(
            faults,
            Loaded {
                domains,
                warnings,
                passed_over,
            },
        )
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
