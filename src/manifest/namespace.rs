//! `Namespace` of Kubernetes, whose labels say which listeners its routes may attach to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::document::Fault;
use crate::document::Mapping;
use crate::manifest::Manifest;
use crate::manifest::Metadata;
use crate::manifest::Object;
use crate::manifest::Spec;

/// What a namespace says besides its labels; nothing that we need.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NamespaceSpec {}

impl Spec for NamespaceSpec {
    const API_VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
}

/// A choice by labels: all of it must hold.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// What else holds for labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What must hold for a label.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LabelRequirement {
    /// The label.
    pub key: String,
    /// What must hold.
    pub operator: LabelOperator,
    /// For which values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What must hold for a label.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum LabelOperator {
    /// It is absent.
    DoesNotExist,
    /// It is there.
    Exists,
    /// Its value is one of some.
    In,
    /// Its value is none of some, or it is absent.
    NotIn,
}

/// Reads a namespace, of which only the labels matter.
pub(super) fn read(mut fields: Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Manifest> {
    let mut metadata = fields.required("metadata", faults)?.mapping(faults)?;
    let name = metadata
        .required("name", faults)?
        .string(faults)?
        .to_owned();
    let labels = metadata
        .optional("labels")
        .and_then(|at| at.mapping(faults));
    let mut read = BTreeMap::from([(NAME.to_owned(), name.clone())]);
    for (key, at) in labels.into_iter().flat_map(Mapping::into_entries) {
        read.insert(key.to_owned(), at.string(faults)?.to_owned());
    }
    let metadata = Metadata {
        name,
        labels: read,
        ..Metadata::default()
    };
    Some(Manifest::Namespace(Object::new(metadata, NamespaceSpec {})))
}

/// The label that Kubernetes gives every namespace: its name.
pub(super) const NAME: &str = "kubernetes.io/metadata.name";

// === impl LabelSelector ===

impl LabelSelector {
    /// Whether something with these labels is chosen.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        let mut pairs = self.match_labels.iter();
        pairs.all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|it| it.holds(labels))
    }

    /// Whether nothing but the name of a namespace decides.
    pub(super) fn is_by_name(&self) -> bool {
        let keys = self.match_labels.keys();
        let more = self.match_expressions.iter().map(|it| &it.key);
        keys.chain(more).all(|key| key == NAME)
    }
}

impl LabelRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_among = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::DoesNotExist => value.is_none(),
            LabelOperator::Exists => value.is_some(),
            LabelOperator::In => is_among,
            LabelOperator::NotIn => !is_among,
        }
    }
}
