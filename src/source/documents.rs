//! Files of either form → the domains that they come to together.

use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::document::node;
use crate::document::node::Kind;
use crate::document::node::Node;
use crate::rule::Domain;
use crate::rule::document;
use crate::rule::document::Placed;
use crate::source::file::File;
use crate::source::platform;

/// Documents with their files, by form.
#[derive(Debug)]
pub struct Documents {
    rules: Vec<(Arc<str>, Vec<Node>)>,
    platform: Vec<(Arc<str>, Vec<Node>)>,
    /// What could not be read.
    unread: Vec<Fault>,
}

/// What a document can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// An entity of a platform.
    Platform,
    /// The rules of a domain.
    Rules,
}

impl Form {
    /// Tells the forms apart: an entity has a `kind`.
    pub fn of(document: &Node) -> Self {
        let Kind::Mapping(entries) = &document.kind else {
            return Self::Rules;
        };
        let is_kind =
            |(key, _): &(Node, Node)| matches!(&key.kind, Kind::Scalar(it) if it.text == "kind");
        if entries.iter().any(is_kind) {
            Self::Platform
        } else {
            Self::Rules
        }
    }
}

impl Documents {
    /// No documents yet, but perhaps files that could not be read.
    pub fn new(unread: Vec<Fault>) -> Self {
        Self {
            rules: Vec::new(),
            platform: Vec::new(),
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
        let (rules, platform): (Vec<Node>, Vec<Node>) = documents
            .into_iter()
            .partition(|document| form(document) == Form::Rules);
        self.rules.push((Arc::clone(&file.name), rules));
        self.platform.push((Arc::clone(&file.name), platform));
    }

    /// The rules of all documents together.
    ///
    /// # Errors
    ///
    /// Every fault. A platform of which something could not be read is not looked at further:
    /// what is missing would look like references to nowhere.
    pub fn domains(self, namespace: &str) -> Result<Vec<Domain>, Faults> {
        let mut faults = self.unread;
        let mut placed = Vec::new();
        let has_platform = self.platform.iter().any(|(_, nodes)| !nodes.is_empty());
        if has_platform && faults.is_empty() {
            match platform::derive(&self.platform, namespace) {
                Ok(domains) => placed.extend(domains.into_iter().map(derived)),
                Err(refused) => faults.extend(refused),
            }
        }
        for (file, documents) in &self.rules {
            placed.extend(document::domains(file, documents, &mut faults));
        }
        let domains = document::distinct(placed, &mut faults);
        Faults::none_or(faults, domains)
    }
}

/// A domain that stands in no file itself.
fn derived(domain: Domain) -> Placed {
    Placed {
        domain,
        file: Arc::from("the platform documents"),
        line: 0,
    }
}
