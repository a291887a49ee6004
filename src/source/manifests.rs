//! Manifests → rules, with faults and warnings that say where the manifest stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::Fault;
use crate::document::Faults;
use crate::manifest::Manifest;
use crate::manifest::read::Placed;
use crate::manifest::rules;
use crate::manifest::rules::remark::Remark;
use crate::source::documents::Loaded;

/// The rules that Envoy Gateway derives from manifests.
///
/// # Errors
///
/// Every resource that stands there twice, or else all that cannot be translated.
pub fn derive(placed: Vec<Placed>) -> Result<Loaded, Faults> {
    let (manifests, places) = distinct(placed)?;
    match rules::translate(&manifests) {
        Ok(translation) => {
            let warnings = translation.warnings.into_iter();
            let mut warnings: Vec<Fault> = warnings.map(|it| places.fault(it)).collect();
            warnings.sort();
            Ok(Loaded {
                domains: translation.domains,
                warnings,
            })
        }
        Err(errors) => {
            let faults = errors.into_iter().map(|error| places.fault(error));
            Faults::none_or(faults.collect(), Loaded::default())
        }
    }
}

/// Manifests without their places.
///
/// # Errors
///
/// Every resource that stands there twice.
pub fn distinct(placed: Vec<Placed>) -> Result<(Vec<Manifest>, Places), Faults> {
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
pub struct Places(BTreeMap<String, (Arc<str>, usize)>);

impl Places {
    /// A remark, with the place of its manifest.
    pub fn fault(&self, remark: Remark) -> Fault {
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
