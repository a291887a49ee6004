//! Manifests → rules, with faults and warnings that say where the manifest stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::manifest::Manifest;
use crate::manifest::read::Found;
use crate::manifest::read::Placed;
use crate::manifest::rules;
use crate::manifest::rules::remark::Remark;
use crate::rule::Domain;

/// What manifests come to.
#[derive(Clone, Debug, Default)]
pub struct Derived {
    /// The manifests without their places.
    pub manifests: Vec<Manifest>,
    /// The rules that Envoy Gateway derives from them.
    pub domains: Vec<Domain>,
    /// What it drops or merges without a word, and what has not been looked at.
    pub warnings: Vec<Fault>,
    /// How many there are of kinds that decide nothing about limits.
    pub passed_over: BTreeMap<String, usize>,
}

/// Translates manifests.
///
/// # Errors
///
/// Every resource that stands there twice, or else all that cannot be translated.
pub fn derive(found: Found) -> Result<Derived, Faults> {
    let (manifests, places) = distinct(found.manifests)?;
    match rules::translate(&manifests) {
        Ok(translation) => {
            let warnings = translation.warnings.into_iter();
            let mut warnings: Vec<Fault> = warnings.map(|it| places.fault(it)).collect();
            warnings.extend(found.unread);
            warnings.sort();
            Ok(Derived {
                manifests,
                domains: translation.domains,
                warnings,
                passed_over: found.passed_over,
            })
        }
        Err(errors) => {
            let faults = errors.into_iter().map(|error| places.fault(error));
            Faults::none_or(faults.collect(), Derived::default())
        }
    }
}

/// Manifests without their places.
///
/// # Errors
///
/// Every resource that stands there twice.
fn distinct(placed: Vec<Placed>) -> Result<(Vec<Manifest>, Places), Faults> {
    let (mut manifests, mut places) = (Vec::new(), BTreeMap::new());
    let mut faults = Vec::new();
    for Placed {
        file,
        line,
        manifest,
    } in placed
    {
        let name = manifest.to_string();
        if let Some((first, first_line)) = places.get(&name) {
            let message = format!("`{name}` stands in {first}:{first_line} already");
            let path = "metadata.name".to_owned();
            faults.push(Fault {
                file,
                line,
                path,
                message,
            });
            continue;
        }
        places.insert(name, (file, line));
        manifests.push(manifest);
    }
    Faults::none_or(faults, (manifests, Places(places)))
}

/// Where manifests stand.
#[derive(Clone, Debug)]
struct Places(BTreeMap<String, (Arc<str>, usize)>);

impl Places {
    /// A remark, with the place of its manifest.
    fn fault(&self, remark: Remark) -> Fault {
        let place = self.0.get(&remark.manifest).cloned();
        let (file, line) = place.unwrap_or_else(|| (Arc::from("manifests"), 0));
        Fault {
            file,
            line,
            path: format!("{}: {}", remark.manifest, remark.field),
            message: remark.reason,
        }
    }
}
