//! The entities of one kind by name, so that references can be resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::near;
use crate::document::quoted;
use crate::platform::document::text;

/// A document with its name taken out.
#[derive(Debug)]
pub(super) struct Document<'n> {
    name: Option<(String, At<'n>)>,
    fields: Mapping<'n>,
}

/// What a document says: an entity, unless it has faults, and whether it is active.
#[derive(Debug)]
pub(super) struct Read<T> {
    pub entity: Option<T>,
    pub is_active: bool,
}

/// The entities of one kind by name.
#[derive(Debug)]
pub(super) struct Entities<T> {
    kind: &'static str,
    found: BTreeMap<String, Found<T>>,
}

/// An entity that a reference has led to.
#[derive(Debug)]
pub(super) struct Found<T> {
    /// None when it has faults, which are reported where it stands.
    pub entity: Option<Arc<T>>,
    pub is_active: bool,
    file: Arc<str>,
    line: usize,
}

// === impl Document ===

impl<'n> Document<'n> {
    pub(super) fn new(mut fields: Mapping<'n>, faults: &mut Vec<Fault>) -> Self {
        let at = fields.required("name", faults);
        let name = at.and_then(|at| Some((text::name(&at, faults)?, at)));
        Self { name, fields }
    }
}

// === impl Entities ===

impl<T> Entities<T> {
    /// Reads the documents of a kind one by one; of two with one name the second is a fault.
    pub(super) fn read(
        kind: &'static str,
        documents: Vec<Document<'_>>,
        faults: &mut Vec<Fault>,
        mut read: impl FnMut(&str, &mut Mapping<'_>, &mut Vec<Fault>) -> Read<T>,
    ) -> Self {
        let mut found: BTreeMap<String, Found<T>> = BTreeMap::new();
        for Document { name, mut fields } in documents {
            let Read { entity, is_active } = match &name {
                Some((name, _)) => read(name, &mut fields, faults),
                None => read("", &mut fields, faults),
            };
            fields.finish(faults);
            let Some((name, at)) = name else {
                continue;
            };
            if let Some(first) = found.get(&name) {
                let (file, line) = (&first.file, first.line);
                let message = format!("{kind} `{name}` stands in {file}:{line} already");
                faults.push(at.fault(message));
                continue;
            }
            let entity = entity.map(Arc::new);
            found.insert(
                name,
                Found {
                    entity,
                    is_active,
                    file: Arc::clone(at.file()),
                    line: at.line(),
                },
            );
        }
        Self { kind, found }
    }

    /// What a reference leads to, with a fault when it leads nowhere.
    pub(super) fn resolve(&self, at: &At<'_>, faults: &mut Vec<Fault>) -> Option<&Found<T>> {
        let name = at.text(faults)?;
        let found = self.found.get(name);
        if found.is_none() {
            let names: Vec<&str> = self.found.keys().map(String::as_str).collect();
            let instead = near::instead(name, &names, "there is none");
            let name = quoted(name);
            faults.push(at.fault(format!("unknown {} {name}: {instead}", self.kind)));
        }
        found
    }

    /// What is active, by name.
    pub(super) fn active(&self) -> Vec<Arc<T>> {
        let active = self.found.values().filter(|found| found.is_active);
        active.filter_map(|found| found.entity.clone()).collect()
    }

    /// Whether all of them could be read.
    pub(super) fn are_whole(&self) -> bool {
        self.found.values().all(|found| found.entity.is_some())
    }

    /// A fault of the entity that has this name, at the place of the name.
    pub(super) fn fault(&self, name: &str, message: String) -> Option<Fault> {
        let found = self.found.get(name)?;
        Some(Fault {
            file: Arc::clone(&found.file),
            line: found.line,
            path: String::new(),
            message,
        })
    }
}
