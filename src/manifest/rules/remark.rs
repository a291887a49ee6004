//! What there is to say about manifests: what Envoy Gateway refuses, and what it drops or merges.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use crate::manifest::Object;
use crate::manifest::Spec;
use crate::manifest::rules::identity;

/// Something about a manifest, with the field that it is about.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
#[error("{manifest}: {field}: {reason}")]
pub struct Remark {
    /// The manifest, as `Kind namespace/name`.
    pub manifest: String,
    /// The field in it.
    pub field: String,
    /// What there is to say.
    pub reason: String,
}

impl Remark {
    /// A remark about a field of a resource.
    pub(in crate::manifest) fn of<S: Spec>(
        object: &Object<S>,
        field: &str,
        reason: String,
    ) -> Self {
        Self {
            manifest: named(object),
            field: field.to_owned(),
            reason,
        }
    }
}

/// Every manifest that is in the way of a translation; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Untranslatables(Vec<Remark>);

/// The remarks that a translation comes to.
#[derive(Debug, Default)]
pub(in crate::manifest) struct Remarks {
    errors: Vec<Remark>,
    /// Each once: many routes can be a reason for the same.
    warnings: BTreeSet<Remark>,
    /// Policies with limits that do not hold everywhere: for each, and each reason, the policies
    /// that hold in its place.
    given_way: BTreeMap<(String, &'static str), BTreeSet<String>>,
}

impl Remarks {
    /// The limits of a policy do not hold where another policy does.
    pub(super) fn give_way<S: Spec>(
        &mut self,
        object: &Object<S>,
        other: &Object<S>,
        reason: &'static str,
    ) {
        let others = self.given_way.entry((named(object), reason)).or_default();
        others.insert(named(other));
    }

    /// Something that is in the way.
    pub(super) fn refuse<S: Spec>(
        &mut self,
        object: &Object<S>,
        field: &str,
        reason: impl Into<String>,
    ) {
        self.errors.push(Remark::of(object, field, reason.into()));
    }

    /// Something that is probably not what is meant.
    pub(super) fn warn<S: Spec>(
        &mut self,
        object: &Object<S>,
        field: &str,
        reason: impl Into<String>,
    ) {
        let warning = Remark::of(object, field, reason.into());
        self.warnings.insert(warning);
    }

    /// The warnings, unless something is in the way.
    pub(in crate::manifest) fn finish(mut self) -> Result<Vec<Remark>, Untranslatables> {
        if !self.errors.is_empty() {
            return Err(Untranslatables(self.errors));
        }
        for ((manifest, reason), others) in self.given_way {
            let Some(first) = others.first() else {
                continue;
            };
            let more = match others.len() - 1 {
                0 => String::new(),
                more => format!(" or {more} more"),
            };
            self.warnings.insert(Remark {
                manifest,
                field: "spec.rateLimit.global.rules".to_owned(),
                reason: format!("do not hold where `{first}`{more} is in force, which {reason}"),
            });
        }
        Ok(self.warnings.into_iter().collect())
    }
}

/// A resource as `Kind namespace/name`.
pub(in crate::manifest) fn named<S>(object: &Object<S>) -> String {
    let (namespace, name) = identity(&object.metadata);
    format!("{} {namespace}/{name}", object.kind)
}

// === impl Untranslatables ===

impl IntoIterator for Untranslatables {
    type Item = Remark;
    type IntoIter = std::vec::IntoIter<Remark>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Untranslatables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Untranslatables {}
