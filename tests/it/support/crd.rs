//! Judges manifests by the CRDs beside the project, as a Kubernetes API server does on create.
//!
//! Strictly, as `kubectl apply` asks for: unknown fields are refused, not dropped. What a server
//! takes for itself, `status` and most of the metadata, has no place in a manifest of ours.

mod defaults;
mod lists;
mod metadata;
mod openapi;
mod rules;
mod schema;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support;
use crate::support::crd::metadata::Scope;
use crate::support::crd::openapi::OpenApi;
use crate::support::crd::rules::Compiler;
use crate::support::crd::schema::Structural;
use crate::support::in_project;
use crate::tidy::files_below;

/// The CRDs, compiled.
#[derive(Clone)]
pub(crate) struct Judge {
    kinds: Arc<BTreeMap<(String, String), Kind>>,
    compiler: Arc<Compiler>,
}

/// A CRD.
struct Kind {
    scope: Scope,
    /// The versions that are served.
    versions: BTreeMap<String, Version>,
}

/// A version of a kind.
struct Version {
    structural: Structural,
    openapi: OpenApi,
}

impl Judge {
    /// The judge by the CRDs beside the project; without them a skipped test, or a failed one.
    #[track_caller]
    pub(crate) fn load() -> Option<Self> {
        static LOADED: OnceLock<Judge> = OnceLock::new();
        let folder = in_project("../shared/crds");
        if !folder.is_dir() {
            support::skip("REQUIRE_SHARED", "no ../shared/crds to judge manifests by");
            return None;
        }
        let is_yaml = |path: &Path| path.extension().is_some_and(|it| it == "yaml");
        let judge = LOADED.get_or_init(|| {
            let files = files_below(&folder).into_iter().filter(|it| is_yaml(it));
            Self::by(files.flat_map(|file| yaml::documents(&fs::read_to_string(file).unwrap())))
        });
        Some(judge.clone())
    }

    /// The judge by these CRDs.
    pub(crate) fn by(crds: impl IntoIterator<Item = Value>) -> Self {
        let mut compiler = Compiler::new();
        let mut kinds = BTreeMap::new();
        for crd in crds {
            let spec = &crd["spec"];
            let name = (text(&spec["group"]), text(&spec["names"]["kind"]));
            kinds.insert(name, Kind::read(spec, &mut compiler));
        }
        Self {
            kinds: Arc::new(kinds),
            compiler: Arc::new(compiler),
        }
    }

    /// What an API server would say against a manifest; nothing if it took it.
    pub(crate) fn faults(&self, manifest: &Value) -> Vec<String> {
        let api_version = manifest["apiVersion"].as_str().unwrap_or_default();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let Some(known) = self.kinds.get(&(group.to_owned(), kind.to_owned())) else {
            return vec![format!("no CRD for kind `{kind}` in group `{group}`")];
        };
        let Some(version) = known.versions.get(version) else {
            return vec![format!("`{version}` of kind `{kind}` is not served")];
        };
        let mut faults = Vec::new();
        metadata::check(&manifest["metadata"], known.scope, &mut faults);
        version.check(manifest.clone(), &self.compiler, &mut faults);
        faults
    }

    /// The faults of every manifest in a YAML stream, each after the manifest's kind and name.
    pub(crate) fn faults_in(&self, stream: &str) -> Vec<String> {
        let mut faults = Vec::new();
        for manifest in yaml::documents(stream) {
            let kind = manifest["kind"].as_str().unwrap_or("?");
            let name = manifest["metadata"]["name"].as_str().unwrap_or("?");
            let found = self.faults(&manifest);
            faults.extend(found.iter().map(|fault| format!("{kind} {name}: {fault}")));
        }
        faults
    }

    /// How many CEL rules there are, unserved versions included, and how many texts among them.
    pub(crate) fn rules(&self) -> (usize, usize) {
        self.compiler.counts()
    }

    /// The functions that the CEL rules call.
    pub(crate) fn functions(&self) -> BTreeSet<String> {
        self.compiler.functions()
    }
}

/// The documents of a YAML stream, read as Kubernetes' tools do.
pub(crate) fn documents(stream: &str) -> Vec<Value> {
    yaml::documents(stream)
}

impl Kind {
    fn read(spec: &Value, compiler: &mut Compiler) -> Self {
        let scope = match text(&spec["scope"]).as_str() {
            "Cluster" => Scope::Cluster,
            "Namespaced" => Scope::Namespaced,
            scope => panic!("no scope: {scope}"),
        };
        let mut versions = BTreeMap::new();
        for version in spec["versions"].as_array().unwrap() {
            let schema = &version["schema"]["openAPIV3Schema"];
            // Unserved versions are read too: nothing in a CRD may go by without being understood.
            let structural = Structural::root(schema, compiler);
            let openapi = OpenApi::of(schema);
            if version["served"] == true {
                let read = Version {
                    structural,
                    openapi,
                };
                versions.insert(text(&version["name"]), read);
            }
        }
        Self { scope, versions }
    }
}

impl Version {
    fn check(&self, mut manifest: Value, compiler: &Compiler, faults: &mut Vec<String>) {
        schema::refuse_unknown(&self.structural, &manifest, faults);
        defaults::apply(&self.structural, &mut manifest);
        let is_sound = self.openapi.check(&manifest, faults);
        lists::check(&self.structural, &manifest, faults);
        if is_sound {
            rules::check(&self.structural, &manifest, compiler, faults);
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
