//! The YAML form of a platform, read with every fault in it.
//!
//! What stands in a document and is not supported is a fault: a limit or a check that is silently
//! left out would let through what it should stop. Inactive entities are read like active ones and
//! then left out. An inactive gateway or API service takes its routes with it, and an inactive
//! route or API service its policies; but an active route to an inactive backend is a fault,
//! because its requests would have nowhere to go.

mod agreement;
mod backend;
mod cors;
mod entities;
mod filter;
mod gateway;
mod plan;
mod policy;
mod rate_limit;
mod route;
mod service;
mod sharing;
mod text;
mod traffic;

use std::sync::Arc;

use crate::document::At;
use crate::document::Fault;
use crate::document::Mapping;
use crate::document::node::Node;
use crate::platform::Platform;
use crate::platform::document::entities::Document;
use crate::platform::document::entities::Entities;
use crate::platform::document::policy::Targets;
use crate::platform::document::route::Surroundings;

/// Reads the documents of all files as one platform, which is whole only if there are no faults.
pub fn read(files: &[(Arc<str>, Vec<Node>)], faults: &mut Vec<Fault>) -> Platform {
    let mut documents = Documents::default();
    let mut found = Vec::new();
    for (file, nodes) in files {
        for node in nodes {
            documents.add(&At::root(file, node), &mut found);
        }
    }
    let platform = documents.read(&mut found);
    // They were found kind by kind.
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    faults.append(&mut found);
    platform
}

/// The documents of each kind.
#[derive(Default)]
struct Documents<'n> {
    gateways: Vec<Document<'n>>,
    backends: Vec<Document<'n>>,
    api_services: Vec<Document<'n>>,
    routes: Vec<Document<'n>>,
    policies: Vec<Document<'n>>,
    plans: Vec<Document<'n>>,
}

/// What a document can be.
#[derive(Clone, Copy)]
enum Kind {
    Gateway,
    Backend,
    ApiService,
    Route,
    Policy,
    Plan,
}

// === impl Documents ===

impl<'n> Documents<'n> {
    fn add(&mut self, at: &At<'n>, faults: &mut Vec<Fault>) {
        let Some(mut fields) = at.mapping(faults) else {
            return;
        };
        let Some(kind) = kind(&mut fields, faults) else {
            return;
        };
        let document = Document::new(fields, faults);
        let documents = match kind {
            Kind::Gateway => &mut self.gateways,
            Kind::Backend => &mut self.backends,
            Kind::ApiService => &mut self.api_services,
            Kind::Route => &mut self.routes,
            Kind::Policy => &mut self.policies,
            Kind::Plan => &mut self.plans,
        };
        documents.push(document);
    }

    /// Reads what is referred to before what refers to it.
    fn read(self, faults: &mut Vec<Fault>) -> Platform {
        let gateways = Entities::read("gateway", self.gateways, faults, gateway::read);
        let backends = Entities::read("backend", self.backends, faults, backend::read);
        let api_services = Entities::read("API service", self.api_services, faults, service::read);
        let surroundings = Surroundings {
            gateways: &gateways,
            backends: &backends,
            api_services: &api_services,
        };
        let routes = Entities::read("route", self.routes, faults, |name, fields, faults| {
            route::read(&surroundings, name, fields, faults)
        });
        let targets = Targets {
            api_services: &api_services,
            routes: &routes,
        };
        let policies = Entities::read("policy", self.policies, faults, |name, fields, faults| {
            policy::read(&targets, name, fields, faults)
        });
        let plans = Entities::read("plan", self.plans, faults, plan::read);
        let platform = Platform {
            gateways: gateways.active(),
            backends: backends.active(),
            api_services: api_services.active(),
            routes: routes.active(),
            policies: policies.active(),
            plans: plans.active(),
        };
        agreement::check(&platform, &routes, &policies, faults);
        sharing::check(&platform, &routes, &policies, &plans, faults);
        platform
    }
}

fn kind(fields: &mut Mapping<'_>, faults: &mut Vec<Fault>) -> Option<Kind> {
    let at = fields.required("kind", faults)?;
    let names = [
        ("Gateway", Kind::Gateway),
        ("Backend", Kind::Backend),
        ("ApiService", Kind::ApiService),
        ("Route", Kind::Route),
        ("Policy", Kind::Policy),
        ("Plan", Kind::Plan),
    ];
    at.one_of(&names, faults)
}

#[cfg(test)]
mod tests;
